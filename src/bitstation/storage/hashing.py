"""SHA-256 of files at the speed of the processor, with flat memory."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged, UpdateCancelled

HASH_BLOCK_BYTES = 8 * 1024 * 1024

OnBytes = Callable[[int], None]


_NAP_S = 0.05


class Stop:
    """Asked between blocks of long work; set from a signal handler or another thread."""

    def __init__(self) -> None:
        # Not a threading.Event: setting one from a signal handler can wait for its own thread.
        self._is_set = False

    def set(self) -> None:
        """Ask the work to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Say whether stopping was asked for."""
        return self._is_set

    def check(self) -> None:
        """Raise UpdateCancelled once stopping was asked for."""
        if self._is_set:
            raise UpdateCancelled()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until stopping is asked for; then raise UpdateCancelled."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0 and not self._is_set:
            time.sleep(min(left_s, _NAP_S))
        self.check()


_buffers = threading.local()


def _buffer() -> bytearray:
    # One per thread of the pool: allocating 8 MiB for each small file costs more than hashing it.
    if not hasattr(_buffers, "block"):
        _buffers.block = bytearray(HASH_BLOCK_BYTES)
    return _buffers.block  # type: ignore[no-any-return]


def read_full(file: BinaryIO, length: int) -> bytes:
    """The next bytes of an unbuffered file, fewer only at its end: one read may give less."""
    data = file.read(length)
    while 0 < len(data) < length and (more := file.read(length - len(data))):
        data += more
    return data


def hash_file(
    path: Path, on_bytes: OnBytes | None = None, stop: Stop | None = None
) -> tuple[host.StatFacts, Digest]:
    """Digest of a file's content, and its facts, which did not change while it was read.

    Raises FileChanged, OSError, UpdateCancelled.
    """
    hasher = hashlib.sha256()
    view = memoryview(_buffer())
    with path.open("rb", buffering=0) as file:
        before = host.stat_facts(file.fileno())
        while count := file.readinto(view):
            hasher.update(view[:count])
            if on_bytes:
                on_bytes(count)
            if stop:
                stop.check()
        after = host.stat_facts(file.fileno())
    if not before.same_content_as(after):
        raise FileChanged(path=str(path))
    return after, Digest(hasher.hexdigest())
