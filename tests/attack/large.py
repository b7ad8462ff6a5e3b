"""Files of many gigabytes that take no memory: blocks of zeroes with a few bytes at their heads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry, Manifest, build_manifest
from bitstation.core.recipe import Fill, Recipes, Segment
from bitstation.testing.mapped import Mapped, guide_to
from bitstation.testing.memory_source import Asked, MemorySource
from bitstation.testing.releases import CREATED_AT, TOOL_ID, Release
from bitstation.transport.source import RangeReader

BLOCK_BYTES = 1024 * 1024
GB = 1_000_000_000 if os.environ.get("BITSTATION_TEST_REAL_SIZES") else 4 * BLOCK_BYTES
"""Bytes that stand for a gigabyte: 5 GB and 20 GB take a minute and 25 GB of disk."""


class Block(NamedTuple):
    """``head``, and zeroes up to ``length`` bytes."""

    head: bytes
    length: int = BLOCK_BYTES

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.head.ljust(self.length, b"\0")


class Large:
    """A file of such blocks."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.offsets = list(accumulate((block.length for block in blocks), initial=0))
        self.size_bytes = self.offsets[-1]
        hasher, digests = hashlib.sha256(), {}
        for block in blocks:
            data = block.data
            hasher.update(data)
            if block not in digests:
                digests[block] = bytes.fromhex(digest_of(data))
        self.digest = Digest(hasher.hexdigest())
        self.map = BlockMap(
            *(self.digest, self.size_bytes, Cut.CONTENT),
            *(tuple(block.length for block in blocks), b"".join(digests[each] for each in blocks)),
        )

    @property
    def fills(self) -> tuple[Segment, ...]:
        """Segments for the blocks that are zeroes all through."""
        empty = [number for number, block in enumerate(self.blocks) if not block.head]
        return tuple(Segment(number, 1, Fill(0)) for number in empty)


class _Reader:
    def __init__(self, file: Large, offset: int) -> None:
        self._file, self._at = file, offset

    def readinto(self, buffer: memoryview) -> int:
        if self._at >= self._file.size_bytes:
            return 0
        number = self._at // BLOCK_BYTES
        while self._file.offsets[number + 1] <= self._at:
            number += 1
        while self._file.offsets[number] > self._at:
            number -= 1
        within = self._at - self._file.offsets[number]
        block = self._file.blocks[number]
        count = min(len(buffer), block.length - within)
        buffer[:count] = block.data[within : within + count]
        self._at += count
        return count

    def close(self) -> None:
        return


class LargeSource(MemorySource):
    """Holds releases of one such file, ``model``."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[Digest, Large] = {}

    def offer_file(self, file: Large, version: str, *, fills: bool = False) -> Mapped:
        """Offer a release of that file, with a guide."""
        row = Entry("model", file.digest, file.size_bytes, "https://x/", False)
        manifest: Manifest = build_manifest(
            TOOL_ID, version, [row], created_at=CREATED_AT, fields={"delete_policy": "safe"}
        )
        recipes: Recipes = {file.digest: file.fills} if fills else {}
        target = Mapped(Release(manifest, {}), Atlas({file.digest: file.map}, recipes))
        self._files[file.digest] = file
        self._offers[TOOL_ID, version] = manifest.encode()
        self.add_guide(target.release, guide_to(target))
        return target

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        if digest not in self._files:
            return super()._open(digest, offset, length)
        self.asked.append(Asked(digest, offset, length))
        return _Reader(self._files[digest], offset)

    def asked_bytes(self, file: Large) -> int:
        """Bytes of a file that were asked for."""
        return sum(each.length or 0 for each in self.asked if each.digest == file.digest)
