"""A model file read once: the SHA-256 of all of it and of each of its blocks.

The whole file and the blocks are hashed on two threads beside the one that reads, so on two free
cores this costs about what one SHA-256 pass does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.blockmap import MAX_BLOCKS, BlockMap, Cut
from bitstation.core.digest import Digest
from bitstation.errors import FileChanged
from bitstation.models.cutting import BLOCK_BYTES, cut_model, cut_pieces, group_blocks, is_too_fine
from bitstation.models.detect import detect
from bitstation.models.layout import Layout, LayoutFault
from bitstation.storage.hashing import OnBytes, Stop, read_full
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import is_durable

PIECE_BYTES = 8 * BLOCK_BYTES
"""Read at a time, two in memory at once. Small pieces cost more handing over than hashing."""


class FileReader:
    """Random access to an open file, for the parsers of models."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes, or fewer where the file ends."""
        self._file.seek(offset)
        return read_full(self._file, length)


def layout_of(path: Path) -> Layout | None:
    """Layout of a model file that is worth a map; None for any other.

    Raises LayoutFault (see ``detect``), OSError. Cost: reads the header, or 9 bytes.
    """
    with path.open("rb", buffering=0) as file:
        size_bytes = host.stat_facts(file.fileno()).size
        layout = detect(path.name, FileReader(file), size_bytes)
    if layout is None or is_too_fine(layout) or sum(_block_counts(layout)) > MAX_BLOCKS:
        return None
    return layout


def find_layout(path: Path) -> Layout | None:
    """The same; None also for a file that is no model after all, or cannot be read now."""
    with suppress(LayoutFault, OSError):
        return layout_of(path)
    return None


def prove_model(
    path: Path,
    layout: Layout,
    ledger: Ledger,
    on_bytes: OnBytes | None = None,
    stop: Stop | None = None,
) -> BlockMap:
    """Map of a model, whose digest is recorded in the ledger: both of one read.

    Raises and costs what ``map_model`` does; StoreError of the ledger.
    """
    # Before the reading, for a later change in the tick of the last one would not show.
    moment_ns = ledger.moment_past([host.stat_facts(path)])
    facts, digest, blockmap = map_model(path, layout, on_bytes, stop)
    if is_durable(path, facts, moment_ns):
        ledger.record([(facts, digest)], read_from_ns=moment_ns)
    return blockmap


def map_model(
    path: Path, layout: Layout, on_bytes: OnBytes | None = None, stop: Stop | None = None
) -> tuple[host.StatFacts, Digest, BlockMap]:
    """Facts of a file (which did not change while it was read), its digest, and its block map.

    Raises FileChanged, OSError, UpdateCancelled. Not for a task of the shared pool: it waits for
    tasks there. Memory: 16 MiB, and 40 bytes a block.
    """
    hashing = _Hashing()
    with path.open("rb", buffering=0) as file:
        before = host.stat_facts(file.fileno())
        buffers = [bytearray(min(PIECE_BYTES, max(1, layout.size_bytes))) for _ in range(2)]
        try:
            for number, lengths in enumerate(cut_pieces(layout, PIECE_BYTES)):
                view = memoryview(buffers[number % 2])[: sum(lengths)]
                if _fill(file, view) != len(view):
                    raise FileChanged(path=str(path))
                hashing.take(view, lengths)
                if on_bytes:
                    on_bytes(len(view))
                if stop:
                    stop.check()
        finally:
            hashing.settle()
        after = host.stat_facts(file.fileno())
    if not before.same_content_as(after) or after.size != layout.size_bytes:
        raise FileChanged(path=str(path))
    return after, *_built(layout, hashing)


class _Hashing:
    """The digests so far; one piece is hashed while the next one is read."""

    def __init__(self) -> None:
        self.whole = hashlib.sha256()
        self.blocks = bytearray()
        self._pool = host.shared_pool()
        self._begun: list[Future[None]] = []

    def take(self, view: memoryview, lengths: list[int]) -> None:
        """Begin with a piece, once the one before it is done: its buffer is free then."""
        self.settle()
        self._begun = [
            self._pool.submit(self.whole.update, view),
            self._pool.submit(self._hash_blocks, view, lengths),
        ]

    def settle(self) -> None:
        """Wait for what was begun."""
        begun, self._begun = self._begun, []
        for future in begun:
            future.result()

    def _hash_blocks(self, view: memoryview, lengths: list[int]) -> None:
        at = 0
        for length in lengths:
            self.blocks += hashlib.sha256(view[at : at + length]).digest()
            at += length


def _built(layout: Layout, hashing: _Hashing) -> tuple[Digest, BlockMap]:
    digest, raw = Digest(hashing.whole.hexdigest()), bytes(hashing.blocks)
    lengths = tuple(block.length for block in cut_model(layout))
    groups = tuple(group_blocks(layout, raw))
    return digest, BlockMap(digest, layout.size_bytes, Cut.TENSORS, lengths, raw, groups)


def _block_counts(layout: Layout) -> Iterator[int]:
    """How many blocks each span is cut into."""
    return (-(-span.length // BLOCK_BYTES) for span in layout.spans)


def _fill(file: BinaryIO, view: memoryview) -> int:
    """Read until ``view`` is full or the file ends; the bytes there are."""
    done = 0
    while done < len(view) and (count := file.readinto(view[done:])):  # type: ignore[attr-defined]
        done += count
    return done
