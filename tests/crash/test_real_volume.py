"""C, a real file system: what its device holds in the midst of an update is mounted and judged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bitstation.storage.durable import Disk
from bitstation.testing.crashes import judge
from bitstation.testing.recording_disk import RecordingDisk
from bitstation.testing.scenes import ALL_SCENES
from bitstation.testing.stage import Stage

IMAGE_BYTES = 48 * 1024 * 1024
# Nothing but syncs may bring anything to the device: what else is lost is lost.
ORDERED = "loop,commit=600"
WRITEBACK = "loop,commit=600,data=writeback"


def ran(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def mounted(image: Path, folder: Path, options: str) -> Iterator[None]:
    if not ran("mount", "-t", "ext4", "-o", options, str(image), str(folder)):
        pytest.skip("needs a volume that can be mounted")
    try:
        yield
    finally:
        assert ran("umount", str(folder))


class CopyingDisk(RecordingDisk):
    """Syncs in earnest, and copies the device after every few calls: the power went just then."""

    def __init__(self, stage: Stage, image: Path, every: int) -> None:
        super().__init__(stage.folder, stage.ledger)
        self.copies: list[Path] = []
        self._image = image
        self._every = every

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._lock:
            done = super()._call(name, getattr(Disk, name), *args, **options)
            if len(self.record.calls) % self._every == 0:
                self.copies.append(self._image.with_name(f"copy-{len(self.copies)}"))
                assert ran("cp", "--sparse=always", str(self._image), str(self.copies[-1]))
            return done


@pytest.mark.parametrize("options", [ORDERED, WRITEBACK], ids=["ordered", "writeback"])
@pytest.mark.parametrize("name", ["update that retires a release", "update by blocks"])
def test_c_a_device_in_the_midst_of_an_update(name: str, options: str, quick_path: Path) -> None:
    image, folder = quick_path / "image", quick_path / "volume"
    if not shutil.which("mkfs.ext4") or not shutil.which("mount"):
        pytest.skip("needs a volume that can be mounted")
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    assert ran("mkfs.ext4", "-q", str(image))
    folder.mkdir()
    with mounted(image, folder, options):
        (folder / "stage").mkdir()
        stage = Stage(folder / "stage", ALL_SCENES[name])
        assert ran("sync", "-f", str(folder))
        disk = CopyingDisk(stage, image, every=9)
        stage.act(disk)
        disk.close()
    assert len(disk.copies) > 5
    seen = set()
    for copy in disk.copies:
        with mounted(copy, folder, options):
            seen.add(stage.updater().tree.current_version())
            judge(stage)
    assert seen == {release.version for release in stage.scene.allowed}
