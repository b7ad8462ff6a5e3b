"""Maps of all files of a release: those that are known, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from bitstation.core.atlas import MAX_ATLAS_BYTES
from bitstation.core.blockmap import BlockMap, Cut, encode_blockmap
from bitstation.core.digest import Digest
from bitstation.core.manifest import Entry, Manifest
from bitstation.recipes.cutting import map_file
from bitstation.recipes.known import Known, distinct, is_mapped
from bitstation.recipes.made import Making, named
from bitstation.recipes.reading import BlobReader
from bitstation.transport.source import Source

_MAX_MAPS_BYTES = MAX_ATLAS_BYTES * 5 // 8
"""The rest is for recipes: a segment takes some 12 bytes where a block takes 35."""


def map_files(
    making: Making, target: Manifest, blobs: Source, bases: Sequence[Known]
) -> dict[Digest, BlockMap]:
    """Maps in the order in which their files first appear in the manifest.

    What a base or the cache maps is not read. Where all together would be too long for an atlas,
    those of the largest files cut by content are left out.
    Raises SourceError, MissingExtra, UpdateCancelled.
    """
    entries = [entry for entry in distinct(target.entries) if is_mapped(entry.size)]
    maps = {entry.sha256: _known(entry, making, bases) for entry in entries}
    unmapped = [entry for entry in entries if maps[entry.sha256] is None]
    told = making.progress("map", named(target), sum(entry.size for entry in unmapped))
    for entry in unmapped:
        with closing(BlobReader(blobs, entry.sha256, entry.size)) as reader:
            found = map_file(entry, reader, making.stop, told)
        maps[entry.sha256] = found
        if making.cache is not None:
            making.cache.save(found)
    return _bounded({digest: each for digest, each in maps.items() if each is not None})


def _known(entry: Entry, making: Making, bases: Sequence[Known]) -> BlockMap | None:
    for base in bases:
        if entry.sha256 in base.atlas.maps:
            return base.atlas.maps[entry.sha256]
    found = making.cache.load(entry.sha256) if making.cache else None
    return found if found and found.size_bytes == entry.size else None


def _bounded(maps: dict[Digest, BlockMap]) -> dict[Digest, BlockMap]:
    sizes = {digest: len(encode_blockmap(each)) for digest, each in maps.items()}
    opaque = [digest for digest, each in maps.items() if each.cut is Cut.CONTENT]
    # Where no opaque file is left, models go: the atlas must be readable.
    order = sorted(opaque, key=sizes.__getitem__)
    order = sorted(set(maps) - set(opaque), key=sizes.__getitem__) + order
    while sum(sizes[digest] for digest in order) > _MAX_MAPS_BYTES:
        order.pop()
    kept = set(order)
    return {digest: each for digest, each in maps.items() if digest in kept}
