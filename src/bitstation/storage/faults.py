"""Foreign disk errors become ours at this border; the cause is kept."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitstation.errors import (
    BitStationError,
    DiskFull,
    FileInUse,
    PermissionRefused,
    StoreError,
    StoreLocked,
    VolumeUnfit,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
# Too long a name or file, and what network volumes lack: locks, and links.
_UNFIT = {errno.ENAMETOOLONG, errno.EFBIG, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Winerrors: 5 access denied, 32 and 33 sharing and lock violations, 39 and 112 disk full, 206 name
# too long, 223 file too large.
_WIN_IN_USE = {32, 33}
_WIN_FULL = {112, 39}
_WIN_UNFIT = {206, 223}
_DB_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


@contextmanager
def disk_errors(path: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Raise an OSError of the block as one of our kinds of StoreError, or FileInUse."""
    try:
        yield
    except OSError as error:
        raise translated(error, path, needed_bytes) from error


def translated(error: OSError, path: Path, needed_bytes: int = 0) -> BitStationError:
    """Our error for an OSError met at ``path``."""
    where = str(error.filename or path)
    win_error = getattr(error, "winerror", None)
    detail = error.strerror or str(error)
    if error.errno in _FULL or win_error in _WIN_FULL:
        return DiskFull(path=where, needed_bytes=needed_bytes, free_bytes=free_bytes(path))
    if error.errno in _UNFIT or win_error in _WIN_UNFIT:
        return VolumeUnfit(path=where, detail=detail)
    if win_error in _WIN_IN_USE or error.errno in (errno.EBUSY, errno.ETXTBSY):
        return FileInUse(path=where, detail=detail)
    if error.errno in _REFUSED:
        return PermissionRefused(path=where, detail=detail)
    return StoreError(path=where, detail=detail)


def database_error(error: sqlite3.Error, path: Path) -> BitStationError:
    """Our error for what SQLite raised over the database at ``path``."""
    name, detail = _primary_name(error), str(error)
    if name == "SQLITE_FULL":
        return DiskFull(path=str(path), needed_bytes=0, free_bytes=free_bytes(path))
    if name in ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"):
        return PermissionRefused(path=str(path), detail=detail)
    if name in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return StoreLocked(path=str(path), holder=detail)
    return StoreError(path=str(path), detail=detail)


def is_database_damaged(error: sqlite3.Error) -> bool:
    """Say whether the database itself is not one, or no longer."""
    return _primary_name(error) in _DB_DAMAGED


def _primary_name(error: sqlite3.Error) -> str:
    """Name of SQLite's result code without its extension: ``SQLITE_READONLY`` and the like."""
    name: str = getattr(error, "sqlite_errorname", "")
    return "_".join(name.split("_")[:2])


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the volume of a path, or of its nearest parent."""
    for folder in (path, *path.parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return 0
