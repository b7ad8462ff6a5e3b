"""Locks that are held for a moment: who finds one taken waits, but not for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitstation import host
from bitstation.errors import StoreLocked
from bitstation.storage.faults import disk_errors

_NAP_S = 0.02


@contextmanager
def held_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Be the only one of all processes that holds a lock file, whose folder is there.

    Raises StoreLocked, which names the holder, once ``wait_s`` are over; StoreError. Crash: the
    system gives the lock back, and the file stays.
    """
    lock, end_s = host.FileLock(path), time.monotonic() + wait_s
    with disk_errors(path):
        while not lock.acquire():
            # On Windows the clock may show the same for 16 ms: who waits for no time does not then.
            if time.monotonic() >= end_s:
                raise StoreLocked(path=str(path), holder=lock.read_holder() or "unknown")
            time.sleep(_NAP_S)
    try:
        with disk_errors(path):
            lock.write_holder(f"process {os.getpid()}")
        yield
    finally:
        lock.discard()
