"""Who may read and write what we make: Linux and macOS."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import os
    import stat
    from pathlib import Path

    from bitstation.host.posix import reached

    # The user's umask takes more away, and decides of his group; everyone else never writes.
    _FILE = 0o664
    _FOLDER = 0o775
    _PRIVATE_FILE = 0o600
    _PRIVATE_FOLDER = 0o700

    def create_file(
        path: Path, flags: int, *, private: bool = False, below: Path | None = None
    ) -> int:
        """Open a file of ours for writing, created if need be; a link in its place is refused.

        Only its owner may read one that is ``private``, from the first moment on.
        """
        mode = _PRIVATE_FILE if private else _FILE
        flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with reached(path, below) as (name, folder):
            return os.open(name, flags, mode, dir_fd=folder)

    def open_file(path: Path, below: Path | None = None) -> int:
        """Open a file that exists to read and write it; a link in its place is refused."""
        with reached(path, below) as (name, folder):
            return os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)

    def make_dir(path: Path, *, private: bool = False) -> None:
        """Create a folder and the parents it lacks; an existing one stays as it is."""
        if path.is_dir():
            return
        if path.parent != path:
            make_dir(path.parent)
        try:
            os.mkdir(path, _PRIVATE_FOLDER if private else _FOLDER)
        except FileExistsError:
            if not path.is_dir():
                raise

    def make_private(path: Path) -> None:
        """Let only the owner read or write."""
        os.chmod(path, _PRIVATE_FOLDER if path.is_dir() else _PRIVATE_FILE)

    def shut_out(path: Path) -> None:
        """Take the right to write in a folder from everyone but its owner and his group."""
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if mode & stat.S_IWOTH:
            os.chmod(path, mode & ~stat.S_IWOTH)

    def others_may_read(path: Path) -> bool:
        """Say whether anyone but the owner may read a file."""
        return bool(os.lstat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH))

    def others_may_write(path: Path) -> bool:
        """Say whether everyone may write here, or another user than this one and root owns it."""
        found = os.lstat(path)
        return bool(found.st_mode & stat.S_IWOTH) or found.st_uid not in (0, os.geteuid())
