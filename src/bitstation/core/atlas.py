"""The atlas of a release: the maps of its files, and how their blocks can be fetched packed.

A function of the release and of the packs that lie beside it; nothing in it depends on what a
worker holds. A file without a map is one block. Byte by byte specified in docs/formats.md.
"""

from __future__ import annotations

import msgspec

from bitstation.core.blockmap import (
    MAX_MAP_BYTES,
    BlockMap,
    encode_blockmap,
    parse_blockmap,
)
from bitstation.core.digest import Digest
from bitstation.core.recipe import INLINE, Fetch, Recipes, encode_recipes, parse_recipes
from bitstation.core.varint import BinaryFault, BinaryReader, encode_varint
from bitstation.errors import ManifestError

MAGIC = b"BSAT"
VERSION = 1
MAX_ATLAS_BYTES = 64 * 1024 * 1024
"""1.8 TB of model, or 140 GB cut by content. A publisher leaves maps out beyond it."""
_LEAST_MAP_BYTES = 40


class Atlas(msgspec.Struct, frozen=True):
    """Maps by the digest of their file, and recipes (FETCH and FILL) that need no base."""

    maps: dict[Digest, BlockMap] = {}
    recipes: Recipes = {}

    @property
    def packs(self) -> set[Digest]:
        """Blobs beside the files of the release that its recipes fetch from."""
        steps = (segment.step for recipe in self.recipes.values() for segment in recipe)
        return {step.blob for step in steps if isinstance(step, Fetch)} - {INLINE}


def encode_atlas(atlas: Atlas) -> bytes:
    """Bytes of an atlas; the same maps and recipes in the same order give the same bytes."""
    maps = [encode_blockmap(each) for each in atlas.maps.values()]
    parts = [encode_varint(len(each)) + each for each in maps]
    head = MAGIC + bytes([VERSION]) + encode_varint(len(maps))
    return b"".join([head, *parts, encode_recipes(atlas.recipes)])


def parse_atlas(data: bytes, *, what: str = "the atlas") -> Atlas:
    """Atlas of its bytes. Raises ManifestError. Cost: about 1 microsecond a block."""
    if len(data) > MAX_ATLAS_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_ATLAS_BYTES} bytes"])
    try:
        return _parsed(BinaryReader(data), what)
    except BinaryFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault


def _parsed(reader: BinaryReader, what: str) -> Atlas:
    if reader.take(4) != MAGIC:
        raise BinaryFault("does not begin as an atlas does")
    if (version := reader.take(1)[0]) != VERSION:
        raise BinaryFault(f"version {version} is not known")
    maps: dict[Digest, BlockMap] = {}
    for _ in range(reader.varint(reader.left // _LEAST_MAP_BYTES)):
        each = parse_blockmap(reader.take(reader.varint(MAX_MAP_BYTES)), what=f"a map of {what}")
        if each.file_digest in maps:
            raise BinaryFault(f"two maps of {each.file_digest}")
        maps[each.file_digest] = each
    counts = {digest: len(each) for digest, each in maps.items()}
    return Atlas(maps, parse_recipes(reader.take(reader.left), counts, what=what))
