"""The last pass over a file that was built: local spans are put in, and all of it is hashed.

It goes through the file in order, behind the transfer and while that still runs, so that the
file's SHA-256 is there soon after its last block. A local span is read once, for its writing and
its hashing; a fetched one is read back from the page cache.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.core.plan import How
from bitstation.core.recipe import Copy, Fill, Segment
from bitstation.storage.durable import WRITEBACK_BYTES
from bitstation.storage.hashing import read_full
from bitstation.storage.reuse import SourceVanished
from bitstation.worker.building import Abandoned, Building
from bitstation.worker.run import Run

CHUNK_BYTES = 2 * 1024 * 1024

Refetch = Callable[[Building, int, int], None]
"""Ask for blocks (first, count) of a building from sources after all."""


class Finisher:
    """Goes through built files. ``names_of`` says where a blob lies here, the best place first.

    ``check`` raises when the run is over.
    """

    def __init__(
        self,
        run: Run,
        names_of: Callable[[Digest], list[Path]],
        refetch: Refetch,
        check: Callable[[], None],
    ) -> None:
        self._run = run
        self._names_of = names_of
        self._refetch = refetch
        self.check = check

    def finishes(self, building: Building) -> bool:
        """Say whether the file came out right; False when it has to be fetched whole.

        Raises OSError, UpdateCancelled.
        """
        try:
            is_rework = building.entry.how is How.REWORK
            digest = self.finish_in_place(building) if is_rework else self.finish(building)
            if digest != building.entry.sha256:
                # Even where no block is wrong now: a copy may have ended early, and what it gave
                # was hashed before it was fetched over.
                self.mend(building)
                digest = self.hash_again(building)
        except Abandoned:
            return False
        return digest == building.entry.sha256

    def finish(self, building: Building) -> Digest:
        """Digest of the file once all its blocks are there.

        Raises Abandoned, OSError, UpdateCancelled. Cost: one read of local and fetched bytes.
        """
        if len(building.map) == 1 and not isinstance(building.entry.segments[0].step, Copy | Fill):
            # The digest of its one block is that of the file.
            building.wait_for(0, self.check)
            return building.entry.sha256
        building.open()
        with building.path.open("rb", buffering=0) as reader:
            pass_ = _Pass(self._run, building, reader)
            for segment in building.entry.segments:
                self._go_over(pass_, building, segment)
            return pass_.digest()

    def finish_in_place(self, building: Building) -> Digest:
        """Digest of a file that was remade in place, once all its blocks are there."""
        building.open()
        for segment in building.entry.segments:
            if isinstance(segment.step, Fill):
                self._fill(building, segment, segment.step.value)
        for number in range(len(building.map)):
            building.wait_for(number, self.check)
        building.cut_to_size()
        return self.hash_again(building)

    def _fill(self, building: Building, segment: Segment, value: int) -> None:
        for number in range(segment.first, segment.end):
            if not building.has(number):
                length = building.map.lengths[number]
                building.write(building.offsets[number], bytes([value]) * length)
                building.settle(number, 1)

    def mend(self, building: Building) -> None:
        """Find blocks that are not what the map says, and fetch those."""
        wrong = []
        with building.path.open("rb", buffering=0) as reader:
            for number, block in enumerate(building.map.blocks()):
                self.check()
                data = read_full(reader, block.length)
                if hashlib.sha256(data).digest() != block.digest:
                    wrong.append(number)
        for number in wrong:
            building.unsettle(number)
        for first, count in _runs(wrong):
            self._refetch(building, first, count)
        for number in wrong:
            building.wait_for(number, self.check)

    def hash_again(self, building: Building) -> Digest:
        """Digest of the file as it lies there now."""
        hasher, block = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES))
        with building.path.open("rb", buffering=0) as reader:
            while count := reader.readinto(block):
                self.check()
                hasher.update(block[:count])
        return Digest(hasher.hexdigest())

    def _go_over(self, pass_: _Pass, building: Building, segment: Segment) -> None:
        numbers = range(segment.first, segment.end)
        step = segment.step
        if isinstance(step, Fill) and not all(map(building.has, numbers)):
            pass_.fill(segment, step.value)
        elif isinstance(step, Copy) and not all(map(building.has, numbers)):
            try:
                pass_.copy(segment, step, self._names_of(step.blob), self.check)
            except SourceVanished:
                self._refetch(building, segment.first, segment.count)
        number = segment.first
        while number < segment.end:
            # Close behind the transfer, in steps that are worth a read.
            building.wait_for(number, self.check)
            number = building.next_lacking(number, segment.end)
            pass_.read_back(building.offsets[number])


class _Pass:
    """One way through one file; the shared pool hashes a chunk while the next one is got."""

    def __init__(self, run: Run, building: Building, reader: BinaryIO) -> None:
        self._run = run
        self._building = building
        self._reader = reader
        self._hasher = hashlib.sha256()
        length = max(1, min(CHUNK_BYTES, building.entry.size_bytes))
        self._chunk = memoryview(bytearray(length))
        self._spare = memoryview(bytearray(length))
        self._hashing: Future[None] | None = None
        self._at = 0
        self._flushed = 0

    def digest(self) -> Digest:
        """Digest of all that was gone over."""
        self._settle()
        return Digest(self._hasher.hexdigest())

    def read_back(self, end: int) -> None:
        """Go over what lies in the file already, from where the pass is up to an offset."""
        self._reader.seek(self._at)
        while self._at < end:
            count = self._reader.readinto(self._chunk[: end - self._at])  # type: ignore[attr-defined]
            if not count:
                raise OSError(f"{self._building.path.name} is shorter than it was written")
            self._hash(count)

    def copy(
        self, segment: Segment, step: Copy, names: list[Path], check: Callable[[], None]
    ) -> None:
        """Take a span of a local file in. Raises SourceVanished when none gives all of it."""
        start, end = (self._building.offsets[number] for number in (segment.first, segment.end))
        for name in names:
            with contextlib.suppress(SourceVanished):
                self._copy_from(name, step.offset - start, end, check)
            if self._at == end:
                self._building.settle(segment.first, segment.count)
                return
        raise SourceVanished

    def _copy_from(self, name: Path, ahead: int, end: int, check: Callable[[], None]) -> None:
        """Go on to ``end`` with what lies ``ahead`` bytes further on in a file, as far as it goes.

        Raises SourceVanished.
        """
        with _opened(name) as source:
            _seek(source, ahead + self._at)
            while self._at < end:
                check()
                count = _read(source, self._chunk[: end - self._at])
                if not count:
                    return
                self._put(count)

    def fill(self, segment: Segment, value: int) -> None:
        """Take a run of one byte value in."""
        end = self._building.offsets[segment.end]
        while self._at < end:
            count = min(len(self._chunk), end - self._at)
            self._chunk[:count] = bytes([value]) * count
            self._put(count)
        self._building.settle(segment.first, segment.count)

    def _put(self, count: int) -> None:
        at, chunk = self._at, self._chunk
        self._hash(count)
        self._building.write(at, chunk[:count])

    def _hash(self, count: int) -> None:
        self._settle()
        self._hashing = host.shared_pool().submit(self._hasher.update, self._chunk[:count])
        self._chunk, self._spare = self._spare, self._chunk
        self._at += count
        if self._at - self._flushed >= WRITEBACK_BYTES:
            # What was last put in may still be on its way: it is handed over the next time.
            host.start_writeback(self._reader.fileno(), self._flushed, self._at - self._flushed)
            self._flushed = self._at - CHUNK_BYTES

    def _settle(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as (first, count) of those that follow each other."""
    first = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[first], at - first
            first = at


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise SourceVanished from error


def _seek(source: BinaryIO, offset: int) -> None:
    try:
        source.seek(offset)
    except OSError as error:
        # Farther than any file of this volume can be long.
        raise SourceVanished from error


def _read(source: BinaryIO, chunk: memoryview) -> int:
    try:
        return source.readinto(chunk)  # type: ignore[attr-defined,no-any-return]
    except OSError as error:
        raise SourceVanished from error
