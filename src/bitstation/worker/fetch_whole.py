"""Whole files from a source, in one stream each: hashed while they are written."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO

from bitstation import host
from bitstation.core.events import EntryPlaced, IntegrityFailed
from bitstation.core.plan import PlanEntry
from bitstation.errors import DigestMismatch, SourceBroken, SourceError
from bitstation.storage.durable import WRITEBACK_BYTES
from bitstation.storage.journal import EntryDone
from bitstation.transport.failures import RangeIgnored, SourceChanged
from bitstation.transport.filling import Filling
from bitstation.transport.source import RangeReader
from bitstation.worker.intake import ATTEMPTS, Intake
from bitstation.worker.run import Run

BLOCK_BYTES = 2 * 1024 * 1024


class FileFetcher:
    """Fetches files against their SHA-256 alone.

    ``written`` receives the facts of each file as they were when its bytes had been hashed.
    """

    def __init__(self, run: Run, intake: Intake, written: dict[str, host.StatFacts]) -> None:
        self._run = run
        self._intake = intake
        self._written = written

    def fetch(self, index: int | None, entry: PlanEntry, target: Path) -> None:
        """Fetch a file. Raises DigestMismatch when a source gives another twice over.

        ``index`` is the entry's in the plan, None where no journal is kept.
        """
        blamed: set[str] = set()
        while True:
            self._intake.check()
            actual, givers = self._receive(entry, target)
            if actual == entry.sha256:
                self.place(index, entry, target, entry.size_bytes)
                return
            self._run.clear_staged(target)
            # Of several that gave a part, those are doubted first that did not go on to the end.
            doubted = givers[:-1] or givers
            # A second time it is a source that holds other bytes, not a bad transfer.
            healed = not blamed.issuperset(doubted)
            for source in doubted:
                self._intake.source.distrust(entry.sha256, source)
                self._run.emit(IntegrityFailed, path=entry.path, source=source, healed=healed)
            if not healed:
                raise DigestMismatch(
                    path=entry.path, source=doubted[-1], expected=entry.sha256, actual=actual
                )
            blamed.update(doubted)

    def place(self, index: int | None, entry: PlanEntry, target: Path, received: int) -> None:
        """Say that a file is whole; ``received`` bytes of it came from the source."""
        self._written[entry.path] = host.stat_facts(target)
        if index is not None:
            self._run.journal.append(EntryDone(index))
        self._run.emit(
            EntryPlaced,
            path=entry.path,
            size_bytes=entry.size_bytes,
            reused_bytes=entry.reuse_bytes if received < entry.size_bytes else 0,
            how="fetched" if received >= entry.size_bytes else "built",
            source=self._intake.source.name if entry.is_download else "",
        )

    def _receive(self, entry: PlanEntry, target: Path) -> tuple[str, list[str]]:
        """Write an entry's bytes; their digest and who gave them. A broken transfer goes on."""
        with self._run.open_staged(target) as file:
            self._run.disk.preallocate(file, entry.size_bytes)
            pipe = _HashingWriter(self._run, file, entry.size_bytes)
            failures, restarts = 0, 0
            givers: list[str] = []
            while pipe.written < entry.size_bytes:
                before = pipe.written
                try:
                    self._read_on(entry, pipe, givers)
                except SourceError as error:
                    pipe.settle()
                    if isinstance(error, RangeIgnored | SourceChanged) and restarts < ATTEMPTS:
                        # It cannot be gone on with, but it can be begun anew.
                        error = SourceBroken(source=error.fields["source"], detail=str(error))
                        restarts += 1
                        pipe.restart()
                        givers.clear()
                        before = 0
                    received = pipe.written - before
                    failures = self._intake.failures_after(error, received, failures)
                    self._intake.pause(error, failures)
            digest = pipe.digest()
            if entry.executable:
                self._run.disk.set_executable(file)
        return digest, givers or [self._intake.source.name]

    def _read_on(self, entry: PlanEntry, pipe: _HashingWriter, givers: list[str]) -> None:
        """Read what is left; the name of the source that gives of it is added."""
        left = entry.size_bytes - pipe.written
        with self._intake.source.read_range(entry.sha256, pipe.written, left) as reader:
            blocks = Filling(reader)
            while pipe.written < entry.size_bytes:
                self._intake.check()
                self._intake.count(reader.source, pipe.take(blocks))
                if givers[-1:] != [reader.source]:
                    givers[:] = [name for name in givers if name != reader.source]
                    givers.append(reader.source)


class _HashingWriter:
    """Writes blocks to a file; the pool hashes one block while the next one arrives."""

    def __init__(self, run: Run, file: BinaryIO, size_bytes: int) -> None:
        self._run = run
        self._file = file
        self._hasher = hashlib.sha256()
        length = min(BLOCK_BYTES, size_bytes)
        self._block = memoryview(bytearray(length))
        # A file of one block has nothing to overlap with.
        self._spare = memoryview(bytearray(length)) if size_bytes > BLOCK_BYTES else self._block
        self._hashing: Future[None] | None = None
        self._flushed = 0
        self.written = 0

    def take(self, reader: RangeReader) -> int:
        """Receive one block and write it; its hashing goes on behind. Returns its length."""
        count = reader.readinto(self._block)
        data = self._block[:count]
        self._run.disk.write(self._file, data)
        self.settle()
        if self._spare is self._block:
            self._hasher.update(data)
        else:
            self._hashing = host.shared_pool().submit(self._hasher.update, data)
            self._block, self._spare = self._spare, self._block
        self.written += count
        if self.written - self._flushed >= WRITEBACK_BYTES:
            host.start_writeback(self._file.fileno(), self._flushed, self.written - self._flushed)
            self._flushed = self.written
        return count

    def restart(self) -> None:
        """Begin with the first byte again."""
        self._file.seek(0)
        self._hasher = hashlib.sha256()
        self.written = self._flushed = 0

    def settle(self) -> None:
        """Wait until all that was written is hashed."""
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def digest(self) -> str:
        """Digest of all that was written."""
        self.settle()
        return self._hasher.hexdigest()
