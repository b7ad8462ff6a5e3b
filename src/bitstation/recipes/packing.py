"""Blocks packed for whoever has none of them: fillings named, the rest in frames that pay."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

from bitstation.core.blockmap import BlockMap
from bitstation.core.recipe import MAX_OUTPUT_BYTES, Codec, Fetch, Fill, Segment
from bitstation.host import shared_pool
from bitstation.recipes.frames import (
    FRAME_BYTES,
    LEVEL,
    TENSOR_LEVEL,
    Blocks,
    Packed,
    choose,
    pack_blocks,
)
from bitstation.recipes.kinds import Kind, filling
from bitstation.recipes.known import Forms
from bitstation.recipes.packs import PENDING, PackWriter
from bitstation.recipes.reading import BlobReader
from bitstation.storage.hashing import Stop

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
        self.forms = forms
        self.pack = pack
        self.stop = stop

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
        forms = self._packer.forms
        for number, length in enumerate(self._map.lengths):
            if number >= until:
                until = self._take(number, offset, length)
            forms.add_block(self._map.digest(number))
            offset += length
        self._close()
        self._drain()

    def _take(self, number: int, offset: int, length: int) -> int:
        """Number of the first block that still needs a look."""
        digest, forms = self._map.digest(number), self._packer.forms
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
        self._packer.stop.check()
        stretch, self._open = self._open, None
        data = bytes(self._reader.read(stretch.offset, stretch.length))
        kind = self._kinds[stretch.first]
        codecs = kind.codecs
        if kind.tensor is not None:
            if kind.tensor not in self._choices:
                self._choices[kind.tensor] = choose(data, codecs)
            codecs = (self._choices[kind.tensor],)
        numbers = range(stretch.first, stretch.first + stretch.blocks)
        lengths = [self._map.lengths[number] for number in numbers]
        blocks = Blocks(data, lengths, [self._map.digest(number) for number in numbers])
        level = LEVEL if kind.tensor is None else TENSOR_LEVEL
        task = shared_pool().submit(pack_blocks, blocks, codecs, level)
        self._queue.append((stretch, task))
        if len(self._queue) > _QUEUE:
            self._settle()

    def _settle(self) -> None:
        stretch, task = self._queue.popleft()
        for packed in task.result():
            frame = packed.frame
            step = Fetch(packed.codec, PENDING, self._packer.pack.add(frame), len(frame))
            segment = Segment(stretch.first + packed.first, packed.blocks, step)
            self.segments.append(segment)
            self._packer.forms.add_run(self._map, segment)

    def _drain(self) -> None:
        while self._queue:
            self._settle()
        self._under_way.clear()
