"""Whatever a server may send in answer to a request for a blob or a small document."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any, cast

from bitstation.core.digest import digest_of
from bitstation.errors import BitStationError
from bitstation.transport.arrivals import SlowestRate
from bitstation.transport.blob_answer import Span, check_span
from bitstation.transport.connection import Connection
from bitstation.transport.http import HttpClient
from bitstation.transport.source import SpanReader

_MOST_BYTES = 32 * 1024
"""What a pair of sockets holds without anybody who reads."""
_BLOB = digest_of(b"blob")
_SPANS = (Span(_BLOB, 0, None), Span(_BLOB, 0, 5), Span(_BLOB, 3, 4), Span(_BLOB, 2, None))


class _Dialer:
    """Gives connections on which the whole answer has come, and then the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._far: list[socket.socket] = []

    def connect(self, *_: object) -> Connection:
        near, far = socket.socketpair()
        near.settimeout(5.0)
        far.sendall(self._data)
        far.shutdown(socket.SHUT_WR)
        self._far.append(far)
        return Connection(near, "hq", 80, SlowestRate())

    def close(self) -> None:
        for far in self._far:
            far.close()


def check(data: bytes) -> bool:
    """Only our errors leave, and a span that is taken is as long as it was asked for."""
    answer, taken = data[1 : _MOST_BYTES + 1], False
    with closing(_Dialer(answer)) as dialer, closing(HttpClient("http://hq/")) as client:
        client._dialer = cast(Any, dialer)
        try:
            found = client.request("GET", "offer.json", max_bytes=1024)
        except BitStationError as error:
            assert len(str(error)) < 2000
        else:
            assert len(found.body) <= 1024
            taken = True
    with closing(_Dialer(answer)) as dialer, closing(HttpClient("http://hq/")) as client:
        client._dialer = cast(Any, dialer)
        try:
            _read(client, _SPANS[data[0] % len(_SPANS) if data else 0])
        except BitStationError as error:
            assert len(str(error)) < 2000
        else:
            taken = True
    return taken


def _read(client: HttpClient, span: Span) -> None:
    stream = client.open("GET", "blob", headers=span.headers())
    try:
        check_span(stream, span, client.name)
        block = memoryview(bytearray(4096))
        reader = SpanReader(stream, span.length, "hq") if span.length is not None else stream
        received = 0
        while count := reader.readinto(block):
            received += count
        assert span.length is None or received == span.length
        assert received <= _MOST_BYTES
    finally:
        stream.close()
