"""Maps of files that this user cut before: a release's files are read once, not at every run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from bitstation import host
from bitstation.core.blockmap import DIGEST_BYTES, BlockMap, encode_blockmap, parse_blockmap
from bitstation.core.digest import Digest, digest_of
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import FileChanged, ManifestError
from bitstation.models.layout import Layout
from bitstation.publisher.cache import cache_dir
from bitstation.recipes.known import is_mapped
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.mapping import find_layout, prove_model

Told = Callable[[int], OnBytes]
"""Called with the bytes there are to read; the answer takes each count of bytes done."""

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
        self._saving = Lock()

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
            with self._disk.open_new(temporary, replace=True) as file:
                self._disk.write(file, data)
            self._disk.replace(temporary, path)
            self._unchecked_bytes += len(data)
            if self._unchecked_bytes > self._max_bytes // 16:
                self._prune()

    def map_new(
        self, paths: Sequence[Path], ledger: Ledger, told: Told, stop: Stop | None = None
    ) -> None:
        """Prove and map the models that the ledger does not prove: one read for both.

        A file that cannot be read, or changes meanwhile, is left to whoever proves it next.
        Raises StoreError, DiskFull, UpdateCancelled. Memory: 16 MiB for each that is read at once.
        """
        models = [
            (path, layout)
            for path in paths
            if _is_unproved(path, ledger) and (layout := find_layout(path)) is not None
        ]
        if not models:
            return
        on_bytes = told(sum(layout.size_bytes for _, layout in models))
        # Not the shared pool: each of them waits for tasks there, which fill two processors.
        with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as readers:
            tasks = [
                readers.submit(self._map, path, layout, ledger, on_bytes, stop)
                for path, layout in models
            ]
            try:
                for task in tasks:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()

    def _map(
        self, path: Path, layout: Layout, ledger: Ledger, on_bytes: OnBytes, stop: Stop | None
    ) -> None:
        with contextlib.suppress(OSError, FileChanged):
            blockmap = prove_model(path, layout, ledger, on_bytes, stop)
            with self._saving:
                self.save(blockmap)

    def _prune(self) -> None:
        self._unchecked_bytes = 0
        stats = [(path.stat(), path) for path in self._folder.iterdir()]
        total = sum(stat.st_size for stat, _ in stats)
        for stat, path in sorted(stats, key=lambda each: each[0].st_mtime_ns):
            if total <= self._max_bytes:
                break
            self._disk.remove(path)
            total -= stat.st_size


def _is_unproved(path: Path, ledger: Ledger) -> bool:
    try:
        facts = host.stat_facts(path)
    except OSError:
        return False
    return facts.is_file and is_mapped(facts.size) and ledger.proof(facts) is None
