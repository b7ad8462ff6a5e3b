"""One file being put together in staging: blocks come in any order, from any thread.

Crash: the file holds some of its blocks, which the journal names; nothing else reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from itertools import accumulate
from pathlib import Path
from threading import Condition
from typing import BinaryIO

from bitstation.core.plan import PlanEntry
from bitstation.core.recipe import Codec, Fetch, Segment
from bitstation.storage.journal import BlockPart, BlocksDone
from bitstation.worker.run import Run

_WAIT_S = 0.1


class Abandoned(Exception):
    """Its map does not fit what sources give: the file has to be fetched whole."""


class Building:
    """The file of one plan entry. ``index`` is the entry's, None where no journal is kept.

    ``done`` are blocks that an earlier run left there, as proved now; ``parts`` how many bytes of
    others it did.
    """

    def __init__(
        self,
        run: Run,
        index: int | None,
        entry: PlanEntry,
        path: Path,
        done: Collection[int] = (),
        parts: Mapping[int, int] | None = None,
    ) -> None:
        self.entry = entry
        self.path = path
        self.map = entry.blockmap
        self.offsets = list(accumulate(self.map.lengths, initial=0))
        self.received_bytes = 0
        self._run = run
        self._index = index
        self._done = bytearray(len(self.map))
        self._change = Condition()
        self._file: BinaryIO | None = None
        self._awaited = 0
        self._is_finishing = False
        self._is_abandoned = False
        self.is_damaged = True
        self._exists = bool(done or parts)
        self.parts = dict(parts or {})
        for number in done:
            self._done[number] = 1

    def begin_with_file(self) -> None:
        """Go on in the file that is there, whatever it holds."""
        self._exists = True

    def cut_to_size(self) -> None:
        """Cut off what follows the end of the file's content."""
        self._run.disk.truncate(self._opened(), self.entry.size_bytes)

    def has(self, number: int) -> bool:
        """Say whether a block is there and proved."""
        return self._done[number] == 1

    def next_lacking(self, first: int, end: int) -> int:
        """Number of the next block that is not there yet, from ``first`` on, at most ``end``."""
        found = self._done.find(0, first, end)
        return end if found < 0 else found

    @property
    def is_whole(self) -> bool:
        """Say whether all blocks are there and proved."""
        return all(self._done)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes that need not be proved yet. Raises OSError, Abandoned."""
        if self._is_abandoned:
            raise Abandoned
        self._run.disk.write_at(self._opened(), offset, data)

    def note_part(self, number: int, length: int) -> None:
        """Remember how many bytes of a block were written, for a run that goes on from there."""
        if self._index is not None:
            self._run.journal.append(BlockPart(self._index, number, length))

    def note_written(self, number: int, length: int, first: int) -> int:
        """Remember that ``length`` bytes from block ``first`` on were written, proved or not.

        Blocks before ``number`` were noted already; the number of the first one that is not whole.
        """
        end_offset, end = self.offsets[first] + length, number
        while end < len(self.map) and self.offsets[end + 1] <= end_offset:
            end += 1
        if self._index is not None:
            if end > number:
                self._run.journal.append(BlocksDone(self._index, number, end - number))
            if end_offset > self.offsets[end]:
                self.note_part(end, end_offset - self.offsets[end])
        return end

    def take(self, first: int, output: bytes | bytearray | memoryview) -> bool:
        """Prove the output of a segment block by block, and keep it; False when it is another."""
        view, at = memoryview(output), 0
        numbers = range(first, first + self._count(first, len(view)))
        for number in numbers:
            length = self.map.lengths[number]
            if hashlib.sha256(view[at : at + length]).digest() != self.map.digest(number):
                return False
            at += length
        self.write(self.offsets[first], view)
        self.settle(first, len(numbers))
        return True

    def settle(self, first: int, count: int) -> None:
        """Say that blocks are written and proved."""
        if self._index is not None:
            self._run.journal.append(BlocksDone(self._index, first, count))
        with self._change:
            self._done[first : first + count] = b"\1" * count
            self._change.notify_all()

    def expect(self, count: int) -> None:
        """Say that so many more deliveries are on their way: until then the file stays open."""
        with self._change:
            self._awaited += count

    def arrived(self, count: int = 1) -> None:
        """Say that some of them were written. With the last the file is closed.

        The transfer may be far ahead of the last pass, and files that may be open are few.
        """
        with self._change:
            self._awaited -= count
            if self._awaited == 0:
                self._change.notify_all()
                if not self._is_finishing:
                    self._close()

    def unsettle(self, number: int) -> None:
        """Take a block back that turned out to be another."""
        self._done[number] = 0

    def wait_for(self, number: int, check: Callable[[], None]) -> None:
        """Return when a block is there. ``check`` raises when it never will be.

        Raises Abandoned.
        """
        while not self._done[number]:
            check()
            if self._is_abandoned:
                raise Abandoned
            with self._change:
                if not self._done[number]:
                    self._change.wait(_WAIT_S)

    def abandon(self, *, damaged: bool = True) -> None:
        """Say that the file cannot be built: its map is wrong, or sources give no parts of it."""
        self._is_abandoned = True
        self.is_damaged = damaged

    def leave(self, check: Callable[[], None]) -> None:
        """Close the file of an abandoned building, once nobody writes to it any more."""
        self._is_abandoned = True
        with self._change:
            while self._awaited:
                check()
                self._change.wait(_WAIT_S)
            self._close()

    @property
    def is_abandoned(self) -> bool:
        """Say whether the file must be fetched whole."""
        return self._is_abandoned

    def plain(self, first: int, count: int) -> list[Segment]:
        """Segments that fetch these blocks out of the file's own blob, one each."""
        return [
            Segment(number, 1, self._plain_step(number)) for number in range(first, first + count)
        ]

    def open(self) -> None:
        """Have the file there, and open until ``close``. Raises OSError."""
        with self._change:
            self._is_finishing = True
        self._opened()

    def close(self) -> None:
        """Close the file; it can be executed then, where its entry says so."""
        if self.entry.executable:
            self._run.disk.set_executable(self._opened())
        with self._change:
            self._close()

    def drop(self) -> None:
        """Close the file as it is."""
        with self._change:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        with self._change:
            if self._file is None:
                self._file = self._open()
            return self._file

    def _open(self) -> BinaryIO:
        run = self._run
        if self._exists:
            return run.disk.open_within(self.path, below=run.tree.releases)
        file = run.open_staged(self.path)
        self._exists = True
        try:
            run.disk.preallocate(file, self.entry.size_bytes)
        except BaseException:
            file.close()
            raise
        return file

    def _plain_step(self, number: int) -> Fetch:
        start, length = self.offsets[number], self.map.lengths[number]
        return Fetch(Codec.RAW, self.entry.sha256, start, length)

    def _count(self, first: int, length: int) -> int:
        """Blocks that so many bytes are, from ``first`` on."""
        number = first
        while number < len(self.map) and self.offsets[number] - self.offsets[first] < length:
            number += 1
        return number - first
