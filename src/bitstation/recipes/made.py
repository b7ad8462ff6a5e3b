"""What making a release is given beside its files, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.recipes.packs import MadePack
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop

Progress = Callable[[str, str, int], OnBytes]
"""Called as ``map``, ``compress`` or ``patch`` begins, with the release it is about (of a patch:
the base) and the bytes there are; the answer takes each count of bytes done."""


def named(manifest: Manifest) -> str:
    """A release as people are told of it."""
    return f"{manifest.tool_id} {manifest.tool_version}"


class Maps(Protocol):
    """Maps of files that were made before."""

    def load(self, digest: Digest) -> BlockMap | None:
        """Map of the file with this digest; None where there is none."""

    def save(self, blockmap: BlockMap) -> None:
        """Keep a map."""


class Making(msgspec.Struct, frozen=True):
    """What one run works with; ``work`` is a folder for temporary files."""

    work: Path
    cache: Maps | None
    disk: Disk
    stop: Stop
    progress: Progress


class MadeGuide(msgspec.Struct, frozen=True):
    """A guide; ``base`` is the manifest_hash of the release that it starts from, None: nothing."""

    base: Digest | None
    data: bytes


class Figures(msgspec.Struct, frozen=True):
    """What making a release came to. New blocks are those that no base had and that were tried."""

    blocks: int = 0
    new_blocks: int = 0
    new_bytes: int = 0
    packed_bytes: int = 0
    patches: int = 0
    patch_bytes: int = 0


class Made(msgspec.Struct, frozen=True):
    """All that is published beside the files of a release and its manifest.

    The recipes of its atlas also name packs of the bases.
    """

    guides: tuple[MadeGuide, ...]
    packs: tuple[MadePack, ...]
    atlas_bytes: bytes
    figures: Figures
