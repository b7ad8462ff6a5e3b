"""Threads for work that waits for the disk, so that the event loop never does.

A thread's work is never abandoned: a cancelled request waits for it, so no file is closed under
a reader's hands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread

_Args = TypeVarTuple("_Args")
_Answer = TypeVar("_Answer")

# Queries, uploads and syncs: they mostly wait.
_WORKERS = 8
# Reads of blobs have threads of their own: a sync that takes long must not stop a download.
_READERS = min(8, max(2, os.cpu_count() or 2))


class Threads:
    """The bounded threads of one HQ."""

    def __init__(self) -> None:
        self._workers = anyio.CapacityLimiter(_WORKERS)
        self._readers = anyio.CapacityLimiter(_READERS)

    async def work(self, act: Callable[[*_Args], _Answer], *args: *_Args) -> _Answer:
        """Result of a query or a change."""
        return await to_thread.run_sync(act, *args, limiter=self._workers)

    async def read(self, act: Callable[[*_Args], _Answer], *args: *_Args) -> _Answer:
        """Result of reading a block of a blob."""
        return await to_thread.run_sync(act, *args, limiter=self._readers)
