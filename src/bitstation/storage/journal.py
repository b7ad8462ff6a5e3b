"""The journal of one run: append-only lines, so that recovery knows how far it came.

Each line is a CRC-32 in hexadecimal, a space, and compact JSON. Reading ends at the first line
that is torn or damaged: what follows it was never promised.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Annotated, BinaryIO

import msgspec

from bitstation.core.blockmap import MAX_BLOCKS
from bitstation.core.lifecycle import Step
from bitstation.core.retention import DEFAULT_KEPT
from bitstation.storage.durable import Disk

MAX_JOURNAL_BYTES = 64 * 1024 * 1024

_Number = Annotated[int, msgspec.Meta(ge=0)]
_Block = Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOCKS)]


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """First record: which release is being put in place of which, by which command."""

    run_id: str
    version: str
    manifest_hash: str
    from_version: str | None
    keep: int = DEFAULT_KEPT
    """Releases to keep beside it, as the interrupted run was told."""
    command: str = "update"


class EntryDone(msgspec.Struct, frozen=True, tag="entry"):
    """The file of plan entry ``entry`` is whole and its digest was right.

    Not synced one by one, no more than the next two: recovery believes them only after reading
    the bytes again.
    """

    entry: _Number


class BlocksDone(msgspec.Struct, frozen=True, tag="blocks"):
    """Blocks of a file that is being built were written; whoever goes on holds them to the map."""

    entry: _Number
    first: _Block
    count: _Block


class BlockPart(msgspec.Struct, frozen=True, tag="part"):
    """The first ``length`` bytes of a block were written; nobody could say yet what they are."""

    entry: _Number
    block: _Block
    length: _Number


class StepBegun(msgspec.Struct, frozen=True, tag="step"):
    """The run reached this step; durable before the work of the step begins."""

    step: Step


Done = EntryDone | BlocksDone | BlockPart
Record = Begin | Done | StepBegun
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class JournalFacts(msgspec.Struct):
    """What a journal says."""

    begin: Begin | None = None
    step: Step | None = None
    done: set[int] = msgspec.field(default_factory=set)
    """Entries that are whole."""
    blocks: dict[int, list[range]] = msgspec.field(default_factory=dict)
    """Numbers of the blocks that are there, by entry: runs, in the order of their records."""
    parts: dict[int, dict[int, int]] = msgspec.field(default_factory=dict)
    """By entry and block: how many bytes of it are there."""

    def add(self, record: Done) -> None:
        """Take a record in."""
        match record:
            case EntryDone():
                self.done.add(record.entry)
            case BlocksDone():
                runs, first = self.blocks.setdefault(record.entry, []), record.first
                if runs and runs[-1].stop == first:
                    first = runs.pop().start
                runs.append(range(first, record.first + record.count))
                self._forget_parts(record)
            case BlockPart():
                self.parts.setdefault(record.entry, {})[record.block] = record.length

    def _forget_parts(self, done: BlocksDone) -> None:
        """A block that was there once has no part: where it is damaged now, so is that."""
        parts, numbers = self.parts.get(done.entry, {}), range(done.first, done.first + done.count)
        shorter = numbers if len(numbers) < len(parts) else list(parts)
        for block in shorter:
            if block in numbers:
                parts.pop(block, None)

    def records(self) -> Iterator[Done]:
        """Records that say the same."""
        yield from (EntryDone(entry) for entry in sorted(self.done))
        for entry, runs in sorted(self.blocks.items()):
            yield from (BlocksDone(entry, run.start, len(run)) for run in runs)
        for entry, parts in sorted(self.parts.items()):
            yield from (BlockPart(entry, block, length) for block, length in sorted(parts.items()))


class Journal:
    """Writer of the journal file of one tool."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._file: BinaryIO | None = None
        self._lock = Lock()

    def begin(self, record: Begin, done: Iterable[Done] = (), step: Step = Step.STAGING) -> None:
        """Start a journal in place of any earlier one. Durable on return.

        A resumed run starts one too, with what is ``done``: records that were added after a torn
        line would never be read.
        """
        self.close()
        records: tuple[Record, ...] = (record, StepBegun(step), *done)
        self._disk.write_file(self._path, b"".join(_line(each) for each in records))

    def append(self, record: Record, *, durable: bool = False) -> None:
        """Add a record, from any thread; with ``durable`` it is on the disk on return."""
        with self._lock:
            if self._file is None:
                self._file = self._disk.open_append(self._path)
            self._disk.write(self._file, _line(record))
            if durable:
                self._disk.sync_file(self._file)

    def close(self) -> None:
        """Close the file; the journal stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def drop(self) -> None:
        """Remove the journal: nothing is in progress any more."""
        self.close()
        self._disk.remove(self._path)


def read_journal(path: Path) -> JournalFacts:
    """Facts of a journal; empty ones when it is absent or its first line is damaged."""
    facts = JournalFacts()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        return facts
    for line in data.split(b"\n")[:-1]:
        record = _parsed(line)
        match record:
            case None:
                break
            case Begin():
                facts.begin = record
            case StepBegun():
                facts.step = record.step
            case _:
                facts.add(record)
    if facts.begin is None:
        return JournalFacts()
    return facts


def _line(record: Record) -> bytes:
    body = msgspec.json.encode(record)
    return b"%08x %s\n" % (binascii.crc32(body), body)


def _parsed(line: bytes) -> Record | None:
    crc, _, body = line.partition(b" ")
    if crc != b"%08x" % binascii.crc32(body):
        return None
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        return None
