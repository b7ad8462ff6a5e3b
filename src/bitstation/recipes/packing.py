"""Blocks packed for whoever has none of them: fillings named, the rest in frames that pay.

Frames of opaque files, measured on the files beyond 64 KiB of three wheels (287 MB) and of a tool
without its models (42 MB), in MB, and seconds on two cores for the wheels:

| level | 256 KiB | 1 MiB | 4 MiB | seconds at 1 MiB |
|---|---|---|---|---|
| 3 | 94.8, 12.7 | 92.6, 12.0 | 91.1, 11.5 | 0.7 |
| 6 | 91.5, 12.1 | 87.4, 11.3 | 85.3, 10.6 | 1.6 |
| 9 | 88.5, 11.8 | 86.4, 11.1 | 83.5, 10.3 | 2.1 |
| 12 | 88.1, 11.8 | 85.9, 11.1 | 82.8, 10.2 | 3.3 |
| 19 | | 77.9, 10.1 | | 32 |

1 MiB, for a worker that lacks one block of a frame fetches all of it; level 9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

from bitstation.codec.blocks import pack_block
from bitstation.codec.zstd import compress
from bitstation.core.blockmap import BlockMap
from bitstation.core.recipe import MAX_OUTPUT_BYTES, Codec, Fetch, Fill, Segment
from bitstation.host import shared_pool
from bitstation.recipes.kinds import Kind, filling
from bitstation.recipes.known import Forms
from bitstation.recipes.packs import PENDING, PackWriter
from bitstation.recipes.reading import BlobReader
from bitstation.storage.hashing import Stop

FRAME_BYTES = 1 << 20
LEVEL = 9
TENSOR_LEVEL = 1
"""What zstd gains on weights is the table of their bytes' frequencies, which no level betters."""

SAMPLE_BYTES = 64 << 10
LEAST_SAVING_BYTES = 64
_MOST_PERCENT = 97
_QUEUE = 8


class Stretch(NamedTuple):
    """Neighbouring blocks, and where their bytes lie in the file."""

    first: int
    blocks: int
    offset: int
    length: int
    is_new: bool

    def with_next(self, length: int) -> Stretch:
        """The same and one block more."""
        return self._replace(blocks=self.blocks + 1, length=self.length + length)


class Packer:
    """Finds forms for the blocks of files, one file after the other, and writes them to a pack."""

    def __init__(self, forms: Forms, pack: PackWriter, stop: Stop) -> None:
        self.blocks = 0
        self.new_bytes = 0
        self._forms = forms
        self._pack = pack
        self._stop = stop

    def recipe(
        self, blockmap: BlockMap, kinds: Sequence[Kind], reader: BlobReader
    ) -> list[Segment]:
        """Segments of a file, not in order; new forms lie in the PENDING pack.

        Raises SourceError, StoreError, UpdateCancelled. Cost: reads what is new; memory for eight
        frames.
        """
        return _File(self, blockmap, kinds, reader).segments


class _File:
    """One file on its way through the packer."""

    def __init__(
        self, packer: Packer, blockmap: BlockMap, kinds: Sequence[Kind], reader: BlobReader
    ) -> None:
        self.segments: list[Segment] = []
        self._packer = packer
        self._map = blockmap
        self._kinds = kinds
        self._reader = reader
        self._open: Stretch | None = None
        self._choices: dict[int, Codec] = {}
        self._queue: deque[tuple[Stretch, Future[list[Packed]]]] = deque()
        self._under_way: set[bytes] = set()
        self._walk()

    def _walk(self) -> None:
        offset = until = 0
        forms = self._packer._forms
        for number, length in enumerate(self._map.lengths):
            if number >= until:
                until = self._take(number, offset, length)
            forms.add_block(self._map.digest(number))
            offset += length
        self._close()
        self._drain()

    def _take(self, number: int, offset: int, length: int) -> int:
        """Number of the first block that still needs a look."""
        digest, forms = self._map.digest(number), self._packer._forms
        value = filling(self._map, number)
        if value is not None:
            self._close()
            self._fill(number, value)
            return number + 1
        if digest in self._under_way:
            self._close()
            self._drain()
        found = forms.find(self._map, number)
        if found is not None:
            self._close()
            self.segments.append(found)
            return found.end
        is_new = forms.is_new(digest)
        if self._kinds[number].codecs and (is_new or forms.is_lost(digest)):
            self._put(Stretch(number, 1, offset, length, is_new))
        else:
            self._close()
        return number + 1

    def _fill(self, number: int, value: int) -> None:
        last = self.segments[-1] if self.segments else None
        length = self._map.lengths[number]
        goes_on = (
            last is not None
            and last.end == number
            and last.step == Fill(value)
            and self._map.lengths[last.first] == length
            and (last.count + 1) * length <= MAX_OUTPUT_BYTES
        )
        if last and goes_on:
            self.segments[-1] = Segment(last.first, last.count + 1, last.step)
        else:
            self.segments.append(Segment(number, 1, Fill(value)))

    def _put(self, block: Stretch) -> None:
        """Open a stretch, or let the one before go on."""
        kind = self._kinds[block.first]
        self._packer.blocks += 1
        self._packer.new_bytes += block.length
        self._under_way.add(self._map.digest(block.first))
        held = self._open
        goes_on = (
            held is not None
            and kind.tensor is None
            and self._kinds[held.first] == kind
            and held.is_new == block.is_new
            and held.length + block.length <= FRAME_BYTES
        )
        if held is None or not goes_on:
            self._close()
            self._open = block
        else:
            self._open = held.with_next(block.length)
        if kind.tensor is not None:
            self._close()

    def _close(self) -> None:
        """Send the open stretch to be packed."""
        if self._open is None:
            return
        self._packer._stop.check()
        stretch, self._open = self._open, None
        data = bytes(self._reader.read(stretch.offset, stretch.length))
        kind = self._kinds[stretch.first]
        codecs = kind.codecs
        if kind.tensor is not None:
            if kind.tensor not in self._choices:
                self._choices[kind.tensor] = choose(data, codecs)
            codecs = (self._choices[kind.tensor],)
        lengths = self._map.lengths[stretch.first : stretch.first + stretch.blocks]
        level = LEVEL if kind.tensor is None else TENSOR_LEVEL
        task = shared_pool().submit(pack_stretch, data, lengths, codecs, level)
        self._queue.append((stretch, task))
        if len(self._queue) > _QUEUE:
            self._settle()

    def _settle(self) -> None:
        stretch, task = self._queue.popleft()
        for packed in task.result():
            frame = packed.frame
            step = Fetch(packed.codec, PENDING, self._packer._pack.add(frame), len(frame))
            segment = Segment(stretch.first + packed.first, packed.blocks, step)
            self.segments.append(segment)
            self._packer._forms.add_run(self._map, segment)

    def _drain(self) -> None:
        while self._queue:
            self._settle()
        self._under_way.clear()


def choose(data: bytes, codecs: Sequence[Codec]) -> Codec:
    """The codec that packs a sample from the middle best; RAW where none pays."""
    start = max(0, (len(data) - SAMPLE_BYTES) // 2)
    sample = data[start : start + SAMPLE_BYTES]
    sizes = {codec: len(pack_block(sample, codec)) for codec in codecs}
    best = min(sizes, key=lambda codec: (sizes[codec], codec))
    return best if sizes[best] * 100 <= len(sample) * _MOST_PERCENT else Codec.RAW


class Packed(NamedTuple):
    """The frame of some blocks of a stretch, counted from its first."""

    first: int
    blocks: int
    codec: Codec
    frame: bytes


def pack_stretch(
    data: bytes, lengths: Sequence[int], codecs: Sequence[Codec], level: int = LEVEL
) -> list[Packed]:
    """Frames of neighbouring blocks; blocks that do better as they are have none.

    Text and code gain by one frame for all. Planes gain nothing, so each block has its own: then an
    edit never makes a worker fetch what it has.
    """
    # A sample that does not pack says little of a file of several parts: zstd is quick to give up.
    codec = codecs[0] if len(codecs) == 1 else choose(data, codecs) or Codec.ZSTD
    if codec is Codec.ZSTD:
        return _paying(Packed(0, len(lengths), codec, compress(data, level)), len(data))
    found: list[Packed] = []
    at = 0
    for number, length in enumerate(lengths):
        block = data[at : at + length]
        at += length
        if codec is not Codec.RAW:
            found += _paying(Packed(number, 1, codec, pack_block(block, codec)), length)
    return found


def _paying(packed: Packed, size_bytes: int) -> list[Packed]:
    saved = size_bytes - len(packed.frame)
    pays = len(packed.frame) * 100 <= size_bytes * _MOST_PERCENT
    return [packed] if pays and saved >= LEAST_SAVING_BYTES else []
