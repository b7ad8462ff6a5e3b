"""One connection to a server or proxy, whose answers are read arrival by arrival."""

from __future__ import annotations

import http.client
import socket
from typing import NamedTuple, cast

from bitstation.transport.arrivals import AnswerReader, RateWatch, SlowestRate


class Connection(http.client.HTTPConnection):
    """A connection that somebody else opened; once closed it stays so."""

    auto_open = 0

    def __init__(self, sock: socket.socket, host: str, port: int, slowest: SlowestRate) -> None:
        super().__init__(host, port)
        self.sock = sock
        self.watch = RateWatch(slowest)
        self.target_prefix = ""
        """What goes before a path in a request: a proxy is told the whole address."""
        self.extra_headers: dict[str, str] = {}
        """For the proxy alone."""
        self.proxy_name = ""
        self.response_class = self._answer  # type: ignore[assignment]

    def _answer(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> Response:
        self.watch.restart()
        return Response(sock, self.watch, method)


class _Opened(NamedTuple):
    """In place of a socket: the reader that is already there."""

    reader: AnswerReader

    def makefile(self, _mode: str) -> AnswerReader:
        return self.reader


class Response(http.client.HTTPResponse):
    """An answer read through an AnswerReader."""

    def __init__(self, sock: socket.socket, watch: RateWatch, method: str | None) -> None:
        self.reader = AnswerReader(sock, watch)
        super().__init__(cast(socket.socket, _Opened(self.reader)), method=method)
        self._watch = watch

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self.reader.begin_body()
        self._watch.restart()

    def receive(self, buffer: memoryview) -> int:
        """Put one arrival of the body into ``buffer``; 0 at the end of the body or connection."""
        if self.isclosed() or self.length == 0:
            self.close()
            return 0
        if self.chunked:
            # At most what the reader holds or one receive; copied, but nobody sends models so.
            data = self.read1(min(len(buffer), 65536))
            buffer[: len(data)] = data
            return len(data)
        count = self.reader.readinto1(buffer if self.length is None else buffer[: self.length])
        if self.length is not None:
            self.length -= count
        if count == 0 or self.length == 0:
            self.close()
        return count

    def comes_within(self, seconds: float) -> bool:
        """Whether there is something to receive within a time, or nothing more at all."""
        return self.isclosed() or self.length == 0 or self.reader.comes_within(seconds)
