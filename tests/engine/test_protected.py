"""What is not of a release is never touched: content, modes and times, through a whole life."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.testing.invariants import Invariants, look_at
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.worker.run import Options
from tests.engine.conftest import MakeUpdater

TREES = ("venv", ".venv", "cache", "user_data", "logs")


@pytest.fixture
def lived_in(make_updater: MakeUpdater, tmp_path: Path) -> DeltaUpdater:
    """A tool whose protected folders hold what such folders hold."""
    updater = make_updater(options=Options(allow_unsigned=True, keep=0, yes=True))
    updater.update(MemorySource(made(0)))
    for name in TREES:
        folder = updater.tree.path / name / "deep" / "folder"
        folder.mkdir(parents=True)
        (folder / "data.bin").write_bytes(os.urandom(100))
        (folder / "read-only").write_bytes(b"x")
        (folder / "read-only").chmod(0o444)
        os.utime(folder / "data.bin", (1_000_000_000, 1_000_000_000))
        (updater.tree.path / name / "empty").mkdir()
        # Names that a release might have, and that a careless clean-up might look for.
        (updater.tree.path / name / "manifest.json").write_bytes(b"{}")
        (updater.tree.path / name / "main.py").write_bytes(b"mine")
    (updater.tree.path / "notes.txt").write_bytes(b"beside the releases")
    return updater


def made(number: int, policy: str = "aggressive"):  # type: ignore[no-untyped-def]
    files = {"main.py": b"%d" % number, "models/m.gguf": b"m"}
    return make_release(files, f"1.{number}.0", delete_policy=policy, ignore_globs=["**"])


def test_they_are_the_same_through_update_rollback_repair_collection_and_removal(
    lived_in: DeltaUpdater, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"outside")
    invariants = Invariants(lived_in.root.path, outside)
    acts = (
        lambda: lived_in.update(MemorySource(made(1))),
        lambda: DeltaUpdater(lived_in.tree.path, options=UNSIGNED).update(MemorySource(made(2))),
        lived_in.rollback,
        lambda: lived_in.repair(MemorySource(made(1)), deep=True),
        lambda: lived_in.verify(deep=True),
        lived_in.gc,
        lived_in.uninstall,
    )
    for act in acts:
        act()
        released = [made(number).manifest for number in range(3)]
        invariants.check(TOOL_ID, *released, absent=True)
        assert (lived_in.tree.path / "notes.txt").read_bytes() == b"beside the releases"
    assert {path.name for path in lived_in.tree.path.iterdir()} == {*TREES, "notes.txt"}


def test_the_invariants_notice_what_they_are_for(lived_in: DeltaUpdater) -> None:
    for name in TREES:
        target = lived_in.tree.path / name / "deep/folder/data.bin"
        invariants = Invariants(lived_in.root.path)
        facts = target.stat()
        target.write_bytes(target.read_bytes())
        assert invariants.broken(TOOL_ID, [made(0).manifest], absent=False)
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        assert not invariants.broken(TOOL_ID, [made(0).manifest], absent=False)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_user_data_may_be_a_link_to_another_place(updater: DeltaUpdater, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big-disk"
    elsewhere.mkdir()
    for number in range(3):
        updater.update(MemorySource(made_safe(number)))
        if number == 0:
            updater.tree.user_data.symlink_to(elsewhere)
            (updater.tree.release("1.0.0") / "notes.txt").write_bytes(b"mine")

    assert (elsewhere / "from-v1.0.0/notes.txt").read_bytes() == b"mine"
    assert updater.tree.user_data.is_symlink()


def made_safe(number: int):  # type: ignore[no-untyped-def]
    return make_release({"main.py": b"%d" % number}, f"1.{number}.0", ignore_globs=[])


def test_other_tools_are_the_same(make_updater: MakeUpdater, root: Path) -> None:
    other = make_release({"main.py": b"0", "models/m.gguf": b"m"}, "5.0.0", tool_id="other-tool")
    make_updater("other-tool").update(MemorySource(other))
    before = look_at(root / "other-tool")

    for number in range(3):
        make_updater().update(MemorySource(made(number)))
    make_updater().uninstall()

    assert look_at(root / "other-tool") == before
