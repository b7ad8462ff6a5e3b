"""What comes from a source is counted, and what fails is waited for, in one place."""

from __future__ import annotations

import random
from threading import Lock

from bitstation.core.backoff import Backoff
from bitstation.core.events import BodyReceived, SourceFailed, TransferProgress
from bitstation.errors import SourceError
from bitstation.transport.failures import SourceStalled
from bitstation.transport.filling import Filling
from bitstation.transport.source import Source, SpanReader
from bitstation.worker.building import Building
from bitstation.worker.crew import Crew
from bitstation.worker.run import Run

ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
PIECE_BYTES = 256 * 1024
"""Most that is received at once: so much is lost when the power goes."""


class Intake:
    """The one place where bytes of a source come in; callable from all threads of a crew."""

    def __init__(self, run: Run, source: Source, crew: Crew) -> None:
        self.source = source
        self._run = run
        self._crew = crew
        self._done_bytes = 0
        self._lock = Lock()

    def check(self) -> None:
        """Raise UpdateCancelled once the run is over."""
        self._crew.check()

    def count(self, name: str, count: int, building: Building | None = None) -> None:
        """Say that body bytes came from the source of that name, for a file or for none."""
        if self._run.options.pacer is not None:
            self._run.options.pacer.take(count, self._crew)
        self._run.emit(BodyReceived, source=name, body_bytes=count)
        with self._lock:
            self._done_bytes += count
            done = self._done_bytes
            if building is not None:
                building.received_bytes += count
        self._run.emit(TransferProgress, phase="fetch", done_bytes=done, source=name)

    def receive(self, reader: SpanReader, length: int, building: Building) -> bytearray:
        """The next ``length`` bytes in memory. Raises SourceError."""
        payload = bytearray(length)
        view, done, pieces = memoryview(payload), 0, Filling(reader)
        while done < length:
            self.check()
            count = pieces.readinto(view[done : done + PIECE_BYTES])
            done += count
            self.count(reader.source, count, building)
        return payload

    def skip(self, reader: SpanReader, length: int) -> None:
        """Read over bytes that nobody wants. Raises SourceError."""
        piece = memoryview(bytearray(min(PIECE_BYTES, max(0, length))))
        while length > 0:
            self.check()
            count = reader.readinto(piece[:length])
            length -= count
            self.count(reader.source, count)

    def failures_after(self, error: SourceError, received: int, failures: int) -> int:
        """Failures in a row, after one more that came behind ``received`` bytes.

        A trickle is no progress, or a source could hold us for ever.
        """
        least = PIECE_BYTES if isinstance(error, SourceStalled) else 1
        return 1 if received >= least else failures + 1

    def pause(self, error: SourceError, failures: int) -> None:
        """Wait before the next try. Raises the error when there is none, UpdateCancelled."""
        backoff = Backoff(FIRST_PAUSE_S, attempts=ATTEMPTS)
        pause_s = backoff.pause_s(failures, random.random, error.retry_after_s)
        if not error.retryable or pause_s is None:
            raise error
        self._run.emit(SourceFailed, source=self.source.name, code=error.code, attempt=failures)
        self._crew.wait(pause_s)
