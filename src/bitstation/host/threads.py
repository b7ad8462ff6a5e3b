"""The one thread pool of the process, for work that releases the interpreter lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def shared_pool() -> ThreadPoolExecutor:
    """Pool sized to the machine. Only leaf work goes in: a task must never wait for another."""
    return ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2)), thread_name_prefix="bitstation")
