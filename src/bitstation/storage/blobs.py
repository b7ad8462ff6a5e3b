"""HQ's blobs in a folder: one read-only file for each digest, under a name made of it.

``blobs/sha256/ab/cd/<64 hex>`` holds a proved blob, ``incoming/<64 hex>.part`` one that is still
arriving. Whatever has its final name was verified and made durable before it got it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from bitstation import host
from bitstation.core.digest import Digest, is_digest
from bitstation.errors import (
    DigestMismatch,
    DiskFull,
    IntegrityError,
    NotFound,
    StoreError,
    StoreLocked,
)
from bitstation.storage.durable import WRITEBACK_BYTES, Disk
from bitstation.storage.faults import disk_errors, free_bytes

_PART_SUFFIX = ".part"
_READ_BLOCK_BYTES = 4 * 1024 * 1024
# Uploads that wait for their next bytes keep their hash in memory; beyond so many, the oldest is
# read again when it goes on.
_MAX_KEPT_HASHES = 4096


class BlobFolder:
    """Content-addressed store below ``folder``, for one process; callable from several threads."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        folder = host.native_path(folder.absolute())
        self._blobs = folder / "blobs" / "sha256"
        self._incoming = folder / "incoming"
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._claimed: set[Digest] = set()
        self._waiting: dict[Digest, _Partial] = {}
        with disk_errors(folder):
            self._disk.make_dir(self._blobs)
            self._disk.make_dir(self._incoming)

    def path_of(self, digest: Digest) -> Path:
        """Where a blob lies, or would lie. Raises ValueError for what is no digest."""
        if not is_digest(digest):
            raise ValueError(f"{digest!r} is not a digest")
        return self._blobs / digest[:2] / digest[2:4] / digest

    def has(self, digest: Digest) -> bool:
        """Say whether the whole, proved blob is here."""
        return self.size(digest) is not None

    def size(self, digest: Digest) -> int | None:
        """Size of a blob in bytes; None when it is not here."""
        try:
            return self.path_of(digest).stat().st_size
        except FileNotFoundError:
            return None

    def open_read(self, digest: Digest) -> BinaryIO:
        """Unbuffered reader of a blob. Raises NotFound."""
        path = self.path_of(digest)
        with disk_errors(path):
            try:
                return path.open("rb", buffering=0)
            except FileNotFoundError as error:
                raise NotFound(source="the blob folder", what=f"blob {digest}") from error

    def received(self, digest: Digest) -> int:
        """Bytes of an unfinished upload that are here."""
        try:
            return self._part(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def check(self) -> None:
        """Raise StoreError when the folder cannot be read and written."""
        for folder in (self._blobs, self._incoming):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise StoreError(path=str(folder), detail="is not there to be read and written")

    def check_space(self, needed_bytes: int) -> None:
        """Refuse what the volume cannot take. Raises DiskFull."""
        free = free_bytes(self._incoming)
        if needed_bytes > free:
            raise DiskFull(path=str(self._incoming), needed_bytes=needed_bytes, free_bytes=free)

    def upload(self, digest: Digest, size_bytes: int) -> Upload | None:
        """The one writer of a blob that is arriving, placed behind what was already received.

        None when the blob is here. Raises StoreLocked while another upload of the same blob runs.
        Cost: what a former process received is read and hashed once.
        """
        path = self._part(digest)
        with self._lock:
            if digest in self._claimed:
                raise StoreLocked(path=f"blob {digest}", holder="another upload of it")
            self._claimed.add(digest)
            partial = self._waiting.pop(digest, None)
        try:
            if self.has(digest):
                self.end_upload(digest, None)
                return None
            with disk_errors(path):
                partial = self._resumed(partial, path, size_bytes)
                return Upload(self, self._disk, digest, size_bytes, partial)
        except BaseException:
            self.end_upload(digest, None)
            raise

    def end_upload(self, digest: Digest, partial: _Partial | None) -> None:
        """Let the next upload of the blob begin; called when one is closed."""
        with self._lock:
            self._claimed.discard(digest)
            if partial is not None and partial.received:
                while len(self._waiting) >= _MAX_KEPT_HASHES:
                    del self._waiting[next(iter(self._waiting))]
                self._waiting[digest] = partial

    def adopt(self, path: Path, digest: Digest) -> None:
        """Take in a file of this volume whose content was just proved; its old name is gone.

        Crash: the blob is absent, or whole and durable; never a part under its name.
        """
        target = self.path_of(digest)
        with disk_errors(path):
            self._disk.settle_path(path)
            self._disk.set_writable(path, False)
            for folder in (target.parent.parent, target.parent):
                if not folder.is_dir():
                    self._disk.make_dir(folder)
                    self._disk.sync_dir(folder.parent)
            self._disk.replace(path, target)
            self._disk.sync_dir(target.parent)

    def remove(self, digest: Digest) -> None:
        """Remove a blob; an absent one is fine."""
        path = self.path_of(digest)
        with disk_errors(path):
            self._disk.remove(path)

    def sweep_incoming(self, older_than_s: float) -> int:
        """Remove uploads that nobody went on with for so long, and give their number."""
        limit = time.time() - older_than_s
        with disk_errors(self._incoming):
            stale = [part for part in self._incoming.iterdir() if part.stat().st_mtime < limit]
            for part in stale:
                self._disk.remove(part)
        return len(stale)

    def _part(self, digest: Digest) -> Path:
        return self._incoming / (self.path_of(digest).name + _PART_SUFFIX)

    def _resumed(self, partial: _Partial | None, path: Path, size_bytes: int) -> _Partial:
        on_disk = path.stat().st_size if path.exists() else 0
        if on_disk > size_bytes:
            self._disk.remove(path)
            return _Partial(path)
        if on_disk:
            # A crash inside ``adopt`` leaves it read-only.
            self._disk.set_writable(path, True)
        # A write that failed half-way leaves more on the disk than was hashed.
        if partial is not None and partial.received == on_disk:
            return partial
        return _Partial.of_file(path) if on_disk else _Partial(path)


class _Partial:
    """The first ``received`` bytes of a blob: where they are, and their hash so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hasher = hashlib.sha256()
        self.received = 0

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Read and hash what a former process received."""
        partial = cls(path)
        block = memoryview(bytearray(_READ_BLOCK_BYTES))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                partial.take(block[:count])
        return partial

    def take(self, data: bytes | bytearray | memoryview) -> None:
        """Hash the next bytes."""
        self.hasher.update(data)
        self.received += len(data)


class Upload:
    """A blob that is arriving. Leaving the ``with`` block keeps what came, to go on with later."""

    def __init__(
        self, blobs: BlobFolder, disk: Disk, digest: Digest, size_bytes: int, partial: _Partial
    ) -> None:
        self.digest = digest
        self.size_bytes = size_bytes
        self._blobs = blobs
        self._disk = disk
        self._partial = partial
        self._file = disk.open_append(partial.path)
        self._done = False

    @property
    def received(self) -> int:
        """Bytes that are here; the next ones go behind them."""
        return self._partial.received

    @property
    def is_complete(self) -> bool:
        """Say whether all bytes are here, so that ``finish`` can prove them."""
        return self.received == self.size_bytes

    def restart(self) -> None:
        """Drop what was received."""
        path = self._partial.path
        with disk_errors(path):
            self._drop()
            self._partial = _Partial(path)
            self._file = self._disk.open_append(path)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises IntegrityError, and drops all, when they exceed the blob's size."""
        before, after = self.received, self.received + len(data)
        if after > self.size_bytes:
            self._drop()
            raise IntegrityError(
                what=f"upload of blob {self.digest}",
                expected=f"{self.size_bytes} bytes",
                actual="more",
            )
        with disk_errors(self._partial.path, self.size_bytes - before):
            self._disk.write(self._file, data)
            if before // WRITEBACK_BYTES != after // WRITEBACK_BYTES:
                start = before // WRITEBACK_BYTES * WRITEBACK_BYTES
                host.start_writeback(self._file.fileno(), start, WRITEBACK_BYTES)
        self._partial.take(data)

    def finish(self) -> None:
        """Prove the blob and give it its name. Raises DigestMismatch, and drops all.

        Crash: see ``BlobFolder.adopt``.
        """
        actual = self._partial.hasher.hexdigest()
        if actual != self.digest:
            self._drop()
            raise DigestMismatch(
                path=f"blob {self.digest}", source="upload", expected=self.digest, actual=actual
            )
        self._file.close()
        self._blobs.adopt(self._partial.path, self.digest)
        self._done = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._blobs.end_upload(self.digest, None if self._done else self._partial)

    def _drop(self) -> None:
        self._file.close()
        self._disk.remove(self._partial.path)
        self._partial = _Partial(self._partial.path)
