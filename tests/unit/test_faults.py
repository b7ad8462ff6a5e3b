"""What the system says is told in our words, with the exit codes of the contract."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from bitstation.core.events import Event, PhaseChanged, TransferProgress
from bitstation.errors import (
    DiskFull,
    FileInUse,
    NotFound,
    PermissionRefused,
    StoreError,
    VolumeUnfit,
)
from bitstation.storage.faults import disk_errors, free_bytes, translated
from bitstation.worker.emitter import Emitter

FAULTS = [
    (errno.ENOSPC, DiskFull, 50),
    (errno.EDQUOT, DiskFull, 50),
    (errno.EFBIG, VolumeUnfit, 50),
    (errno.ENAMETOOLONG, VolumeUnfit, 50),
    (errno.ENOLCK, VolumeUnfit, 50),
    (errno.EOPNOTSUPP, VolumeUnfit, 50),
    (errno.EACCES, PermissionRefused, 51),
    (errno.EPERM, PermissionRefused, 51),
    (errno.EROFS, PermissionRefused, 51),
    (errno.EBUSY, FileInUse, 52),
    (errno.EIO, StoreError, 1),
    (errno.ENOENT, StoreError, 1),
    (errno.EMFILE, StoreError, 1),
]


@pytest.mark.parametrize(("number", "kind", "exit_code"), FAULTS)
def test_each_fault_has_its_class(
    tmp_path: Path, number: int, kind: type[StoreError], exit_code: int
) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "the file"))
    with pytest.raises(kind) as failure, disk_errors(tmp_path):
        raise error
    assert type(failure.value) is kind
    assert failure.value.exit_code == exit_code
    assert failure.value.fields["path"] == str(tmp_path / "the file")
    assert failure.value.__cause__ is error


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: its error numbers")
@pytest.mark.parametrize(
    ("number", "kind"), [(32, FileInUse), (33, FileInUse), (112, DiskFull), (5, PermissionRefused)]
)
def test_windows_has_numbers_of_its_own(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    error = OSError(0, "words", str(tmp_path), number)
    assert type(translated(error, tmp_path)) is kind


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(NotFound), disk_errors(tmp_path):
        raise NotFound(source="x", what="y")
    with pytest.raises(KeyError), disk_errors(tmp_path):
        raise KeyError("x")


def test_free_space_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not/yet/there") > 0


def test_events_of_many_threads_are_numbered_without_a_gap() -> None:
    told: list[Event] = []
    emitter = Emitter("run", "tool", lambda: 1.0, (told.append,))

    def tell() -> None:
        for number in range(200):
            emitter.emit(TransferProgress, phase="fetch", done_bytes=number)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in told] == list(range(800))
    assert {(event.run_id, event.tool_id, event.at_s) for event in told} == {("run", "tool", 1.0)}


def test_a_listener_that_fails_does_not_lock_the_others_out() -> None:
    told: list[Event] = []

    def fail(_event: Event) -> None:
        raise ValueError("of the listener")

    emitter = Emitter("run", "tool", lambda: 1.0, (told.append, fail))
    for _ in range(2):
        with pytest.raises(ValueError, match="listener"):
            emitter.emit(PhaseChanged, phase="diff")
    assert len(told) == 2
