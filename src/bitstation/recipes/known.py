"""What the releases that come before hold: blocks that need no form, and forms that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from bitstation.codec.chunking import SMALL_BYTES
from bitstation.codec.guiding import Papers
from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import DIGEST_BYTES, BlockMap, Cut, whole_map
from bitstation.core.digest import Digest
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.recipe import Codec, Fetch, Recipe, Segment
from bitstation.transport.source import Source


def is_mapped(size_bytes: int) -> bool:
    """Say whether a file of this size gets a map; a shorter one is one block."""
    return size_bytes > SMALL_BYTES


def is_unmapped(blockmap: BlockMap) -> bool:
    """Say whether a file would need a map and has none: it is one block too long to work with."""
    return blockmap.cut is Cut.WHOLE and is_mapped(blockmap.size_bytes)


class Known(msgspec.Struct, frozen=True):
    """A release that workers are likely to have; its files are read from ``blobs`` by digest."""

    manifest: Manifest
    papers: Papers
    atlas: Atlas
    blobs: Source

    def map_of(self, entry: Entry) -> BlockMap:
        """Map of one of its files."""
        return self.atlas.maps.get(entry.sha256) or whole_map(entry.sha256, entry.size)


def distinct(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries in their order, of each content the first."""
    found: dict[Digest, Entry] = {}
    for entry in entries:
        found.setdefault(entry.sha256, entry)
    return iter(found.values())


class Forms:
    """Forms of runs of blocks by the digests of the blocks, and all blocks that were seen."""

    def __init__(self) -> None:
        self.files: dict[Digest, tuple[BlockMap, Recipe]] = {}
        self._seen: set[bytes] = set()
        self._lost: set[bytes] = set()
        self._runs: dict[bytes, list[tuple[bytes, Fetch]]] = {}

    def add_release(self, base: Known) -> None:
        """Take over what a release has."""
        for entry in base.manifest.entries:
            blockmap = base.map_of(entry)
            self._seen.update(blockmap.digest(number) for number in range(len(blockmap)))
            recipe = base.atlas.recipes.get(entry.sha256, ())
            if not is_unmapped(blockmap):
                self.files.setdefault(entry.sha256, (blockmap, recipe))
            for segment in recipe:
                run = self.add_run(blockmap, segment)
                self._lost.update(_split(run))

    def add_run(self, blockmap: BlockMap, segment: Segment) -> bytes:
        """Remember the form of a run of blocks; its digests, one after the other."""
        step = segment.step
        if not isinstance(step, Fetch) or step.codec is Codec.RAW:
            return b""
        run = blockmap.digests[segment.first * DIGEST_BYTES : segment.end * DIGEST_BYTES]
        runs = self._runs.setdefault(run[:DIGEST_BYTES], [])
        if all(run != other for other, _ in runs):
            runs.append((run, step))
        return run

    def keep(self, blockmap: BlockMap) -> list[Segment] | None:
        """Recipe of a file that a release has with the same map; None where none has it."""
        known, recipe = self.files.get(blockmap.file_digest, (None, ()))
        if known != blockmap:
            return None
        for number in range(len(blockmap)):
            self.add_block(blockmap.digest(number))
        return list(recipe)

    def add_block(self, digest: bytes) -> None:
        """Remember that a block was met."""
        self._seen.add(digest)
        self._lost.discard(digest)

    def is_new(self, digest: bytes) -> bool:
        """Say whether a block was met nowhere yet."""
        return digest not in self._seen

    def is_lost(self, digest: bytes) -> bool:
        """Say whether a block lies packed among others which do not stand beside it any more.

        Whoever has no base could only fetch it unpacked. It is packed again, apart from blocks
        that are new: whoever has a base needs those alone.
        """
        return digest in self._lost

    def find(self, blockmap: BlockMap, first: int) -> Segment | None:
        """Longest run with a form that begins at a block."""
        best: Segment | None = None
        for run, step in self._runs.get(blockmap.digest(first), ()):
            start, count = first * DIGEST_BYTES, len(run) // DIGEST_BYTES
            if blockmap.digests[start : start + len(run)] == run and (
                best is None or count > best.count
            ):
                best = Segment(first, count, step)
        return best


def _split(run: bytes) -> Sequence[bytes]:
    return [run[at : at + DIGEST_BYTES] for at in range(0, len(run), DIGEST_BYTES)]
