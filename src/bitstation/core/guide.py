"""Guides: all that a worker needs to know to reach a release, in one small object.

Manifest, atlas and recipes, each as a zstd frame; in a guide from a base they are patches over
those of the base, so that what did not change need not travel. Short payloads of recipes lie in
the guide too. A guide is a hint like everything else that a source gives: the manifest's hash is
recomputed, every block and every file is proved. Byte by byte specified in docs/formats.md.
"""

from __future__ import annotations

import msgspec

from bitstation.core.atlas import MAX_ATLAS_BYTES
from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.recipe import MAX_RECIPES_BYTES
from bitstation.core.varint import BinaryFault, BinaryReader, encode_varint
from bitstation.errors import ManifestError

MAGIC = b"BSGD"
VERSION = 1
MAX_INLINE_BYTES = 32 * 1024
"""Payloads beyond it lie in a pack, so that a worker whose base is damaged wastes little."""

MAX_GUIDE_BYTES = MAX_MANIFEST_BYTES + MAX_ATLAS_BYTES + MAX_RECIPES_BYTES

_NO_BASE = bytes(32)


class Part(msgspec.Struct, frozen=True):
    """One document of a guide: its size and SHA-256 once unpacked, and its zstd frame."""

    size_bytes: int
    digest: Digest
    frame: bytes


class Guide(msgspec.Struct, frozen=True):
    """The way to a release from nothing, or from the release with the manifest_hash ``base``."""

    base: Digest | None
    target: Digest
    manifest: Part
    atlas: Part
    recipes: Part
    inline: bytes = b""


def encode_guide(guide: Guide) -> bytes:
    """Bytes of a guide."""
    parts = b"".join(map(_encoded, (guide.manifest, guide.atlas, guide.recipes)))
    base = bytes.fromhex(guide.base) if guide.base else _NO_BASE
    head = MAGIC + bytes([VERSION]) + base + bytes.fromhex(guide.target)
    return head + parts + encode_varint(len(guide.inline)) + guide.inline


def parse_guide(data: bytes, *, what: str = "the guide") -> Guide:
    """Guide of its bytes; nothing is unpacked. Raises ManifestError."""
    if len(data) > MAX_GUIDE_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_GUIDE_BYTES} bytes"])
    try:
        return _parsed(BinaryReader(data))
    except BinaryFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault


def _parsed(reader: BinaryReader) -> Guide:
    if reader.take(4) != MAGIC:
        raise BinaryFault("does not begin as a guide does")
    if (version := reader.take(1)[0]) != VERSION:
        raise BinaryFault(f"version {version} is not known")
    base, target = reader.take(32), Digest(reader.take(32).hex())
    limits = (MAX_MANIFEST_BYTES, MAX_ATLAS_BYTES, MAX_RECIPES_BYTES)
    manifest, atlas, recipes = (_part(reader, limit) for limit in limits)
    inline = reader.take(reader.varint(MAX_INLINE_BYTES))
    reader.end()
    known_base = None if base == _NO_BASE else Digest(base.hex())
    return Guide(known_base, target, manifest, atlas, recipes, inline)


def _encoded(part: Part) -> bytes:
    sizes = encode_varint(part.size_bytes) + encode_varint(len(part.frame))
    return bytes.fromhex(part.digest) + sizes + part.frame


def _part(reader: BinaryReader, limit: int) -> Part:
    digest, size_bytes = Digest(reader.take(32).hex()), reader.varint(limit)
    # A frame of noise is a little longer than what it holds.
    return Part(size_bytes, digest, reader.take(reader.varint(limit + 1024 * 1024)))
