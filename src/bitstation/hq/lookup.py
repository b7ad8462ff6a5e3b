"""Which blob a request means, answered from memory: one dictionary hit a request."""

from __future__ import annotations

import threading

from bitstation.core.digest import Digest
from bitstation.hq.releases import BlobRef, Releases

# About 350 bytes a row: at most 50 MB of files and 20 MB of blobs.
_MAX_FILES = 150_000
_MAX_BLOBS = 60_000

Files = dict[str, BlobRef]


class BlobLookup:
    """Bounded memory of which blob is behind an address, filled when first asked.

    ``cached_*`` never wait and may be called from the event loop; None means: ask ``load_*``, in
    a thread. Nothing grows stale, for a visible release never changes; absence is not remembered.
    """

    def __init__(self, releases: Releases, max_files: int = _MAX_FILES) -> None:
        self._releases = releases
        self._max_files = max_files
        self._lock = threading.Lock()
        self._files: dict[tuple[str, str], Files] = {}
        self._blobs: dict[Digest, BlobRef] = {}

    def cached_files(self, tool_id: str, version: str) -> Files | None:
        """Blob of each path of a release."""
        return self._files.get((tool_id, version))

    def load_files(self, tool_id: str, version: str) -> Files:
        """Blob of each path of a release. Raises NotFound. Cost: about 2 microseconds a file."""
        files = self._releases.files(tool_id, version)
        with self._lock:
            self._files.pop((tool_id, version), None)
            room = self._max_files - len(files)
            while self._files and sum(map(len, self._files.values())) > room:
                _drop_oldest(self._files)
            self._files[tool_id, version] = files
        return files

    def cached_blob(self, digest: Digest) -> BlobRef | None:
        """A blob that a visible release needs."""
        return self._blobs.get(digest)

    def load_blob(self, digest: Digest) -> BlobRef:
        """A blob that a visible release needs. Raises NotFound."""
        blob = self._releases.blob(digest)
        with self._lock:
            while len(self._blobs) >= _MAX_BLOBS:
                _drop_oldest(self._blobs)
            self._blobs[digest] = blob
        return blob


def _drop_oldest(cache: dict[tuple[str, str], Files] | dict[Digest, BlobRef]) -> None:
    # The oldest loaded, not the least used: keeping the order of use would cost each request a
    # lock, and what is in use comes back with one query.
    cache.pop(next(iter(cache)), None)  # type: ignore[call-overload]
