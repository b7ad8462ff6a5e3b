"""Every call that changes this machine's disk, in one class.

Nothing else in the package mutates a file (but for the ledger's database and locks), so tests can
stand in its place: to record each call, to fail any of them, or to stop the world after it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.scopes import TEMPORARY_SUFFIX

COPY_BLOCK_BYTES = 8 * 1024 * 1024
WRITEBACK_BYTES = 32 * 1024 * 1024
"""Dirty pages are handed to the disk this often, so that the sync at the end finds little to do."""

# Larger calls make the file system take larger pieces of memory for its cache, and those a virtual
# machine often has to ask its host for first: 1 GB on ext4 took 0.3 s so, and 1.7 s at 2 MiB.
_WRITE_BYTES = 64 * 1024
# Within a file whose space is reserved twice as much does better: 1 GB of blocks from four
# connections took 1.85 s with calls of 64 KiB, 1.72 s with 128 and 1.64 s with 1 MiB.
_WRITE_AT_BYTES = 128 * 1024


class Disk:
    """The mutating calls. All paths are absolute; OSError passes through untranslated.

    With ``below``, a folder of ours above them, no link between is followed, even one that is
    planted meanwhile: OSError. On Windows such a one is seen right after, before a byte is written.
    """

    def make_dir(self, path: Path, *, private: bool = False) -> None:
        """Create a folder and its parents; an existing one is fine, and stays as it is."""
        host.make_dir(path, private=private)

    def make_private(self, path: Path) -> None:
        """Let only the owner read or write what exists."""
        host.make_private(path)

    def shut_out(self, path: Path) -> None:
        """Let nobody else write in a folder that we made, whatever is above it."""
        host.shut_out(path)

    def write_file(
        self, path: Path, data: bytes, *, private: bool = False, below: Path | None = None
    ) -> None:
        """Replace a file's whole content.

        Crash: the earlier or the new content stands under the name, never a part; afterwards the
        new content is durable. Source: write, fsync, rename, fsync of the folder (OSDI 14, ALICE).
        """
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        with self.open_new(temporary, replace=True, private=private, below=below) as file:
            self.write(file, data)
            self.sync_file(file)
        self.replace(temporary, path, below=below)
        self.sync_dir(path.parent)

    def open_new(
        self,
        path: Path,
        *,
        replace: bool = False,
        private: bool = False,
        below: Path | None = None,
    ) -> BinaryIO:
        """Create a file for unbuffered writing; it must not exist.

        With ``replace`` a name that stands there is removed first. Its file is not emptied: it may
        be a hard link that somebody planted, and have another name elsewhere. ``private``: for the
        owner alone, from the first byte on.
        """
        if replace:
            with contextlib.suppress(FileNotFoundError):
                host.remove(path, below)
        fd = host.create_file(path, os.O_RDWR | os.O_EXCL, private=private, below=below)
        return os.fdopen(fd, "wb", 0)

    def open_within(self, path: Path, *, below: Path | None = None) -> BinaryIO:
        """Open a file that exists for unbuffered writing within it."""
        return os.fdopen(host.open_file(path, below), "r+b", 0)

    def open_append(self, path: Path) -> BinaryIO:
        """Open a file for unbuffered appending, creating it if it is absent."""
        fd = host.create_file(path, os.O_WRONLY | os.O_APPEND)
        return os.fdopen(fd, "ab", 0)

    def write(self, file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data`` at the file's position: the system may take less at a time."""
        view = memoryview(data)
        while view:
            written = file.write(view[:_WRITE_BYTES])
            view = view[written:]

    def write_at(self, file: BinaryIO, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data`` from ``offset`` on; several threads may do so at once."""
        view = memoryview(data)
        while view:
            written = host.write_at(file.fileno(), view[:_WRITE_AT_BYTES], offset)
            view, offset = view[written:], offset + written

    def preallocate(self, file: BinaryIO, size_bytes: int) -> None:
        """Reserve space, so that a full disk shows before the bytes are fetched."""
        host.preallocate(file.fileno(), size_bytes)

    def truncate(self, file: BinaryIO, size_bytes: int) -> None:
        """Make an open file exactly so long."""
        file.truncate(size_bytes)

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        """Let a new file share all blocks of another (copy on write); False where it cannot."""
        return host.clone_file(source.fileno(), target.fileno())

    def set_executable(self, file: BinaryIO) -> None:
        """Let everyone who may read an open file execute it."""
        host.set_executable(file.fileno())

    def set_writable(self, path: Path, writable: bool) -> None:
        """Set or clear the write permission of a file."""
        host.set_writable(path, writable)

    def copy_stamps(self, source: Path, target: Path) -> None:
        """Give a copy the times and permissions of its original."""
        shutil.copystat(source, target)

    def sync_file(self, file: BinaryIO) -> None:
        """Make the content of an open file durable."""
        os.fsync(file.fileno())

    def sync_path(self, path: Path) -> None:
        """Make the content of a closed file durable."""
        flags = host.FLUSH_FLAGS
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def settle_path(self, path: Path) -> None:
        """Make the content of a closed file durable, or remove it and raise OSError.

        After a sync that failed the kernel may count lost pages as written: a second sync would
        succeed and prove nothing, so the file has to be written anew.
        """
        try:
            self.sync_path(path)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(path)
            raise

    def sync_dir(self, path: Path) -> None:
        """Make the names in a folder durable."""
        host.sync_dir(path)

    def sync_dirs(self, paths: Iterable[Path], top: Path) -> None:
        """Make the names in folders durable, and the folders themselves, up to and with ``top``."""
        pending = {path for path in paths if path == top or top in path.parents}
        wanted = {top}
        while pending:
            path = pending.pop()
            if path not in wanted:
                wanted.add(path)
                pending.add(path.parent)
        for path in sorted(wanted, key=lambda each: -len(each.parts)):
            self.sync_dir(path)

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        """Move a name over another, atomically, waiting out scanners on Windows."""
        host.replace(source, target, below)

    def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        """Give a file a second name; it alone is to be ``below``."""
        host.link(source, target, below)

    def symlink(self, target: Path, text: str) -> None:
        """Create a symbolic link that says ``text``."""
        target.symlink_to(text)

    def remove(self, path: Path, *, below: Path | None = None) -> None:
        """Remove a file's or link's name; an absent one is fine."""
        with contextlib.suppress(FileNotFoundError):
            host.remove(path, below)

    def remove_dir(self, path: Path) -> None:
        """Remove an empty folder; an absent one is fine."""
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()

    def remove_tree(self, path: Path) -> None:
        """Remove a folder and all in it; links are removed, never followed. Absent is fine."""
        pending = [(path, True, False)]
        while pending:
            name, may_be_folder, is_empty = pending.pop()
            if is_empty:
                self.remove_dir(name)
            elif may_be_folder and not host.is_link(name) and name.is_dir():
                pending.append((name, True, True))
                pending.extend((below, is_dir, False) for below, is_dir in _listed(name))
            else:
                self.remove(name)


def make_dirs(disk: Disk, folders: Collection[Path], top: Path) -> None:
    """Have folders there for good, up to ``top``: what moves into one that is lost is lost too."""
    for folder in sorted(folders):
        disk.make_dir(folder)
    disk.sync_dirs(folders, top)


def sync_tree(disk: Disk, folder: Path, top: Path) -> None:
    """Make every name below a folder durable, and the folder itself, up to ``top``."""
    disk.sync_dirs([Path(below) for below, _folders, _files in os.walk(folder)], top)


def _listed(path: Path) -> list[tuple[Path, bool]]:
    """Names in a folder, and whether each may be a folder: a junction looks like one."""
    try:
        with os.scandir(path) as entries:
            return [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return []
