"""Volumes that can less than others, as disks: no links, no long files, no case, little room."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO

from bitstation.core.relpath import fold_key
from bitstation.testing.faulty_disk import QuickDisk

Data = bytes | bytearray | memoryview


def refuse(number: int, path: Path | None = None) -> OSError:
    """An error of the system."""
    return OSError(number, os.strerror(number), str(path) if path else None)


class NoClone(QuickDisk):
    """A volume without copy on write, which is what most are."""

    def clone(self, source: BinaryIO, target: BinaryIO) -> bool:
        """No."""
        return False


class NoLinks(NoClone):
    """A volume without hard links either, such as exFAT."""

    def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        """Refuse."""
        raise refuse(errno.EPERM, target)


class ShortFiles(NoLinks):
    """A volume on which no file is longer than so many bytes: on FAT32 4 GiB - 1."""

    def __init__(self, longest_bytes: int) -> None:
        self._longest_bytes = longest_bytes

    def write(self, file: BinaryIO, data: Data) -> None:
        """Write, unless the file became too long."""
        self._check(file.tell() + len(data))
        super().write(file, data)

    def write_at(self, file: BinaryIO, offset: int, data: Data) -> None:
        """Write, unless the file became too long."""
        self._check(offset + len(data))
        super().write_at(file, offset, data)

    def preallocate(self, file: BinaryIO, size_bytes: int) -> None:
        """Reserve, unless the file became too long."""
        self._check(size_bytes)
        super().preallocate(file, size_bytes)

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._longest_bytes:
            raise refuse(errno.EFBIG)


class Room(NoLinks):
    """A volume that takes so many bytes more, and what it reserves it does not keep.

    So it is where a volume compresses, where a user has a quota, and where others write as well.
    """

    def __init__(self, free_bytes: int, number: int = errno.ENOSPC) -> None:
        self.free_bytes = free_bytes
        self._number = number
        self._lock = threading.Lock()

    def write(self, file: BinaryIO, data: Data) -> None:
        """Write what there is room for."""
        taken = self._take(len(data))
        super().write(file, memoryview(data)[:taken])
        self._check(taken, len(data))

    def write_at(self, file: BinaryIO, offset: int, data: Data) -> None:
        """Write what there is room for."""
        taken = self._take(len(data))
        super().write_at(file, offset, memoryview(data)[:taken])
        self._check(taken, len(data))

    def preallocate(self, file: BinaryIO, size_bytes: int) -> None:
        """Make it as long, of nothing."""
        file.truncate(size_bytes)

    def _take(self, count: int) -> int:
        with self._lock:
            taken = min(count, self.free_bytes)
            self.free_bytes -= taken
            return taken

    def _check(self, taken: int, count: int) -> None:
        if taken < count:
            raise refuse(self._number)


class Caseless(NoLinks):
    """A volume on which names that differ in case are one: what is made takes the name it finds."""

    def make_dir(self, path: Path, *, private: bool = False) -> None:
        """Create a folder, unless it is there."""
        super().make_dir(caseless(path), private=private)

    def open_new(self, path: Path, **how: Any) -> BinaryIO:
        """Create a file, or open the one that is there."""
        return super().open_new(caseless(path), **how)

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        """Move over the name that is there."""
        super().replace(caseless(source), caseless(target), below=below)


def caseless(path: Path) -> Path:
    """The path under the names that are there, in whatever case they are."""
    found = Path(path.anchor)
    for name in path.parts[1:]:
        names = [each.name for each in found.iterdir()] if found.is_dir() else []
        same = [each for each in names if fold_key(each) == fold_key(name)]
        found /= name if name in names or not same else same[0]
    return found


class FullBelow(QuickDisk):
    """A folder that is a volume of its own and full, from the n-th call below it on."""

    def __init__(self, folder: Path, call: int) -> None:
        self._folder = folder
        self._left = call
        self._files: set[int] = set()
        self.has_struck = False

    def open_new(self, path: Path, **how: Any) -> BinaryIO:
        """Create a file, unless there is no room."""
        self._check(path)
        return self._watched(path, super().open_new(path, **how))

    def open_append(self, path: Path) -> BinaryIO:
        """Open a file, unless there is no room."""
        self._check(path)
        return self._watched(path, super().open_append(path))

    def make_dir(self, path: Path, *, private: bool = False) -> None:
        """Create a folder, unless there is no room."""
        if not path.is_dir():
            self._check(path)
        super().make_dir(path, private=private)

    def write(self, file: BinaryIO, data: Data) -> None:
        """Write, unless there is no room."""
        if file.fileno() in self._files:
            self._check(self._folder / "of it")
        super().write(file, data)

    def _watched(self, path: Path, file: BinaryIO) -> BinaryIO:
        is_below = self._folder in path.parents
        (self._files.add if is_below else self._files.discard)(file.fileno())
        return file

    def _check(self, path: Path) -> None:
        if self._folder in path.parents:
            self._left -= 1
            if self._left <= 0:
                self.has_struck = True
                raise refuse(errno.ENOSPC, path)
