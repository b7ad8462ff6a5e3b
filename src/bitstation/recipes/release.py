"""Guides and packs of a release. A stand-in: plain guides with an atlas of nothing, no packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bitstation.codec.guiding import Papers, fold
from bitstation.core.atlas import Atlas, encode_atlas
from bitstation.core.digest import Digest
from bitstation.core.guide import encode_guide
from bitstation.core.manifest import Manifest
from bitstation.core.recipe import encode_recipes
from bitstation.recipes.known import Known
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.transport.source import Source

Progress = Callable[[str, str, int], OnBytes]


class MadePack(msgspec.Struct, frozen=True):
    """A finished pack; ``path`` is a temporary file, whoever asked for it moves or removes it."""

    digest: Digest
    size_bytes: int
    path: Path


class Made(msgspec.Struct, frozen=True):
    """What lies beside a release: guides by the manifest_hash of their base, and packs."""

    guides: tuple[tuple[Digest | None, bytes], ...]
    packs: tuple[MadePack, ...] = ()


def make_release(  # noqa: PLR0913 - a stand-in with the arguments of what comes
    target: Manifest,
    manifest_bytes: bytes,
    blobs: Source,
    bases: Sequence[Known],
    *,
    work: Path,
    cache: Path | None = None,
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
        guides.append((known[0] if known else None, encode_guide(guide)))
    return Made(tuple(guides))
