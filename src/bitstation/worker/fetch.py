"""Bring bytes from a source into staging; what was proved is never fetched twice.

Each block is proved before it counts, and a file that comes whole is hashed while it is written. A
few connections take requests from one queue. What turns out to be something else than it should
be is fetched plainly: a packed or patched segment block by block, a file whose blocks do not fit
its map whole, against its SHA-256 alone. So a source's word on the inside of files can cost bytes
and never more.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Event, Lock
from typing import BinaryIO

from bitstation import host
from bitstation.codec.blocks import unpack_block
from bitstation.codec.zstd import ZstdFault, apply_patch
from bitstation.core.digest import Digest
from bitstation.core.events import (
    BodyReceived,
    EntryPlaced,
    IntegrityFailed,
    SourceFailed,
    TransferProgress,
)
from bitstation.core.plan import PlanEntry
from bitstation.core.recipe import INLINE, Fetch, Patch
from bitstation.errors import DigestMismatch, SourceError, UpdateCancelled
from bitstation.storage.journal import EntryDone
from bitstation.storage.reuse import SourceVanished
from bitstation.transport.source import RangeReader, Source
from bitstation.worker.building import Building
from bitstation.worker.run import Run
from bitstation.worker.wants import Want, requests_of

BLOCK_BYTES = 2 * 1024 * 1024
PIECE_BYTES = 256 * 1024
WRITEBACK_BYTES = 32 * 1024 * 1024
ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
_NAP_S = 0.05
# Larger patches are applied one at a time: each holds its base, its output and zstd's copies.
_PATCH_ALONE_BYTES = 8 * 1024 * 1024

Task = Callable[[], None]


class Transfer:
    """Fetches from one source into a staging folder.

    ``written`` receives the facts of each file as they were when its bytes had been hashed.
    ``names_of`` says where a blob lies on this machine.
    """

    def __init__(
        self,
        run: Run,
        source: Source,
        written: dict[str, host.StatFacts],
        names_of: Callable[[Digest], list[Path]],
        inline: bytes = b"",
    ) -> None:
        self._run = run
        self._source = source
        self._written = written
        self._names_of = names_of
        self._inline = inline
        self._done_bytes = 0
        self._lock = Lock()
        self._patching = Lock()
        self._tasks: deque[Task] = deque()
        self._change = Condition()
        self._open_works = 0
        self._over = Event()
        self._failure: BaseException | None = None

    # --- the queue ------------------------------------------------------------------------------

    def add(self, task: Task, *, first: bool = False) -> None:
        """Let a connection do something."""
        with self._change:
            self._tasks.appendleft(task) if first else self._tasks.append(task)
            self._change.notify()

    def request(self, wants: Sequence[Want], *, first: bool = False) -> None:
        """Queue what is wanted, neighbours in one request."""
        for want in wants:
            want.building.expect(1)
        runs = requests_of(wants, self._source.concurrency)
        for run in reversed(runs) if first else runs:
            self.add(lambda run=run: self._serve(run), first=first)  # type: ignore[misc]

    def refetch(self, building: Building, first: int, count: int) -> None:
        """Fetch blocks that were to come from elsewhere."""
        wants = [Want(building, each) for each in building.plain(first, count)]
        self.request(wants, first=True)

    def run(self, works: Iterable[Task] = ()) -> None:
        """Do all that is queued, beside ``works``, each in turn, which may queue more.

        The first failure stops the rest. Raises SourceError, DigestMismatch, OSError,
        UpdateCancelled.
        """
        pending = deque(works)
        self._open_works = len(pending)
        connections = max(1, self._source.concurrency) if self._tasks or pending else 0
        connections = min(connections, len(self._tasks)) or min(1, connections)
        workers = min(2, len(pending))
        threads = [threading.Thread(target=self._fetching, name="bitstation-fetch", daemon=True)
                   for _ in range(connections)]  # fmt: skip
        threads += [
            threading.Thread(
                target=self._working, args=(pending,), name="bitstation-finish", daemon=True
            )
            for _ in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                # In turns, so that the main thread hears of signals on Windows too.
                while thread.is_alive():
                    thread.join(0.1)
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        self._over.clear()

    def check(self) -> None:
        """Raise UpdateCancelled once the run is over."""
        self._run.stop.check()
        if self._over.is_set():
            raise UpdateCancelled()

    def _fetching(self) -> None:
        try:
            while (task := self._next()) is not None:
                task()
        except BaseException as error:  # noqa: BLE001 - the border of the thread
            self._fail(error)

    def _working(self, pending: deque[Task]) -> None:
        try:
            while True:
                try:
                    work = pending.popleft()
                except IndexError:
                    return
                self.check()
                work()
                with self._change:
                    self._open_works -= 1
                    self._change.notify_all()
        except BaseException as error:  # noqa: BLE001 - the border of the thread
            self._fail(error)

    def _next(self) -> Task | None:
        """The next task; None once nothing can come any more."""
        while True:
            self.check()
            with self._change:
                if self._tasks:
                    return self._tasks.popleft()
                if self._open_works == 0:
                    return None
                self._change.wait(_NAP_S)

    def _fail(self, error: BaseException) -> None:
        """The first failure is the one that is told; the rest follow from it."""
        with self._lock:
            self._failure = self._failure or error
        self._over.set()

    # --- blocks ---------------------------------------------------------------------------------

    def _serve(self, run: Sequence[Want]) -> None:
        """Fetch neighbours with one request, and what a broken one left with the next."""
        left, failures = deque(run), 0
        while left:
            self.check()
            if left[0].building.is_abandoned:
                left.popleft().building.arrived()
                continue
            before = (len(left), left[0].received)
            try:
                self._read(left)
            except SourceError as error:
                progressed = left and (len(left), left[0].received) != before
                failures = 1 if progressed else failures + 1
                try:
                    self._pause(error, failures)
                except SourceError:
                    self._without(left, error)
                    return

    def _read(self, left: deque[Want]) -> None:
        """Take wants off the front as they are fulfilled."""
        if left[0].blob == INLINE:
            want = left.popleft()
            self._deliver(want, self._inline[want.start : want.end])
            return
        at, end = left[0].start, max(want.end for want in left)
        with self._source.read_range(left[0].blob, at, end - at) as reader:
            while left:
                want = left[0]
                self._skip(reader, want.start - at)
                at = want.end
                if want.is_plain:
                    whole = self._receive_block(want, reader)
                    left.popleft()
                    if not whole:
                        self._repeat(want)
                    want.building.arrived()
                else:
                    payload = self._receive(reader, want.end - want.start, want.building)
                    left.popleft()
                    self._deliver(want, payload)

    def _receive_block(self, want: Want, reader: RangeReader) -> bool:
        """Write a block as it comes; False when it turns out to be another."""
        building, offset = want.building, want.building.offsets[want.first]
        piece = memoryview(bytearray(min(PIECE_BYTES, want.size_bytes)))
        while want.received < want.size_bytes:
            self.check()
            count = reader.readinto(piece[: want.size_bytes - want.received])
            building.write(offset + want.received, piece[:count])
            want.hasher.update(piece[:count])
            want.received += count
            self._count(count, building)
            if want.received < want.size_bytes:
                building.note_part(want.first, want.received)
        if want.hasher.digest() != building.map.digest(want.first):
            return False
        building.settle(want.first, 1)
        return True

    def _receive(self, reader: RangeReader, length: int, building: Building) -> bytearray:
        payload = bytearray(length)
        view, done = memoryview(payload), 0
        while done < length:
            self.check()
            count = reader.readinto(view[done:])
            done += count
            self._count(count, building)
        return payload

    def _skip(self, reader: RangeReader, length: int) -> None:
        piece = memoryview(bytearray(min(PIECE_BYTES, max(0, length))))
        while length > 0:
            self.check()
            count = reader.readinto(piece[:length])
            length -= count
            self._count(count, None)

    def _deliver(self, want: Want, payload: bytes | bytearray) -> None:
        """Make blocks of a payload; where that fails they are fetched as they are."""
        if not self._made(want, payload):
            self._tell_mismatch(want)
            self.request(want.plainly(), first=True)
        want.building.arrived()

    def _made(self, want: Want, payload: bytes | bytearray) -> bool:
        try:
            return want.building.take(want.first, self._unpacked(want, payload))
        except (ZstdFault, SourceVanished):
            return False

    def _unpacked(self, want: Want, payload: bytes | bytearray) -> bytes | bytearray | memoryview:
        step = want.step
        if isinstance(step, Fetch):
            return unpack_block(payload, step.codec, want.size_bytes)
        if step.base_length + want.size_bytes < _PATCH_ALONE_BYTES:
            return apply_patch(self._base(step), payload, want.size_bytes)
        with self._patching:
            return apply_patch(self._base(step), payload, want.size_bytes)

    def _base(self, step: Patch) -> bytes:
        for name in self._names_of(step.base):
            try:
                with name.open("rb", buffering=0) as file:
                    file.seek(step.base_offset)
                    data = file.read(step.base_length)
            except OSError:
                continue
            if len(data) == step.base_length:
                return data
        raise SourceVanished

    def _repeat(self, want: Want) -> None:
        """Fetch a block once more; a second time it is the map or the source that is wrong."""
        want.mismatches += 1
        want.restart()
        self._tell_mismatch(want)
        if want.mismatches > 1:
            want.building.abandon()
        else:
            self.request([want], first=True)

    def _without(self, left: deque[Want], error: SourceError) -> None:
        """Do without a pack that the source cannot give. Raises the error for a file."""
        for want in left:
            if want.blob == want.building.entry.sha256:
                raise error
        self.request([each for want in left for each in want.plainly()], first=True)
        for want in left:
            want.building.arrived()

    def _tell_mismatch(self, want: Want) -> None:
        path = want.building.entry.path
        self._run.emit(IntegrityFailed, path=path, source=self._source.name, healed=True)

    # --- whole files ----------------------------------------------------------------------------

    def fetch_whole(self, index: int | None, entry: PlanEntry, target: Path) -> None:
        """Fetch a file in one stream. Raises DigestMismatch when it is another twice over."""
        for attempt in range(ATTEMPTS):
            self.check()
            self._run.disk.remove(target)
            actual = self._receive_whole(entry, target)
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
        self.place(index, entry, target, entry.size_bytes)

    def place(self, index: int | None, entry: PlanEntry, target: Path, received: int) -> None:
        """Say that a file is whole; ``received`` bytes of it came from the source."""
        self._written[entry.path] = host.stat_facts(target)
        if index is not None:
            self._run.journal.append(EntryDone(index))
        self._run.emit(
            EntryPlaced,
            path=entry.path,
            size_bytes=entry.size_bytes,
            reused_bytes=max(0, entry.size_bytes - received),
            how="fetched" if received >= entry.size_bytes else "built",
            source=self._source.name if entry.is_download else "",
        )

    def _receive_whole(self, entry: PlanEntry, target: Path) -> str:
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
                    failures = 1 if pipe.written > before else failures + 1
                    self._pause(error, failures)
            digest = pipe.digest()
            if entry.executable:
                self._run.disk.set_executable(file)
        return digest

    def _read_on(self, entry: PlanEntry, pipe: _HashingWriter) -> None:
        left = entry.size_bytes - pipe.written
        with self._source.read_range(entry.sha256, pipe.written, left) as reader:
            while pipe.written < entry.size_bytes:
                self.check()
                self._count(pipe.take(reader), None)

    # --- counting and patience ------------------------------------------------------------------

    def _count(self, count: int, building: Building | None) -> None:
        self._run.emit(BodyReceived, source=self._source.name, body_bytes=count)
        with self._lock:
            self._done_bytes += count
            done = self._done_bytes
            if building is not None:
                building.received_bytes += count
        self._run.emit(TransferProgress, phase="fetch", done_bytes=done, source=self._source.name)

    def _pause(self, error: SourceError, failures: int) -> None:
        if not error.retryable or failures >= ATTEMPTS:
            raise error
        self._run.emit(SourceFailed, source=self._source.name, code=error.code, attempt=failures)
        end_s = time.monotonic() + FIRST_PAUSE_S * 4 ** (failures - 1)
        while (left_s := end_s - time.monotonic()) > 0:
            self.check()
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
