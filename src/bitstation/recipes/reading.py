"""Random access to one blob of a source."""

from __future__ import annotations

from contextlib import ExitStack

from bitstation.core.digest import Digest
from bitstation.transport.source import RangeReader, Source

# Members of a package are often deflated: a new span means that all before it is unpacked again.
# To read on from where a span stands costs what lies between.
_NEAR_BYTES = 16 << 20
_SKIP_BYTES = 1 << 20


class BlobReader:
    """Reads spans of a blob; spans that ascend are one request. Raises SourceError.

    Nothing read is proved: whoever uses it holds it against digests. Close it at the end.
    """

    def __init__(self, source: Source, digest: Digest, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._source = source
        self._digest = digest
        self._opened = ExitStack()
        self._reader: RangeReader | None = None
        self._at = 0

    def read(self, offset: int, length: int) -> bytearray:
        """Exactly these bytes."""
        data = bytearray(length)
        self.read_into(offset, memoryview(data))
        return data

    def read_at(self, offset: int, length: int) -> bytes:
        """These bytes, or fewer where the blob ends: as parsers of models ask."""
        return bytes(self.read(offset, max(0, min(length, self.size_bytes - offset))))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes from ``offset`` on."""
        if buffer:
            self._fill(self._opened_at(offset), buffer)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read on, as from a stream: up to the buffer's length, 0 at the end."""
        count = min(len(buffer), self.size_bytes - self._at)
        self.read_into(self._at, buffer[:count])
        return count

    def rewind(self) -> None:
        """Let ``readinto`` begin at the start."""
        self.close()
        self._at = 0

    def close(self) -> None:
        """Give the span back."""
        self._reader = None
        self._opened.close()

    def _opened_at(self, offset: int) -> RangeReader:
        if self._reader is None or not 0 <= offset - self._at <= _NEAR_BYTES:
            self.close()
            span = self._source.read_range(self._digest, offset, self.size_bytes - offset)
            self._reader, self._at = self._opened.enter_context(span), offset
        reader = self._reader
        skipped = memoryview(bytearray(min(_SKIP_BYTES, offset - self._at)))
        while self._at < offset:
            self._fill(reader, skipped[: offset - self._at])
        return reader

    def _fill(self, reader: RangeReader, buffer: memoryview) -> None:
        while buffer:
            # The source's own check raises where the span ends early: a count is never 0.
            count = reader.readinto(buffer)
            self._at += count
            buffer = buffer[count:]
