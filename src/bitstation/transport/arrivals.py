"""What arrives on a connection: watched for its rate, and its lines for what they may not hold.

One receive at a time. A body read through the buffered reader's ``readinto`` would go on receiving
inside C until the caller's block is full: one byte a second then holds it for 24 days, and no
timeout of the socket ever strikes.
"""

from __future__ import annotations

import http.client
import io
import re
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# http.client bounds the lines of one header, but not how many "100 Continue", chunk sizes or
# trailers may follow each other.
MAX_LINES = 256
MAX_HEAD_BYTES = 256 * 1024

# A line of a header as it should be: a name, and nothing that ends a line but its end.
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
# The parser of headers takes a lone CR for the end of a line, others do not.
_CLEAN = re.compile(rb"[^\r\n\0]*\r?\n?")
# A chunk's size, or the end: int() of http.client takes -1, 0x1 and 1_0 too.
_SIZE = re.compile(rb"(?:([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r?\n)?")


class SlowestRate(msgspec.Struct, frozen=True):
    """A body that arrives slower than this, over so many seconds of waiting, is given up."""

    bytes_per_s: float = 2048.0
    window_s: float = 30.0


class TooSlow(TimeoutError):
    """Something arrives, but too little of it."""


class BadLine(http.client.HTTPException):
    """A line of an answer's head that two readers could take for different things."""


class RateWatch:
    """Counts what arrives against the time spent waiting for it.

    Only waiting counts: a caller who is slow on purpose (a rate limit, a busy disk) finds the
    bytes already there, and nobody is blamed for it.
    """

    def __init__(self, slowest: SlowestRate) -> None:
        self._slowest = slowest
        self.restart()

    def restart(self) -> None:
        """Begin anew, as with an answer or its body."""
        self._waited_s = 0.0
        self._arrived = 0
        self._has_begun = False

    def count(self, count: int, waited_s: float) -> None:
        """Take note of an arrival. Raises TooSlow at the end of a window with too little."""
        # How long the first byte takes is the server's thinking, and bounded by the time limit.
        self._waited_s += waited_s if self._has_begun else 0.0
        self._has_begun = True
        self._arrived += count
        if self._waited_s < self._slowest.window_s:
            return
        if self._arrived < self._slowest.bytes_per_s * self._waited_s:
            raise TooSlow(f"{self._arrived} bytes in {self._waited_s:.1f} seconds")
        self._waited_s = 0.0
        self._arrived = 0


class _Receives(io.RawIOBase):
    """A socket's bytes, one receive a call, each counted by a watch."""

    def __init__(
        self, raw: io.RawIOBase, watch: RateWatch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._raw = raw
        self._watch = watch
        self._clock = clock
        self.is_ending = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self.is_ending:
            return None
        start_s = self._clock()
        count = self._raw.readinto(buffer)
        if count:
            self._watch.count(count, self._clock() - start_s)
        return count

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class AnswerReader(io.BufferedReader):
    """The bytes of one answer. ``has_more`` says, once closed, that more had come than it took."""

    def __init__(self, sock: socket.socket, watch: RateWatch) -> None:
        # A raw file of the socket's own: it keeps the socket open for a body read to its end.
        self._receives = _Receives(sock.makefile("rb", buffering=0), watch)
        super().__init__(self._receives)
        self._sock = sock
        self._selector: selectors.BaseSelector | None = None
        self.has_more = False
        self._is_head = True
        self._is_trailer = False
        self._lines = 0
        self._line_bytes = 0

    def begin_body(self) -> None:
        """The head has been read."""
        self._is_head = False
        self._lines = 0

    def readline(self, size: int | None = -1) -> bytes:
        """A line of the head, of a chunk's size or of a trailer. Raises BadLine."""
        line = super().readline(size)
        self._lines += 1
        self._line_bytes += len(line)
        if self._lines > MAX_LINES or (self._is_head and self._line_bytes > MAX_HEAD_BYTES):
            raise BadLine("more lines than an answer can need")
        found = self._expected(line).fullmatch(line)
        if not found:
            raise BadLine(_shown(line))
        if found.re is _SIZE and found[1]:
            self._is_trailer = int(found[1], 16) == 0
        return line

    def _expected(self, line: bytes) -> re.Pattern[bytes]:
        """What the line may look like where it stands."""
        if not self._is_head:
            return _CLEAN if self._is_trailer else _SIZE
        is_free = self._lines == 1 or line.startswith((b"HTTP/", b"\r", b"\n"))
        return _CLEAN if is_free else _FIELD

    def read1(self, size: int = -1, /) -> bytes:
        """Bytes of a chunk."""
        data = super().read1(size)
        self._lines = 0
        return data

    def comes_within(self, seconds: float) -> bool:
        """Whether the socket has something to give within a time; what is buffered is not seen."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._selector.register(self.fileno(), selectors.EVENT_READ)
        return bool(self._selector.select(seconds))

    def close(self) -> None:
        """Look, without waiting, whether bytes are left that belong to no answer, and close."""
        if not self.closed:
            self._receives.is_ending = True
            self.has_more = bool(self.peek(1))
            if self._selector is not None:
                self._selector.close()
        super().close()


def _shown(line: bytes) -> str:
    return line[:80].decode("latin-1")
