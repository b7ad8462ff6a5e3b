"""Blobs into a folder: shared where the volume can, copied with flat memory, proved on the way."""

from __future__ import annotations

import hashlib
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.core.wire import BlobWanted
from bitstation.errors import DigestMismatch, FileChanged
from bitstation.publisher.destination import Cargo
from bitstation.storage.durable import COPY_BLOCK_BYTES, WRITEBACK_BYTES, Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.transport.source import RangeReader


class BlobCopier:
    """Writes blobs under temporary names in ``work`` and moves them to their own when durable.

    Raises DigestMismatch, FileChanged, SourceError, DiskFull, StoreError, UpdateCancelled.
    Crash: a file without meaning in ``work``. Cost: a file that the ledger proves is not hashed.
    """

    def __init__(self, work: Path, disk: Disk, ledger: Ledger, stop: Stop) -> None:
        self._work = work
        self._disk = disk
        self._ledger = ledger
        self._stop = stop
        self._block = memoryview(bytearray(COPY_BLOCK_BYTES))

    def copy(self, blob: BlobWanted, target: Path, cargo: Cargo, on_bytes: OnBytes) -> None:
        """Bring one blob to its name, whose folder must be made durable by the caller."""
        temporary = self._work / blob.sha256
        with disk_errors(target, blob.size):
            with self._disk.open_new(temporary, replace=True) as out:
                file = cargo.file_of(blob.sha256)
                if file is None or not self._take_file(file, blob, out, on_bytes):
                    self._read(blob, cargo, out, on_bytes)
                self._disk.sync_file(out)
            self._disk.replace(temporary, target)

    def _take_file(self, file: Path, blob: BlobWanted, out: BinaryIO, on_bytes: OnBytes) -> bool:
        """Copy a file that is proved to be the blob and stays so; False where it is not proved."""
        with FileIO(file) as reader:
            before = host.stat_facts(reader.fileno())
            if self._ledger.proof(before) != blob.sha256:
                return False
            if self._disk.clone(reader, out):
                on_bytes(blob.size)
            else:
                self._write(reader, blob.size, out, on_bytes)
            if not before.same_content_as(host.stat_facts(reader.fileno())):
                raise FileChanged(path=str(file))
        return True

    def _read(self, blob: BlobWanted, cargo: Cargo, out: BinaryIO, on_bytes: OnBytes) -> None:
        hasher = hashlib.sha256()
        with cargo.source.read_range(blob.sha256, 0, blob.size) as reader:
            self._write(reader, blob.size, out, on_bytes, hasher)
        actual = Digest(hasher.hexdigest())
        if actual != blob.sha256:
            raise DigestMismatch(
                path=blob.sha256, source=cargo.source.name, expected=blob.sha256, actual=actual
            )

    def _write(
        self,
        reader: RangeReader | FileIO,
        size_bytes: int,
        out: BinaryIO,
        on_bytes: OnBytes,
        hasher: hashlib._Hash | None = None,
    ) -> None:
        left, flushed, dropped = size_bytes, 0, 0
        while left and (count := reader.readinto(self._block[:left])):
            data = self._block[:count]
            if hasher:
                hasher.update(data)
            self._disk.write(out, data)
            left -= count
            if (written := size_bytes - left) - flushed >= WRITEBACK_BYTES:
                host.start_writeback(out.fileno(), flushed, written - flushed)
                # Whoever serves it may be another machine: here it needs no memory for itself.
                host.drop_written(out.fileno(), dropped, flushed - dropped)
                flushed, dropped = written, flushed
            on_bytes(count)
            self._stop.check()
