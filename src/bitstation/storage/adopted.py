"""The record of adopted files of a tools root, and the block maps of those that are models.

Both are caches of what ``adopt`` found: a damaged record is begun anew, a damaged map is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bitstation import host
from bitstation.core.adopted import (
    MAX_ADOPTED,
    MAX_RECORD_BYTES,
    Adopted,
    encode_adopted,
    parse_adopted,
)
from bitstation.core.blockmap import MAX_MAP_BYTES, BlockMap, encode_blockmap, parse_blockmap
from bitstation.core.digest import Digest
from bitstation.errors import ManifestError, StoreCorrupt, StoreError
from bitstation.storage.durable import Disk
from bitstation.storage.locks import held_lock
from bitstation.storage.private import make_guarded
from bitstation.storage.tree import ToolsRoot, check_plain

_MAP_SUFFIX = ".map"
# A change of the record takes milliseconds.
_LOCK_WAIT_S = 30.0


def adopted_files(root: ToolsRoot) -> list[Adopted]:
    """What was adopted, sorted by path; it may have changed or gone since. Raises OSError."""
    try:
        data = _read(root.adopted, MAX_RECORD_BYTES)
        return [row for row in parse_adopted(data) if Path(row.path).is_absolute()]
    except (FileNotFoundError, StoreCorrupt):
        return []


def adopted_map(root: ToolsRoot, digest: Digest) -> BlockMap | None:
    """Block map of an adopted model; None for other files, and where the map is damaged."""
    try:
        blockmap = parse_blockmap(_read(_map_path(root, digest), MAX_MAP_BYTES))
    except (OSError, ManifestError):
        return None
    return blockmap if blockmap.file_digest == digest else None


def has_map(root: ToolsRoot, digest: Digest) -> bool:
    """Say whether a map of this content was kept."""
    return _map_path(root, digest).is_file()


def path_of(row: Adopted) -> Path:
    """Path of an adopted file in the form that the system takes at any length."""
    return host.native_path(Path(row.path))


def remember(
    root: ToolsRoot, rows: Collection[Adopted], maps: Mapping[Digest, BlockMap], disk: Disk
) -> None:
    """Add files to the record, in place of earlier rows of their paths, and keep their maps.

    Raises StoreError, StoreLocked, OSError. Crash: the earlier or the new record; a map that no
    row names is removed by the next change.
    """
    with _changing(root, disk) as known:
        if maps:
            disk.make_dir(root.maps)
        for digest, blockmap in maps.items():
            disk.write_file(_map_path(root, digest), encode_blockmap(blockmap))
        known.update((row.path, row) for row in rows)


def forget(root: ToolsRoot, is_meant: Callable[[Path], bool], disk: Disk) -> list[Adopted]:
    """Take files out of the record; the files themselves stay as they are. Those taken out.

    Raises StoreLocked, OSError.
    """
    with _changing(root, disk) as known:
        gone = [row for row in known.values() if is_meant(Path(row.path))]
        for row in gone:
            del known[row.path]
    return gone


@contextmanager
def _changing(root: ToolsRoot, disk: Disk) -> Iterator[dict[str, Adopted]]:
    """The record by path; what is done to it is written, unless the block raises."""
    check_plain(root.control)
    check_plain(root.maps)
    make_guarded([root.path, root.control], disk)
    with held_lock(root.adopted.with_suffix(".lock"), _LOCK_WAIT_S):
        rows = adopted_files(root)
        known = {row.path: row for row in rows}
        yield known
        if len(known) > MAX_ADOPTED:
            raise StoreError(path=str(root.adopted), detail=f"more than {MAX_ADOPTED} files")
        if list(known.values()) != rows:
            # It tells where this user's models lie.
            disk.write_file(root.adopted, encode_adopted(known.values()), private=True)
        _drop_maps(root, {row.sha256 for row in known.values()}, disk)


def _drop_maps(root: ToolsRoot, digests: Collection[Digest], disk: Disk) -> None:
    names = {digest + _MAP_SUFFIX for digest in digests}
    try:
        with os.scandir(root.maps) as entries:
            found = [entry.name for entry in entries]
    except FileNotFoundError:
        return
    for name in found:
        if name not in names:
            disk.remove(root.maps / name)


def _map_path(root: ToolsRoot, digest: Digest) -> Path:
    return root.maps / (digest + _MAP_SUFFIX)


def _read(path: Path, limit_bytes: int) -> bytes:
    """Bytes of a file, at most one more than the limit."""
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)
