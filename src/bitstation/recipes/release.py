"""Guides and packs of a release. A stand-in: plain guides with an atlas of nothing, no packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bitstation.codec.guiding import Papers, fold
from bitstation.core.atlas import Atlas, encode_atlas
from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import Digest
from bitstation.core.guide import encode_guide
from bitstation.core.manifest import Manifest
from bitstation.core.recipe import encode_recipes
from bitstation.recipes.known import Known
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.transport.source import Source

__all__ = ["Figures", "Known", "Made", "MadeGuide", "MadePack", "Maps", "make_release"]

Progress = Callable[[str, str, int], OnBytes]


class Maps(Protocol):
    """Maps of files that were made before."""

    def load(self, digest: Digest) -> BlockMap | None:
        """Map of the file with this digest; None where there is none."""

    def save(self, blockmap: BlockMap) -> None:
        """Keep a map."""


class MadePack(msgspec.Struct, frozen=True):
    """A finished pack; ``path`` is a temporary file, whoever asked for it moves or removes it."""

    digest: Digest
    size_bytes: int
    path: Path


class MadeGuide(msgspec.Struct, frozen=True):
    """A guide; ``base`` is the manifest_hash of the release that it starts from, None: nothing."""

    base: Digest | None
    data: bytes


class Figures(msgspec.Struct, frozen=True):
    """What making a release came to."""


class Made(msgspec.Struct, frozen=True):
    """All that is published beside the files of a release and its manifest."""

    guides: tuple[MadeGuide, ...]
    packs: tuple[MadePack, ...]
    atlas_bytes: bytes
    figures: Figures


def make_release(  # noqa: PLR0913 - each of them is the caller's to say
    target: Manifest,
    manifest_bytes: bytes,
    blobs: Source,
    bases: Sequence[Known],
    *,
    work: Path,
    cache: Maps | None,
    disk: Disk,
    stop: Stop,
    progress: Progress,
    packed: bool = True,
) -> Made:
    """Guide from nothing, and one from each base."""
    papers = Papers(manifest_bytes, encode_atlas(Atlas()))
    ways: list[Known | None] = [None, *bases]
    guides = []
    for base in ways:
        known = (base.manifest.manifest_hash, base.papers) if base else None
        guide = fold(papers, encode_recipes({}), target_hash=target.manifest_hash, base=known)
        guides.append(MadeGuide(known[0] if known else None, encode_guide(guide)))
    return Made(tuple(guides), (), papers.atlas, Figures())
