"""SHA-256 of files at the speed of the processor, with flat memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged, UpdateCancelled

HASH_BLOCK_BYTES = 8 * 1024 * 1024

OnBytes = Callable[[int], None]


class Stop:
    """Asked between blocks of long work; set from a signal handler or another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Say whether stopping was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise UpdateCancelled once stopping was asked for."""
        if self._event.is_set():
            raise UpdateCancelled()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until stopping is asked for; then raise UpdateCancelled."""
        self._event.wait(seconds)
        self.check()


_buffers = threading.local()


def _buffer() -> bytearray:
    # One per thread of the pool: allocating 8 MiB for each small file costs more than hashing it.
    if not hasattr(_buffers, "block"):
        _buffers.block = bytearray(HASH_BLOCK_BYTES)
    return _buffers.block  # type: ignore[no-any-return]


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


def hash_files(
    paths: Sequence[Path], on_bytes: OnBytes | None = None, stop: Stop | None = None
) -> list[tuple[host.StatFacts, Digest]]:
    """Hash several files at once, largest first, so that no thread ends with a big one alone."""
    order = sorted(range(len(paths)), key=lambda index: -paths[index].stat().st_size)
    pool = host.shared_pool()
    futures = {index: pool.submit(hash_file, paths[index], on_bytes, stop) for index in order}
    try:
        return [futures[index].result() for index in range(len(paths))]
    finally:
        for future in futures.values():
            future.cancel()
