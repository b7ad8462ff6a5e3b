"""Maps of files that were cut before, in the publisher's cache: no file is cut twice."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.blockmap import MAX_MAP_BYTES, BlockMap, encode_blockmap, parse_blockmap
from bitstation.core.digest import Digest
from bitstation.errors import ManifestError
from bitstation.publisher.cache import cache_dir
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors


class MapCache:
    """A file for each map, named by the file that it is of. 35 KB for each GB of model.

    Whoever makes maps checks what he loads no further, so a damaged one counts as none.
    """

    def __init__(self, disk: Disk, folder: Path | None = None) -> None:
        self._folder = folder or cache_dir() / "maps"
        self._disk = disk

    def load(self, digest: Digest) -> BlockMap | None:
        """Map of the file with this digest; None where there is none that can be read."""
        try:
            with (self._folder / digest).open("rb") as file:
                found = parse_blockmap(file.read(MAX_MAP_BYTES + 1))
        except (OSError, ManifestError):
            return None
        return found if found.file_digest == digest else None

    def save(self, blockmap: BlockMap) -> None:
        """Keep a map. Raises StoreError. Crash: it is there whole or not at all."""
        path = self._folder / blockmap.file_digest
        with disk_errors(path):
            self._disk.make_dir(self._folder)
            self._disk.write_file(path, encode_blockmap(blockmap))
