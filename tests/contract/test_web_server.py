"""The web server of the tests outlives its clients, whatever they send."""

from __future__ import annotations

import socket

from bitstation.testing.web_server import Asked, Said, said, serving


def asked_of(port: int, request: bytes) -> bytes:
    """What is answered, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_connection_that_has_ended_is_kept_no_longer() -> None:
    with serving(lambda _asked: said(204)) as server:
        for _ in range(3):
            assert asked_of(server.port, b"GET / HTTP/1.1\r\n\r\n")
        server.check_left()
        assert server.connections == 3
        assert server._opened() == {}


class _Listener(socket.socket):
    """Fails at first, as a client gives up before its turn, or as no file can be opened."""

    failures = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise ConnectionAbortedError
        return super().accept()


def test_a_client_that_gave_up_before_its_turn_ends_nothing() -> None:
    listener = _Listener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with serving(lambda _asked: said(204), listener=listener) as server:
        assert asked_of(server.port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 204")


def test_a_line_of_one_word_is_answered_too() -> None:
    seen: list[Asked] = []

    def script(asked: Asked) -> Said:
        seen.append(asked)
        return said(400)

    with serving(script) as server:
        assert asked_of(server.port, b"HELLO\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert [(each.method, each.target) for each in seen] == [("HELLO", "")]
