"""Releases with atlases and guides, made by hand from bytes in memory: the publisher of tests.

Files are cut at equal lengths, so that a test knows where each block lies; recipes are given, true
or not.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bitstation.codec.guiding import Papers, fold
from bitstation.core.atlas import Atlas, encode_atlas
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.guide import encode_guide
from bitstation.core.recipe import Recipes, encode_recipes
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release

BLOCK_BYTES = 1000


class Mapped(msgspec.Struct, frozen=True):
    """A release and its atlas."""

    release: Release
    atlas: Atlas

    @property
    def papers(self) -> Papers:
        """Manifest and atlas as bytes."""
        return Papers(self.release.manifest.encode(), encode_atlas(self.atlas))

    def digest(self, path: str) -> Digest:
        """SHA-256 of one of its files."""
        return digest_of(self.release.files[path])


def map_of(data: bytes, block_bytes: int = BLOCK_BYTES) -> BlockMap:
    """Map of bytes, cut every ``block_bytes``."""
    blocks = [data[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    digests = b"".join(bytes.fromhex(digest_of(block)) for block in blocks)
    lengths = tuple(map(len, blocks))
    return BlockMap(digest_of(data), len(data), Cut.CONTENT, lengths, digests)


def map_release(
    release: Release,
    recipes: Recipes | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
    maps: Mapping[str, BlockMap] | None = None,
) -> Mapped:
    """Atlas of all files that are longer than a block; ``maps`` by path are taken as they are."""
    found: dict[Digest, BlockMap] = {}
    for path, data in release.files.items():
        if maps is not None and path in maps:
            found[digest_of(data)] = maps[path]
        elif len(data) > block_bytes:
            found[digest_of(data)] = map_of(data, block_bytes)
    return Mapped(release, Atlas(found, recipes or {}))


def guide_to(
    target: Mapped, base: Mapped | None = None, recipes: Recipes | None = None, inline: bytes = b""
) -> bytes:
    """Guide from nothing, or from a base."""
    start = (base.release.manifest.manifest_hash, base.papers) if base else None
    return encode_guide(
        fold(
            target.papers,
            encode_recipes(recipes or {}),
            target_hash=target.release.manifest.manifest_hash,
            base=start,
            inline=inline,
        )
    )


def offer(source: MemorySource, target: Mapped, guide: bytes, base: Mapped | None = None) -> Digest:
    """Let a source offer a release with a guide to it."""
    source.add(target.release)
    return source.add_guide(target.release, guide, base.release if base else None)
