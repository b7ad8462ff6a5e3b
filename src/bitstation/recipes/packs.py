"""A pack: packed blocks or patches one after the other in a file that its SHA-256 names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bitstation.core.digest import Digest
from bitstation.core.recipe import Fetch, Patch, Segment
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors

PENDING = Digest("pending")
"""Stands for the pack in steps that are made while it is still written."""

_BUFFER_BYTES = 1 << 20


class MadePack(msgspec.Struct, frozen=True):
    """A finished pack; ``path`` is a temporary file, whoever asked for it moves or removes it."""

    digest: Digest
    size_bytes: int
    path: Path


class PackWriter:
    """Writes one pack. Raises StoreError, DiskFull.

    Crash: a file without meaning in a folder for temporary ones.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self.size_bytes = 0
        self._path = path
        self._disk = disk
        self._hasher = hashlib.sha256()
        self._buffer = bytearray()
        with disk_errors(path):
            self._file = disk.open_new(path, replace=True)

    def add(self, data: bytes | bytearray) -> int:
        """Offset of these bytes in the pack."""
        offset = self.size_bytes
        self.size_bytes += len(data)
        self._buffer += data
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush()
        return offset

    def finish(self) -> MadePack | None:
        """The pack; None, and no file, where nothing was added."""
        self._flush()
        self._file.close()
        if not self.size_bytes:
            self.discard()
            return None
        return MadePack(Digest(self._hasher.hexdigest()), self.size_bytes, self._path)

    def take(self) -> bytes:
        """What was added, few bytes; no file is left."""
        with disk_errors(self._path):
            self._flush()
            self._file.close()
            data = self._path.read_bytes()
        self.discard()
        return data

    def discard(self) -> None:
        """Leave nothing."""
        self._file.close()
        with disk_errors(self._path):
            self._disk.remove(self._path)

    def _flush(self) -> None:
        self._hasher.update(self._buffer)
        with disk_errors(self._path, self.size_bytes):
            self._disk.write(self._file, self._buffer)
        self._buffer.clear()


def settled(segments: Iterable[Segment], blob: Digest) -> tuple[Segment, ...]:
    """Segments whose pending steps name the blob that their pack became, in ascending order."""
    return tuple(
        _settled(each, blob) for each in sorted(segments, key=lambda segment: segment.first)
    )


def _settled(segment: Segment, blob: Digest) -> Segment:
    step = segment.step
    if not isinstance(step, Fetch | Patch) or step.blob != PENDING:
        return segment
    return Segment(segment.first, segment.count, msgspec.structs.replace(step, blob=blob))
