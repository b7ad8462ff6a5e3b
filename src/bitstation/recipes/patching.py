"""One patch, made, decoded and compared before it counts."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

from bitstation.codec.blocks import pack_block
from bitstation.codec.zstd import PATCH_LEVEL, PatchBase, ZstdFault, apply_patch, patch_from
from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import Digest
from bitstation.core.recipe import Codec, Fetch, Patch, Segment
from bitstation.host import shared_pool
from bitstation.recipes.packs import PENDING, PackWriter
from bitstation.recipes.reading import BlobReader
from bitstation.recipes.windows import Offsets, Span, fits
from bitstation.storage.hashing import Stop

# What jobs under way may hold together: one of the largest, or some small ones side by side.
_BUDGET_BYTES = 180 << 20
_TABLE_BYTES = 16 << 20
_LEAST_SAVING_BYTES = 256
_MOST_PERCENT = 90


class Side(NamedTuple):
    """A file of the target or of the base: where its blocks lie, and its bytes."""

    offsets: Offsets
    reader: BlobReader

    @property
    def map(self) -> BlockMap:
        """Its blocks."""
        return self.offsets.map

    def proved(self, first: int, end: int) -> bytearray | None:
        """Bytes of a run of blocks; None where they are not what the map says.

        Raises SourceError.
        """
        start = self.offsets.starts[first]
        data = self.reader.read(start, self.offsets.length(first, end))
        view = memoryview(data)
        for number in range(first, end):
            at = self.offsets.starts[number] - start
            block = view[at : at + self.map.lengths[number]]
            if hashlib.sha256(block).digest() != self.map.digest(number):
                return None
        return data


class Job(NamedTuple):
    """A span that a patch may pay for; ``cost_bytes``: what it costs without."""

    span: Span
    cost_bytes: int
    level: int = PATCH_LEVEL


class Patcher:
    """Patches of all files over one base, written to one pack."""

    def __init__(self, pack: PackWriter, stop: Stop) -> None:
        self.saved_bytes = 0
        self.recipes: dict[Digest, list[Segment]] = {}
        self._pack = pack
        self._stop = stop
        self._queue: deque[tuple[int, _Wanted, Future[bytes | None]]] = deque()
        self._held_bytes = 0

    def add(self, target: Side, base: Side, job: Job) -> None:
        """Begin a patch. Raises SourceError, UpdateCancelled.

        None is made where it would be too large, or where bytes are not what a map says.
        Cost: what jobs under way hold stays below 180 MiB, or is that of one job.
        """
        self._stop.check()
        span = job.span
        base_bytes = base.offsets.length(span.base_first, span.base_end)
        output_bytes = target.offsets.length(span.first, span.end)
        if not fits(base_bytes, output_bytes):
            return
        # The base once more while zstd takes it over; what comes out, twice while it is compared.
        held = (
            base_bytes + max(base_bytes, 2 * output_bytes) + _table_bytes(base_bytes + output_bytes)
        )
        while self._queue and self._held_bytes + held > _BUDGET_BYTES:
            self._settle()
        window = base.proved(span.base_first, span.base_end)
        if window is None:
            return
        known = PatchBase(window)
        del window
        data = target.proved(span.first, span.end)
        if data is None:
            return
        wanted = _Wanted(target.map.file_digest, base.map.file_digest, base.offsets, job)
        self._held_bytes += held
        self._queue.append((held, wanted, shared_pool().submit(_made, known, data, job.level)))

    def add_file(self, blockmap: BlockMap, data: bytes | bytearray) -> None:
        """Take a file of one block in as it is, unless it has a patch: call it after ``finish``."""
        digest = blockmap.file_digest
        if digest in self.recipes or hashlib.sha256(data).hexdigest() != digest:
            return
        # A few bytes longer than the file, at worst: raw bytes have their place in the file's blob.
        frame = pack_block(data, Codec.ZSTD)
        step = Fetch(Codec.ZSTD, PENDING, self._pack.add(frame), len(frame))
        self.recipes[digest] = [Segment(0, 1, step)]

    def finish(self) -> None:
        """Wait for all of them."""
        while self._queue:
            self._settle()

    def _settle(self) -> None:
        held, wanted, task = self._queue.popleft()
        frame = task.result()
        self._held_bytes -= held
        cost = wanted.job.cost_bytes
        if frame is None or not pays(len(frame), cost):
            return
        span, offsets = wanted.job.span, wanted.offsets
        step = Patch(
            wanted.base,
            offsets.starts[span.base_first],
            offsets.length(span.base_first, span.base_end),
            PENDING,
            self._pack.add(frame),
            len(frame),
        )
        segment = Segment(span.first, span.end - span.first, step)
        self.recipes.setdefault(wanted.target, []).append(segment)
        self.saved_bytes += cost - len(frame)


class _Wanted(NamedTuple):
    target: Digest
    base: Digest
    offsets: Offsets
    job: Job


def pays(patch_bytes: int, cost_bytes: int) -> bool:
    """Say whether a patch saves enough to be worth its base being read."""
    saved = cost_bytes - patch_bytes
    return saved >= _LEAST_SAVING_BYTES and patch_bytes * 100 <= cost_bytes * _MOST_PERCENT


def _table_bytes(span_bytes: int) -> int:
    return min(80 << 20, _TABLE_BYTES + 4 * span_bytes)


def _made(base: PatchBase, data: bytearray, level: int) -> bytes | None:
    try:
        patch = patch_from(base, data, level)
        return patch if apply_patch(base, patch, len(data)) == data else None
    except ZstdFault:
        return None
