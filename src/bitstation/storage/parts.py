"""One long file kept as several: release hosts cap an asset, so packages are cut to fit.

``NAME.zip.001``, ``.002`` ... are cut at byte counts without regard to content; joined they are
the package. A package that fits whole is just ``NAME.zip``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from bitstation.errors import StoreError
from bitstation.storage.durable import Disk

MAX_PARTS = 999

_PART_SUFFIX = re.compile(r"\.(?!000)([0-9]{3})\Z", re.ASCII)


def part_path(whole: Path, number: int) -> Path:
    """Path of a part, counted from 1."""
    return whole.with_name(f"{whole.name}.{number:03}")


def whole_path(path: Path) -> Path:
    """Path of the package that ``path`` is, or is a part of."""
    return path.with_name(_PART_SUFFIX.sub("", path.name))


def part_number(name: str, whole: Path) -> int:
    """Number of the part of ``whole`` that is called ``name``; 0 for any other name."""
    match = _PART_SUFFIX.search(name)
    return int(match[1]) if match and name[: match.start()] == whole.name else 0


def find_parts(path: Path) -> list[Path]:
    """Files that make up the package of which ``path`` is the whole or any part.

    Parts are taken when ``path`` names one or there is no whole; gaps are for the caller to find.
    """
    whole = whole_path(path)
    if whole == path and path.is_file():
        return [path]
    try:
        beside = sorted(whole.parent.iterdir())
    except FileNotFoundError:
        return []
    return [found for found in beside if part_number(found.name, whole) and found.is_file()]


class PartsWriter:
    """Writes one long file as parts of at most ``max_bytes``. Sequential, but for ``patch``.

    Raises OSError, and StoreError when there would be more than MAX_PARTS parts.
    """

    def __init__(self, whole: Path, max_bytes: int, disk: Disk) -> None:
        self._whole = whole
        self._max_bytes = max_bytes
        self._disk = disk
        self._parts: list[Path] = []
        self._file: BinaryIO | None = None
        self._position = 0

    def tell(self) -> int:
        """Bytes written so far."""
        return self._position

    def write(self, data: bytes | memoryview) -> None:
        """Append to the file, going on in a new part where one is full."""
        view = memoryview(data)
        while view:
            room = len(self._parts) * self._max_bytes - self._position
            if room == 0:
                self._begin_part()
                continue
            assert self._file is not None
            self._disk.write(self._file, view[:room])
            self._position += min(room, len(view))
            view = view[room:]

    def patch(self, offset: int, data: bytes) -> None:
        """Overwrite bytes that were written before."""
        while data:
            index, start = divmod(offset, self._max_bytes)
            piece = data[: self._max_bytes - start]
            if index == len(self._parts) - 1 and self._file is not None:
                self._file.seek(start)
                self._disk.write(self._file, piece)
                self._file.seek(0, os.SEEK_END)
            else:
                with self._parts[index].open("r+b", buffering=0) as file:
                    file.seek(start)
                    self._disk.write(file, piece)
            offset, data = offset + len(piece), data[len(piece) :]

    def finish(self) -> list[Path]:
        """Make all durable; gives the parts, or the one file under its plain name."""
        self.close()
        for path in self._parts:
            self._disk.sync_path(path)
        if len(self._parts) == 1:
            self._disk.replace(self._parts[0], self._whole)
            self._parts = [self._whole]
        self._disk.sync_dir(self._whole.parent)
        return self._parts

    def close(self) -> None:
        """Close the part being written; what there is stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin_part(self) -> None:
        self.close()
        if len(self._parts) == MAX_PARTS:
            raise StoreError(
                path=str(self._whole),
                detail=f"needs more than {MAX_PARTS} parts of {self._max_bytes} bytes",
            )
        path = part_path(self._whole, len(self._parts) + 1)
        self._file = self._disk.open_new(path)
        self._parts.append(path)


class PartsReader:
    """Reads parts as the one file they are. For one thread; each opens its own."""

    def __init__(self, parts: Sequence[tuple[Path, int]]) -> None:
        """``parts``: path and size in bytes of each, in order."""
        self._parts = parts
        self._file: FileIO | None = None
        self._left = 0
        self._offset = 0

    @property
    def size_bytes(self) -> int:
        """Length of the whole."""
        return sum(size for _path, size in self._parts)

    def seek(self, offset: int) -> None:
        """Go to a byte of the whole."""
        ahead = offset - self._offset
        if self._file is not None and 0 <= ahead < self._left:
            self._file.seek(ahead, os.SEEK_CUR)
            self._left -= ahead
        else:
            self.close()
        self._offset = offset

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer``; 0 at the end of the last part. Raises OSError."""
        if self._left == 0:
            self._open_part()
        if self._file is None:
            return 0
        count = self._file.readinto(buffer[: self._left])
        self._left -= count
        self._offset += count
        return count

    def read(self, length: int) -> bytes:
        """Next ``length`` bytes, fewer only at the end of the last part. Raises OSError."""
        data = bytearray(length)
        view, done = memoryview(data), 0
        while done < length and (count := self.readinto(view[done:])):
            done += count
        return bytes(data[:done])

    def close(self) -> None:
        """Close the part being read."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._left = 0

    def _open_part(self) -> None:
        self.close()
        start = 0
        for path, size in self._parts:
            if start <= self._offset < start + size:
                self._file = FileIO(path, "rb")
                self._file.seek(self._offset - start)
                self._left = start + size - self._offset
                return
            start += size
