"""Maps of files that this user cut before: a release's files are read once, not at every run."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.blockmap import DIGEST_BYTES, BlockMap, encode_blockmap, parse_blockmap
from bitstation.core.digest import Digest, digest_of
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import ManifestError
from bitstation.publisher.cache import cache_dir
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors

MAX_BYTES = 256 * 1024 * 1024
"""Of all maps together: those of 7 TB of models."""

# Another way of cutting needs another folder: maps of both would find less in common.
_FOLDER = "maps-1"


class MapCache:
    """Encoded maps by the digest of their file, each with its own digest in front."""

    def __init__(
        self, disk: Disk, *, folder: Path | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        self._disk = disk
        self._folder = folder or cache_dir() / _FOLDER
        self._max_bytes = max_bytes
        self._unchecked_bytes = max_bytes

    def load(self, digest: Digest) -> BlockMap | None:
        """Map of the file with this digest; None where it is lacking or damaged."""
        try:
            data = (self._folder / digest).read_bytes()
        except OSError:
            return None
        stated, encoded = data[:DIGEST_BYTES].hex(), data[DIGEST_BYTES:]
        if digest_of(encoded) != stated:
            return None
        try:
            found = parse_blockmap(encoded)
        except ManifestError:
            return None
        return found if found.file_digest == digest else None

    def save(self, blockmap: BlockMap) -> None:
        """Keep a map; the oldest ones go where there are too many. Raises StoreError, DiskFull.

        Crash: the map, or a part of it that its digest gives away, for nothing here is synced.
        """
        encoded = encode_blockmap(blockmap)
        data = bytes.fromhex(digest_of(encoded)) + encoded
        path = self._folder / blockmap.file_digest
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        with disk_errors(path, len(data)):
            self._disk.make_dir(self._folder)
            with self._disk.open_new(temporary, truncate=True) as file:
                self._disk.write(file, data)
            self._disk.replace(temporary, path)
            self._unchecked_bytes += len(data)
            if self._unchecked_bytes > self._max_bytes // 16:
                self._prune()

    def _prune(self) -> None:
        self._unchecked_bytes = 0
        stats = [(path.stat(), path) for path in self._folder.iterdir()]
        total = sum(stat.st_size for stat, _ in stats)
        for stat, path in sorted(stats, key=lambda each: each[0].st_mtime_ns):
            if total <= self._max_bytes:
                break
            self._disk.remove(path)
            total -= stat.st_size
