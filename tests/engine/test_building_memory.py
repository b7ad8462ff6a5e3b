"""A file is built in little memory, however long it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process of its own; VmHWM, for ru_maxrss counts what the process was before exec.
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from bitstation import DeltaUpdater
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.releases import UNSIGNED
from tests.attack.large import Block, Large, LargeSource

way, folder = sys.argv[1], Path(sys.argv[2])
numbers = range(300)
heads = [b"%d" % number if way != "fill" or number % 50 == 0 else b"" for number in numbers]
file = Large([Block(head) for head in heads])
source = LargeSource()
source.concurrency = 4
source.offer_file(file, "1.0.0", fills=way == "fill")
updater = DeltaUpdater(folder / "tools" / "sample-tool", disk=QuickDisk(), options=UNSIGNED)
updater.update(source, "1.0.0")
if way == "copy":
    longer = Large([Block(b"!", 7), *file.blocks])
    source.offer_file(longer, "1.1.0")
    updater.update(source, "1.1.0")
    assert source.asked_bytes(longer) == 7
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: peak memory is read there")
@pytest.mark.parametrize("way", ["fetch", "fill", "copy"])
def test_300_mb_are_built_in_little_memory(tmp_path: Path, way: str) -> None:
    """Fetched block by block, filled, and copied with one insertion."""
    command = [sys.executable, "-c", SCRIPT, way, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 150_000
