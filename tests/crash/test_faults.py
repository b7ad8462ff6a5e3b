"""F1-F17, F23: the file system refuses or lies at each call in turn, until a run meets none."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import pytest

from bitstation import host
from bitstation.core.digest import digest_of
from bitstation.errors import StoreError
from bitstation.storage.blobs import BlobFolder
from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.testing.faulty_reads import FaultyReads
from bitstation.testing.memory_source import Asked
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import Scene
from bitstation.testing.stage import Stage
from tests.crash.outcomes import error_of, holds
from tests.crash.sweeps import (
    BLOCKS,
    BLOCKS_RESUMED,
    RETIRING,
    SMALL,
    SYNCS,
    TAKE_HANDLES,
    TAKE_NAMES,
    TAKE_SPACE,
    WRITES,
    each_refused,
    noting,
    refusal,
    refuse_each,
    refused_read,
    strike_each,
)

BOTH = pytest.mark.parametrize("scene", [SMALL, BLOCKS], ids=["files", "blocks"])


class Forgetful(FaultyDisk):
    """What a sync could not write is lost, as kernels do it: it shows until the power goes."""

    def __init__(self, **faults: object) -> None:
        super().__init__(**faults)  # type: ignore[arg-type]
        self._lost: list[tuple[int, int]] = []

    def sync_file(self, file: BinaryIO) -> None:
        with self._losing(Path(f"/proc/self/fd/{file.fileno()}")):
            super().sync_file(file)

    def sync_path(self, path: Path) -> None:
        with self._losing(path):
            super().sync_path(path)

    @contextmanager
    def _losing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError:
            fd = os.open(path, os.O_RDWR)
            self._lost.append((fd, os.fstat(fd).st_mtime_ns))
            raise

    def cut_power(self) -> None:
        """Lose what was not written anew since."""
        for fd, written_ns in self._lost:
            facts = os.fstat(fd)
            if facts.st_mtime_ns == written_ns:
                os.pwrite(fd, bytes(facts.st_size), 0)
            os.close(fd)
        self._lost.clear()


class Sips(QuickDisk):
    """The system takes a tenth of what it is given."""

    def write(self, file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
        super().write(_Sip(file), data)  # type: ignore[arg-type]


class _Sip:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: memoryview) -> int:
        return self._file.write(data[: len(data) // 10 + 1])


def asked_in_peace(scene: Scene, folder: Path) -> list[Asked]:
    """What a run without a fault asks its source for."""
    stage = Stage(folder, scene)
    stage.act(QuickDisk())
    stage.clear()
    return sorted(stage.source.asked)


@BOTH
def test_f01_no_space(quick_path: Path, scene: Scene) -> None:
    assert 50 in refuse_each(scene, quick_path, errno.ENOSPC, TAKE_SPACE, fails_on=True) <= {0, 50}


def test_f02_over_quota(quick_path: Path) -> None:
    met = refuse_each(SMALL, quick_path, errno.EDQUOT, TAKE_SPACE, fails_on=True)
    assert 50 in met <= {0, 50}


@BOTH
def test_f03_error_on_read(quick_path: Path, scene: Scene) -> None:
    """What cannot be read here is fetched; of what is staged it is told."""
    met = strike_each(scene, quick_path, before=refused_read(errno.EIO))
    assert 0 in met <= {0, 1}


@BOTH
def test_f04_error_on_write(quick_path: Path, scene: Scene) -> None:
    assert refuse_each(scene, quick_path, errno.EIO, WRITES) == {1}


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: files known by /proc")
def test_f05_error_on_fsync(quick_path: Path, scene: Scene) -> None:
    """Of what a sync could not write nothing is believed later: it is written anew."""
    runs = each_refused(scene, quick_path, errno.EIO, SYNCS, make_disk=Forgetful)
    for stage, disk, error in runs:
        assert error is not None
        assert error.exit_code == 1
        assert isinstance(disk, Forgetful)
        stage.reach_goal()
        disk.cut_power()
        stage.invariants.check(TOOL_ID, stage.scene.goal.manifest)


def test_f05_error_on_fsync_at_hq(quick_path: Path) -> None:
    """A blob whose sync failed is sent again."""
    data = b"blob" * 1000
    digest = digest_of(data)
    failing = FaultyDisk(fail_at=1, error=refusal(errno.EIO), kinds=["sync_path"])
    with BlobFolder(quick_path, failing).upload(digest, len(data)) as upload:  # type: ignore[union-attr]
        upload.write(data)
        with pytest.raises(StoreError):
            upload.finish()
    blobs = BlobFolder(quick_path, QuickDisk())
    assert not blobs.has(digest)
    assert blobs.received(digest) == 0


def test_f06_access_denied(quick_path: Path) -> None:
    assert 51 in refuse_each(SMALL, quick_path, errno.EACCES) <= {0, 51}


def test_f07_not_permitted(quick_path: Path) -> None:
    assert 51 in refuse_each(SMALL, quick_path, errno.EPERM) <= {0, 51}


def test_f08_read_only_volume(quick_path: Path) -> None:
    """Also one that became so in the midst, as ext4 does after an error."""
    assert refuse_each(SMALL, quick_path, errno.EROFS, fails_on=True) <= {0, 51}


@BOTH
def test_f09_too_many_open_files(quick_path: Path, scene: Scene) -> None:
    """Want of handles is never taken for damage: exit code 30 would throw away what is staged."""
    assert refuse_each(scene, quick_path, errno.EMFILE, TAKE_HANDLES) == {1}
    assert strike_each(scene, quick_path, before=refused_read(errno.EMFILE)) <= {0, 1}


def test_f10_no_memory(quick_path: Path) -> None:
    assert refuse_each(SMALL, quick_path, errno.ENOMEM) <= {0, 1}


def test_f11_another_device(quick_path: Path) -> None:
    """A link becomes a copy, a folder that cannot be moved at once is moved file by file."""
    assert refuse_each(SMALL, quick_path, errno.EXDEV, ["link"]) == {0}
    assert 0 in refuse_each(SMALL, quick_path, errno.EXDEV, ["replace"]) <= {0, 1}


def test_f12_too_many_links(quick_path: Path) -> None:
    """A link becomes a copy; a folder has its links too (65,000 on ext4)."""
    assert refuse_each(SMALL, quick_path, errno.EMLINK, ["link"]) == {0}
    assert refuse_each(SMALL, quick_path, errno.EMLINK, ["make_dir"]) <= {0, 1}


def test_f13_name_too_long(quick_path: Path) -> None:
    assert refuse_each(SMALL, quick_path, errno.ENAMETOOLONG, TAKE_NAMES) <= {0, 50}


def test_f14_interrupted_call(quick_path: Path) -> None:
    """What Python does not repeat by itself is told, and the next run goes on."""
    assert refuse_each(SMALL, quick_path, errno.EINTR, WRITES) == {1}


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: signals interrupt calls")
@BOTH
def test_f14_interrupted_by_thousands_of_signals(quick_path: Path, scene: Scene) -> None:
    rung = 0

    def ring(_number: int, _frame: FrameType | None) -> None:
        nonlocal rung
        rung += 1

    stage = Stage(quick_path, scene)
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        error = error_of(stage, Disk())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert error is None
    assert rung > 0
    holds(stage, error)


@BOTH
def test_f15_short_writes(quick_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real, taken = asked_in_peace(scene, quick_path), host.write_at, []

    def sip(fd: int, data: memoryview, offset: int) -> int:
        taken.append(len(data))
        return real(fd, data[: len(data) // 10 + 1], offset)

    stage = Stage(quick_path, scene)
    with monkeypatch.context() as patched:
        patched.setattr(host, "write_at", sip)
        assert error_of(stage, Sips()) is None
    assert bool(taken) == (scene is BLOCKS)
    assert sorted(stage.source.asked) == asked
    holds(stage, None)


@pytest.mark.parametrize("scene", [SMALL, BLOCKS_RESUMED], ids=["files", "blocks"])
def test_f16_short_read(quick_path: Path, scene: Scene) -> None:
    """Nothing is fetched for it that would not be fetched in peace."""
    asked = asked_in_peace(scene, quick_path)

    def check(stage: Stage) -> None:
        assert sorted(stage.source.asked) == asked

    assert strike_each(scene, quick_path, check=check, short=True) == {0}


@pytest.mark.parametrize("scene", [RETIRING, BLOCKS], ids=["files", "blocks"])
def test_f17_bit_flip_at_read(quick_path: Path, scene: Scene) -> None:
    """Whatever is read wrongly once: no wrong byte is activated, no release is lost for it."""
    assert strike_each(scene, quick_path, flip=True) <= {0, 1, 30}


def test_f23_volume_removed(quick_path: Path) -> None:
    """From one call on nothing can be changed or read; plugged in again all is as it was."""
    for call in itertools.count(1):
        stage = Stage(quick_path, SMALL)
        disk = FaultyDisk(fail_at=call, error=refusal(errno.ENODEV), fails_on=True)

        def refuse(path: Path, disk: FaultyDisk = disk) -> None:
            if disk.has_struck:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), str(path))

        with FaultyReads(stage.root, 1, before=refuse, strikes_on=True):
            error = error_of(stage, disk)
        if disk.has_struck:
            with noting(f"gone at {call}: {disk.calls[call - 1]}"):
                assert error is None or error.exit_code == 1
                holds(stage, error)
        stage.clear()
        if not disk.has_struck:
            break
    assert call > 40
