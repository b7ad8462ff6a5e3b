"""Guides packed and unpacked: documents become frames, or patches over those of a base."""

from __future__ import annotations

from typing import NamedTuple

from bitstation.codec.zstd import (
    MAX_PATCH_BYTES,
    MAX_SIZE_BYTES,
    ZstdFault,
    apply_patch,
    compress,
    decompress,
    patch_from,
)
from bitstation.core.digest import Digest, digest_of
from bitstation.core.guide import Guide, Part
from bitstation.errors import ManifestError

_LEVEL = 9
"""Guides are made once and read by a fleet."""


class Papers(NamedTuple):
    """Bytes of a release's manifest and atlas; empty where they are not known."""

    manifest: bytes
    atlas: bytes


class Unfolded(NamedTuple):
    """What a guide holds, each document the one that its digest says."""

    papers: Papers
    recipes: bytes
    inline: bytes


def fold(
    target: Papers,
    recipes: bytes,
    *,
    target_hash: Digest,
    base: tuple[Digest, Papers] | None = None,
    inline: bytes = b"",
) -> Guide:
    """Guide to a release; from a base (manifest_hash and papers) its documents are patches.

    Cost: the atlas and that of the base in memory, and what ``patch_from`` says.
    """
    known = base[1] if base else Papers(b"", b"")
    return Guide(
        base=base[0] if base else None,
        target=target_hash,
        manifest=_part(known.manifest, target.manifest),
        atlas=_part(known.atlas, target.atlas),
        recipes=_part(b"", recipes),
        inline=inline,
    )


def unfold(guide: Guide, base: Papers | None = None) -> Unfolded:
    """Documents of a guide; ``base`` are those that it was folded over. Raises ManifestError."""
    known = base or Papers(b"", b"")
    manifest = _document(guide.manifest, known.manifest, "manifest")
    atlas = _document(guide.atlas, known.atlas, "atlas")
    recipes = _document(guide.recipes, b"", "recipes")
    return Unfolded(Papers(manifest, atlas), recipes, guide.inline)


def _part(base: bytes, document: bytes) -> Part:
    size, digest = len(document), digest_of(document)
    if _is_patched(base, size):
        return Part(size, digest, patch_from(base, document, _LEVEL))
    return Part(size, digest, compress(document, _LEVEL) if document else b"")


def _is_patched(base: bytes, size_bytes: int) -> bool:
    """Both sides decide alike: beyond what a patch may take, the document travels whole."""
    fits = len(base) <= MAX_SIZE_BYTES and len(base) + size_bytes <= MAX_PATCH_BYTES
    return bool(base) and size_bytes > 0 and fits


def _document(part: Part, base: bytes, what: str) -> bytes:
    try:
        if part.size_bytes == 0:
            document = b""
        elif _is_patched(base, part.size_bytes):
            document = bytes(apply_patch(base, part.frame, part.size_bytes))
        else:
            document = bytes(decompress(part.frame, part.size_bytes))
    except ZstdFault as fault:
        raise ManifestError.of(f"the guide's {what}", [str(fault)]) from fault
    if digest_of(document) != part.digest:
        raise ManifestError.of(f"the guide's {what}", ["its digest is another"])
    return document
