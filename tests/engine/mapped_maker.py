"""Guides with maps cut at equal lengths, for tests of whatever publishes guides, not makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitstation.core.digest import digest_of
from bitstation.core.manifest import Manifest
from bitstation.core.recipe import Patch, Recipes, Segment
from bitstation.recipes.release import Figures, Known, Made, MadeGuide, MadePack
from bitstation.testing.mapped import Mapped, guide_to, map_release
from bitstation.testing.releases import Release
from bitstation.transport.source import Source

BLOCK_BYTES = 100_000
PACK = b"a pack of nothing in particular" * 10


def make_mapped(
    target: Manifest,
    _manifest_bytes: bytes,
    blobs: Source,
    bases: Sequence[Known],
    *,
    work: Path,
    **_options: Any,
) -> Made:
    """A plain guide and one from each base; where there is a base, a pack that recipes name."""
    mapped = mapped_of(target, blobs)
    guides = [MadeGuide(None, guide_to(mapped))]
    for base in bases:
        known = Mapped(Release(base.manifest, {}), base.atlas)
        assert known.papers == base.papers
        guide = guide_to(mapped, known, _recipes(mapped, base))
        guides.append(MadeGuide(base.manifest.manifest_hash, guide))
    if not bases:
        return Made(tuple(guides), (), mapped.papers.atlas, Figures())
    path = work / "pack"
    path.write_bytes(PACK)
    return Made(
        tuple(guides), (MadePack(digest_of(PACK), len(PACK), path),), mapped.papers.atlas, Figures()
    )


def mapped_of(target: Manifest, blobs: Source) -> Mapped:
    """A release with the maps of its files."""
    files = {row.path: blobs.read_object(row.sha256, row.size) for row in target.entries}
    return map_release(Release(target, files), block_bytes=BLOCK_BYTES)


def _recipes(mapped: Mapped, base: Known) -> Recipes:
    """A patch of little worth, so that the pack is named."""
    digest = mapped.release.manifest.entries[0].sha256
    patch = Patch(base.manifest.entries[0].sha256, 0, 1, digest_of(PACK), 0, len(PACK))
    return {digest: (Segment(0, 1, patch),)}
