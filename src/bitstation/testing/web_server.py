"""A web server on loopback that sends exactly the bytes a test tells it to, and no other."""

from __future__ import annotations

import enum
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import BinaryIO, NamedTuple

_LONGEST_WAIT_S = 30
_PAUSE_S = 0.01
# Lingering for no time: the close throws away what is unsent and resets the connection.
_AT_ONCE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Then(enum.Enum):
    """What happens to a connection once the bytes are out."""

    KEEP = enum.auto()
    CLOSE = enum.auto()
    RESET = enum.auto()
    HANG = enum.auto()
    """Nothing more is said, until the client ends it."""
    DRIBBLE = enum.auto()
    """A byte now and then, until the client ends it."""
    RELAY = enum.auto()
    """What follows goes to the server's ``relay_to`` and back, as a proxy does after CONNECT."""


class Asked(NamedTuple):
    """One request; ``connection`` counts from 0, header names are in lower case."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Said(NamedTuple):
    """One answer, byte for byte."""

    data: bytes
    then: Then = Then.KEEP

    def cut(self, count: int, then: Then = Then.CLOSE) -> Said:
        """Only the first ``count`` bytes of it."""
        return Said(self.data[:count], then)


Script = Callable[[Asked], Said]


def said(
    status: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str | None] | None = None,
    *,
    version: str = "1.1",
    then: Then = Then.KEEP,
) -> Said:
    """An answer in good form; a header that is None is left out, Content-Length too."""
    stated = {"Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{name}: {value}" for name, value in stated.items() if value is not None]
    head = "\r\n".join([f"HTTP/{version} {status} So", *lines, "", ""])
    return Said(head.encode("latin-1") + body, then)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", then: Then = Then.KEEP) -> Said:
    """An answer in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return said(200, body, {"Content-Length": None, "Transfer-Encoding": "chunked"}, then=then)


class WebServer:
    """Answers every request as its ``script`` says, which a test may change at any time."""

    def __init__(
        self, context: ssl.SSLContext | None = None, listener: socket.socket | None = None
    ) -> None:
        self.relay_to = 0
        self._context = context
        self.script: Script = lambda _asked: said(404)
        self.greeting = b""
        self.asked: list[Asked] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._is_closing = False
        self._lock = threading.Lock()
        self.connections = 0
        """How many connections there have been."""
        self._open: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def say(self, *answers: Said) -> None:
        """Give these answers, one a request, the last of them again and again."""
        left = list(answers)
        self.script = lambda _asked: left.pop(0) if len(left) > 1 else left[0]

    def check_left(self) -> None:
        """Raise AssertionError when a connection is held open by the client."""
        for thread in self._opened():
            thread.join(_LONGEST_WAIT_S)
            assert not thread.is_alive(), "the client left a connection open"

    def close(self) -> None:
        """End everything."""
        self._is_closing = True
        # A thread that waits for connections wakes up for one everywhere, for a close not so.
        with suppress(OSError):
            socket.create_connection((self._host, self.port)).close()
        self._accepting.join(_LONGEST_WAIT_S)
        self._listener.close()
        for thread, connection in self._opened().items():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_LONGEST_WAIT_S)

    def _opened(self) -> dict[threading.Thread, socket.socket]:
        """Connections that have not ended, by their threads."""
        with self._lock:
            return dict(self._open)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # A client that gave up before its turn, or too many files are open: for a while.
                if self._is_closing:
                    return
                time.sleep(_PAUSE_S)
                continue
            if self._is_closing:
                connection.close()
                return
            # With a limit Python waits for the socket before it sends; a send that itself waits is
            # never woken under Wine when the client hangs up. It is longer than check_left waits.
            connection.settimeout(2 * _LONGEST_WAIT_S)
            with self._lock:
                serve = partial(self._serve, self.connections, connection)
                self.connections += 1
                thread = threading.Thread(target=serve, daemon=True)
                self._open[thread] = connection
                thread.start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        try:
            # The client may go away at any time, or not even trust us.
            with suppress(OSError), self._secured(connection) as secured:
                self._converse(number, secured)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._context is None:
            return connection
        with connection:
            return self._context.wrap_socket(connection, server_side=True)

    def _converse(self, number: int, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            connection.sendall(self.greeting)
            while asked := _read_request(number, reader):
                self.asked.append(asked)
                data, then = self.script(asked)
                connection.sendall(data)
                if then is Then.RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    return
                if then is Then.RELAY:
                    return _relay(connection, self.relay_to)
                while then is Then.DRIBBLE:
                    time.sleep(_PAUSE_S)
                    connection.sendall(b".")
                if then is Then.CLOSE:
                    connection.shutdown(socket.SHUT_WR)
                if then is not Then.KEEP:
                    break
            # Ends when the client ends it: that is how a test knows that it did.
            while reader.read(65536):
                pass


def _relay(connection: socket.socket, port: int) -> None:
    """Carry bytes between a client and a server here, until both have said all."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        back = threading.Thread(target=_pump, args=(other, connection), daemon=True)
        back.start()
        _pump(connection, other)
        back.join(_LONGEST_WAIT_S)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _read_request(number: int, reader: BinaryIO) -> Asked | None:
    line = reader.readline().decode("latin-1").split()
    if not line:
        return None
    headers = {}
    while (row := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = row.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))
    # A line of one word asks for nothing.
    method, target = [*line, ""][:2]
    return Asked(number, method, target, headers, body)


@contextmanager
def serving(
    script: Script | None = None,
    context: ssl.SSLContext | None = None,
    listener: socket.socket | None = None,
) -> Iterator[WebServer]:
    """A server on a free port, until the block ends; by then the client must have hung up.

    With ``context`` it speaks TLS.
    """
    server = WebServer(context, listener)
    server.script = script or server.script
    try:
        yield server
        server.check_left()
    finally:
        server.close()
