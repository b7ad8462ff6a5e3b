"""Guides to a release: one from nothing, and one from each base that makes the way shorter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from bitstation.codec.guiding import Papers, fold
from bitstation.core.guide import encode_guide
from bitstation.core.manifest import Manifest
from bitstation.core.recipe import Recipes, encode_recipes
from bitstation.recipes.known import Known
from bitstation.recipes.made import MadeGuide

_MOST_PERCENT = 90


class Way(msgspec.Struct, frozen=True):
    """How files can be patched from those of a base; ``saved_bytes`` counts no guide."""

    base: Known
    recipes: Recipes
    inline: bytes
    saved_bytes: int


def fold_guides(target: Manifest, papers: Papers, ways: Sequence[Way]) -> Iterator[MadeGuide]:
    """Guides, the one from nothing first.

    A base whose guide takes more than nine tenths of that one gets none, unless its patches save
    the difference. Cost: what ``fold`` says.
    """
    none = encode_recipes({})
    plain = encode_guide(fold(papers, none, target_hash=target.manifest_hash))
    yield MadeGuide(None, plain)
    for way in ways:
        base_hash = way.base.manifest.manifest_hash
        guide = fold(
            papers,
            encode_recipes(way.recipes),
            target_hash=target.manifest_hash,
            base=(base_hash, way.base.papers),
            inline=way.inline,
        )
        data = encode_guide(guide)
        if (len(data) - way.saved_bytes) * 100 <= len(plain) * _MOST_PERCENT:
            yield MadeGuide(base_hash, data)
