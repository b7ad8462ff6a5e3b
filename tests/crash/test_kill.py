"""A real process, killed without warning at a random moment: the next run puts things right."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.invariants import Invariants, check_settled
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.transport.folder import FolderSource
from bitstation.worker.run import Options

KILLS = 20
SEED = 20260228
MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
RELEASES = [
    make_release(
        {
            "models/same.gguf": MODEL,
            "models/other.gguf": MODEL + b"%d" % number,
            **{f"src/part-{n}.py": b"%d %d" % (n, number * (n % 3)) for n in range(30)},
        },
        f"1.{number}.0",
    )
    for number in range(2)
]
# Back and forth between two releases, for ever; what it was told to do is what it says first.
LIVE = """
import sys
from pathlib import Path
from bitstation import DeltaUpdater
from bitstation.transport.folder import FolderSource
from bitstation.worker.run import Options
root, *folders = map(Path, sys.argv[1:])
updater = DeltaUpdater(root, options=Options(allow_unsigned=True, allow_downgrade=True, keep=0))
print("begun", flush=True)
while True:
    for folder in folders:
        updater.update(FolderSource(folder))
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_release(tmp_path: Path) -> None:
    folders = [release.write(tmp_path / release.version) for release in RELEASES]
    root = tmp_path / "tools" / TOOL_ID
    updater = DeltaUpdater(root, options=Options(allow_unsigned=True, allow_downgrade=True, keep=0))
    updater.update(FolderSource(folders[0]))
    (root / "user_data").mkdir()
    (root / "user_data" / "mine").write_bytes(b"mine")
    invariants = Invariants(root.parent, *folders)
    moments = random.Random(SEED)
    manifests = [release.manifest for release in RELEASES]
    for number in range(KILLS):
        _live_for(moments.uniform(0, 0.12), root, folders)
        try:
            invariants.check(TOOL_ID, *manifests)
            goal = RELEASES[number % 2]
            updater.update(FolderSource(folders[number % 2]))
            invariants.check(TOOL_ID, goal.manifest)
            check_settled(updater.tree)
            answer = updater.get_network_eligibility(goal.version, goal.manifest.manifest_hash)
            assert answer == Eligibility.ELIGIBLE
        except BaseException as error:
            error.add_note(f"kill {number} of seed {SEED}")
            raise


def _live_for(seconds: float, root: Path, folders: list[Path]) -> None:
    """Let a process update back and forth, and kill it after a while."""
    command = [sys.executable, "-c", LIVE, str(root), *map(str, folders)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"begun"
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return
        words = process.stderr.read().decode() if process.stderr else ""
        pytest.fail(f"it ended by itself: {words}")
