"""Every difference between Windows, Linux and macOS, behind one interface, and nothing else.

Both implementations offer the same names; the rest of the package asks no platform question.
"""

from __future__ import annotations

import sys

from bitstation.host.facts import StatFacts
from bitstation.host.threads import shared_pool

if sys.platform == "win32":
    from bitstation.host.windows import (
        FLUSH_FLAGS,
        HAS_MODES,
        FileLock,
        clone_file,
        is_link,
        is_rotating,
        make_private,
        may_set_mode,
        mount_points,
        native_path,
        path_limit,
        preallocate,
        remove,
        replace,
        set_executable,
        set_writable,
        start_writeback,
        stat_facts,
        sync_dir,
        takes_length,
        tune_memory,
        write_at,
    )
else:
    from bitstation.host.posix import (
        FLUSH_FLAGS,
        HAS_MODES,
        FileLock,
        clone_file,
        is_link,
        is_rotating,
        make_private,
        may_set_mode,
        mount_points,
        native_path,
        path_limit,
        preallocate,
        remove,
        replace,
        set_executable,
        set_writable,
        start_writeback,
        stat_facts,
        sync_dir,
        takes_length,
        tune_memory,
        write_at,
    )

__all__ = [
    "FLUSH_FLAGS",
    "HAS_MODES",
    "FileLock",
    "StatFacts",
    "clone_file",
    "is_link",
    "is_rotating",
    "make_private",
    "may_set_mode",
    "mount_points",
    "native_path",
    "path_limit",
    "preallocate",
    "remove",
    "replace",
    "set_executable",
    "set_writable",
    "shared_pool",
    "start_writeback",
    "stat_facts",
    "sync_dir",
    "takes_length",
    "tune_memory",
    "write_at",
]
