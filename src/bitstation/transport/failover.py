"""Several sources as one: the first that is well serves, and who fails or lies is passed over.

Identity is a digest, so that a download may go on from another source at any byte.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock

from bitstation.core.digest import Digest
from bitstation.errors import DigestMismatch, NotFound, SourceError
from bitstation.transport.source import Offer, RangeReader, Source, comes_within

REST_S = 30.0
"""A source that failed twice in a row is not asked for so long, while another one is well."""

_FAILURES = 2
_LIES = 3
"""Blobs of which a source gave other bytes before it is asked for nothing any more."""


class FailoverSource(Source):
    """Sources in the order in which they are preferred; callable from several threads."""

    def __init__(
        self, sources: Sequence[Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = list(sources)
        self._clock = clock
        self._lock = Lock()
        self._failures: dict[int, int] = defaultdict(int)
        self._resting: dict[int, float] = {}
        self._without: set[tuple[int, Digest]] = set()
        self._lied: dict[int, set[Digest]] = defaultdict(set)
        self.name = self._sources[0].name
        self.concurrency = max(source.concurrency for source in sources)
        self.is_local = all(source.is_local for source in sources)

    def distrust(self, digest: Digest, name: str) -> None:
        """Ask the source of that name for this blob no more; after some lies for nothing."""
        with self._lock:
            for number, source in enumerate(self._sources):
                if source.name == name:
                    self._lied[number].add(digest)

    def read_object(
        self, digest: Digest, max_bytes: int, on_bytes: Callable[[int], object] | None = None
    ) -> bytes:
        """A small blob whole, from the first source that gives it as it should be.

        Raises SourceError, DigestMismatch.
        """
        failure: SourceError | DigestMismatch | None = None
        for number in self._order(digest):
            source = self._sources[number]
            try:
                data = source.read_object(digest, max_bytes, on_bytes)
            except (SourceError, DigestMismatch) as error:
                self._note_fault(number, digest, error)
                failure = error if isinstance(failure, NotFound | None) else failure
            else:
                self._note(number, failed=False)
                return data
        assert failure is not None  # there is at least one source
        raise failure

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """From the first source that has it: who lies about it is found out by its signatures."""
        failure: SourceError | None = None
        for number in self._order(None):
            try:
                if data := self._sources[number].read_metadata(name, max_bytes):
                    return data
            except SourceError as error:
                self._note(number, failed=True)
                failure = failure or error
        if failure is not None:
            raise failure
        return None

    def close(self) -> None:
        """Close all sources."""
        for source in self._sources:
            source.close()

    def abort(self) -> None:
        """End reads under way, of all sources."""
        for source in self._sources:
            source.abort()

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        failure: SourceError | None = None
        for number in self._order(None):
            try:
                return self._sources[number]._resolve(tool_id, version)
            except SourceError as error:
                self._note(number, failed=True)
                failure = failure or error
        assert failure is not None  # there is at least one source
        raise failure

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        failure: SourceError | None = None
        for number in self._order(digest):
            source = self._sources[number]
            try:
                return _Watched(self, number, source, source._open(digest, offset, length))
            except SourceError as error:
                self._note_fault(number, digest, error)
                failure = error if isinstance(failure, NotFound | None) else failure
        assert failure is not None  # there is at least one source
        raise failure

    def _order(self, digest: Digest | None) -> list[int]:
        """Numbers of the sources worth asking: rested ones last, liars and those without never.

        When none is left all are asked again: a wrong answer can be told from a right one.
        """
        now = self._clock()
        with self._lock:
            numbers = range(len(self._sources))
            worth = [number for number in numbers if self._is_worth(number, digest)] or [*numbers]
            return sorted(worth, key=lambda number: self._resting.get(number, now) > now)

    def _is_worth(self, number: int, digest: Digest | None) -> bool:
        lies = self._lied[number]
        lacks = digest is not None and (number, digest) in self._without
        return digest not in lies and len(lies) < _LIES and not lacks

    def _note_fault(self, number: int, digest: Digest, error: SourceError | DigestMismatch) -> None:
        """Remember why a source gave no blob."""
        if isinstance(error, NotFound):
            with self._lock:
                self._without.add((number, digest))
        elif isinstance(error, DigestMismatch):
            with self._lock:
                self._lied[number].add(digest)
        else:
            self._note(number, failed=True)

    def _note(self, number: int, *, failed: bool) -> None:
        """Count what came of asking a source."""
        with self._lock:
            self._failures[number] = self._failures[number] + 1 if failed else 0
            if self._failures[number] >= _FAILURES:
                self._resting[number] = self._clock() + REST_S
            elif not failed:
                self._resting.pop(number, None)


class _Watched:
    """A reader of one of the sources, which hears of its failures."""

    def __init__(
        self, sources: FailoverSource, number: int, source: Source, inner: RangeReader
    ) -> None:
        self._sources = sources
        self._number = number
        self._inner = inner
        self._is_well = False
        self.source = source.name

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            count = self._inner.readinto(buffer)
        except SourceError:
            self._sources._note(self._number, failed=True)
            raise
        if count == 0 and len(buffer):
            # Nobody reads on after the end of a span: this one ended too early.
            self._sources._note(self._number, failed=True)
        elif not self._is_well:
            self._is_well = True
            self._sources._note(self._number, failed=False)
        return count

    def comes_within(self, seconds: float) -> bool:
        return comes_within(self._inner, seconds)

    def close(self) -> None:
        self._inner.close()
