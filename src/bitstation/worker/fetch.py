"""Bring files from a source into staging: hashed while they are written, read by nobody before.

One thread of the transfer receives and writes a block while a thread of the shared pool hashes
the one before, so a single large file uses two cores.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO

from bitstation import host
from bitstation.core.backoff import Backoff
from bitstation.core.events import (
    BodyReceived,
    EntryPlaced,
    IntegrityFailed,
    SourceFailed,
    TransferProgress,
)
from bitstation.core.plan import PlanEntry
from bitstation.errors import DigestMismatch, SourceError, UpdateCancelled
from bitstation.storage.journal import SegmentDone
from bitstation.transport.failures import SourceStalled
from bitstation.transport.filling import Filling
from bitstation.transport.source import RangeReader, Source
from bitstation.worker.run import Run

BLOCK_BYTES = 2 * 1024 * 1024
WRITEBACK_BYTES = 32 * 1024 * 1024
ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
_NAP_S = 0.05


class Transfer:
    """Fetches entries of a plan from one source into a staging folder.

    ``written`` receives the facts of each file as they were when its bytes had been hashed.
    """

    def __init__(
        self,
        run: Run,
        source: Source,
        staging: Path,
        written: dict[str, host.StatFacts],
        *,
        journaled: bool,
    ) -> None:
        self._run = run
        self._journaled = journaled
        self._source = source
        self._staging = staging
        self._written = written
        self._done_bytes = 0
        self._lock = Lock()
        self._over = Event()
        self._failure: BaseException | None = None

    def fetch(self, entries: Sequence[tuple[int, PlanEntry]]) -> None:
        """Fetch entries (with their index in the plan), several at once.

        The first failure stops the rest. Raises SourceError, DigestMismatch, OSError,
        UpdateCancelled. Crash: staging holds files of which the journal names the whole ones.
        """
        if not entries:
            return
        threads = min(self._source.concurrency, len(entries))
        with ThreadPoolExecutor(threads, thread_name_prefix="bitstation-fetch") as pool:
            futures = [pool.submit(self._try_entry, index, entry) for index, entry in entries]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._over.set()
                for future in futures:
                    future.cancel()
        if self._failure is not None:
            raise self._failure
        self._over.clear()

    def _try_entry(self, index: int, entry: PlanEntry) -> None:
        """Fetch one entry; the first failure is the one that is told, the rest follow from it."""
        try:
            self._check()
            self._fetch_entry(index, entry)
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._over.set()
            raise

    def _fetch_entry(self, index: int, entry: PlanEntry) -> None:
        target = self._staging / entry.path
        for attempt in range(ATTEMPTS):
            self._run.disk.remove(target)
            actual = self._receive(entry, target)
            if actual == entry.sha256:
                break
            self._run.disk.remove(target)
            healed = attempt == 0
            self._run.emit(
                IntegrityFailed, path=entry.path, source=self._source.name, healed=healed
            )
            # A second time would be a source that holds other bytes, not a bad transfer.
            if not healed:
                raise DigestMismatch(
                    path=entry.path,
                    source=self._source.name,
                    expected=entry.sha256,
                    actual=actual,
                )
        self._written[entry.path] = host.stat_facts(target)
        if self._journaled:
            self._run.journal.append(SegmentDone(index, 0))
        self._run.emit(
            EntryPlaced,
            path=entry.path,
            size_bytes=entry.size_bytes,
            how="fetched",
            source=self._source.name,
        )

    def _receive(self, entry: PlanEntry, target: Path) -> str:
        """Write an entry's bytes and return their digest; a broken transfer goes on."""
        with self._run.disk.open_new(target) as file:
            self._run.disk.preallocate(file, entry.size_bytes)
            pipe = _HashingWriter(self._run, file, entry.size_bytes)
            failures = 0
            while pipe.written < entry.size_bytes:
                before = pipe.written
                try:
                    self._read_on(entry, pipe)
                except SourceError as error:
                    pipe.settle()
                    # A trickle is no progress, or a source could hold us for ever.
                    least = BLOCK_BYTES if isinstance(error, SourceStalled) else 1
                    failures = 1 if pipe.written >= before + least else failures + 1
                    self._pause(error, failures)
            digest = pipe.digest()
            if entry.executable:
                self._run.disk.set_executable(file)
        return digest

    def _read_on(self, entry: PlanEntry, pipe: _HashingWriter) -> None:
        left = entry.size_bytes - pipe.written
        with self._source.read_range(entry.sha256, pipe.written, left) as reader:
            blocks = Filling(reader)
            while pipe.written < entry.size_bytes:
                self._check()
                self._count(pipe.take(blocks))

    def _check(self) -> None:
        self._run.stop.check()
        if self._over.is_set():
            raise UpdateCancelled()

    def _count(self, count: int) -> None:
        self._run.emit(BodyReceived, source=self._source.name, body_bytes=count)
        with self._lock:
            self._done_bytes += count
            done = self._done_bytes
        self._run.emit(TransferProgress, phase="fetch", done_bytes=done, source=self._source.name)

    def _pause(self, error: SourceError, failures: int) -> None:
        backoff = Backoff(FIRST_PAUSE_S, attempts=ATTEMPTS)
        pause_s = backoff.pause_s(failures, random.random, error.retry_after_s)
        if not error.retryable or pause_s is None:
            raise error
        self._run.emit(SourceFailed, source=self._source.name, code=error.code, attempt=failures)
        end_s = time.monotonic() + pause_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._check()
            self._run.stop.wait(min(left_s, _NAP_S))


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

    def settle(self) -> None:
        """Wait until all that was written is hashed."""
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def digest(self) -> str:
        """Digest of all that was written."""
        self.settle()
        return self._hasher.hexdigest()
