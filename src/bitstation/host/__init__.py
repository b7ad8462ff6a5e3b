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
        drop_written,
        is_link,
        is_rotating,
        link,
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
    from bitstation.host.windows_access import (
        create_file,
        make_dir,
        make_private,
        open_file,
        others_may_read,
        others_may_write,
        shut_out,
    )
else:
    from bitstation.host.posix import (
        FLUSH_FLAGS,
        HAS_MODES,
        FileLock,
        clone_file,
        drop_written,
        is_link,
        is_rotating,
        link,
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
    from bitstation.host.posix_access import (
        create_file,
        make_dir,
        make_private,
        open_file,
        others_may_read,
        others_may_write,
        shut_out,
    )

__all__ = [
    "FLUSH_FLAGS",
    "HAS_MODES",
    "FileLock",
    "StatFacts",
    "clone_file",
    "create_file",
    "drop_written",
    "is_link",
    "is_rotating",
    "link",
    "make_dir",
    "make_private",
    "may_set_mode",
    "mount_points",
    "native_path",
    "open_file",
    "others_may_read",
    "others_may_write",
    "path_limit",
    "preallocate",
    "remove",
    "replace",
    "set_executable",
    "set_writable",
    "shared_pool",
    "shut_out",
    "start_writeback",
    "stat_facts",
    "sync_dir",
    "takes_length",
    "tune_memory",
    "write_at",
]
