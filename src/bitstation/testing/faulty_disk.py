"""A disk that records every mutating call, fails one of them, or stops the world after one."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

from bitstation.storage.durable import Disk

COUNTED = (
    *("make_dir", "make_private", "shut_out"),
    *("open_new", "open_within", "open_append", "write", "write_at", "truncate"),
    *("preallocate", "clone", "set_executable"),
    *("set_writable", "copy_stamps", "sync_file", "sync_path", "sync_dir", "replace", "link"),
    *("symlink", "remove", "remove_dir"),
)
"""The calls that change the disk by themselves; the others of ``Disk`` are made of them."""


class Stopped(BaseException):
    """The world ended here, as by kill -9: nothing of the run may do anything any more."""


class QuickDisk(Disk):
    """Does not wait for the disk: for tests in which no power is lost."""

    def sync_file(self, file: BinaryIO) -> None:
        """Only pretend."""

    def sync_path(self, path: Path) -> None:
        """Only pretend, but the file must be there."""
        path.stat()

    def sync_dir(self, path: Path) -> None:
        """Only pretend, but the folder must be there."""
        path.stat()


class FaultyDisk(QuickDisk):
    """Counts mutating calls from 1; ``calls`` says what each was.

    ``stop_after`` n: call n is done, a write only by half, then it raises ``Stopped``, and so does
    every later call without doing anything. ``fail_at`` n: call n is not done and raises ``error``
    instead; with ``fails_on`` so does every later one, as on a full disk. Of ``kinds`` alone calls
    are counted and failed, so that the n-th sync, say, can be met.
    """

    def __init__(
        self,
        *,
        stop_after: int | None = None,
        fail_at: int | None = None,
        error: Callable[[], OSError] = OSError,
        fails_on: bool = False,
        kinds: Collection[str] = COUNTED,
    ) -> None:
        self.calls: list[str] = []
        self.has_struck = False
        self._stop_after = stop_after
        self._fail_at = fail_at
        self._error = error
        self._fails_on = fails_on
        self._kinds = kinds
        self._lock = threading.Lock()

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if name not in self._kinds:
            return real(self, *args, **options)
        with self._lock:
            number = len(self.calls) + 1
            what = " ".join([name, *(arg.name for arg in args if isinstance(arg, Path))])
            if self._stop_after is not None and number > self._stop_after:
                raise Stopped(what)
            self.calls.append(what)
            if self._fails(number):
                self.has_struck = True
                raise self._error()
            if number != self._stop_after:
                return real(self, *args, **options)
            self.has_struck = True
            if name.startswith("write"):
                *before, data = args
                args = (*before, memoryview(data)[: len(data) // 2])
            done = real(self, *args, **options)
            if name.startswith("open"):
                done.close()
            raise Stopped(what)

    def _fails(self, number: int) -> bool:
        if self._fail_at is None:
            return False
        return number == self._fail_at or (self._fails_on and number > self._fail_at)


def _counted(name: str) -> Callable[..., Any]:
    real = getattr(QuickDisk, name)

    @functools.wraps(real)
    def call(disk: FaultyDisk, *args: Any, **options: Any) -> Any:
        return disk._call(name, real, *args, **options)

    return call


for _name in COUNTED:
    setattr(FaultyDisk, _name, _counted(_name))
