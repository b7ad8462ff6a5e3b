"""The HTTP client against servers that break off, lie and lead astray."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bitstation.errors import (
    SourceBroken,
    SourceError,
    SourceUnreachable,
    TlsError,
    UsageError,
)
from bitstation.testing.web_server import Asked, Said, Then, WebServer, chunked, said, serving
from bitstation.transport import http
from bitstation.transport.failures import SourceStalled
from bitstation.transport.http import Answer, HttpClient

BODY = b'{"tool_id":"sample-tool","latest":"1.0.0","releases":[]}'
SECRET = "a-secret-that-nobody-else-may-see"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture
def client(server: WebServer) -> Iterator[HttpClient]:
    client = HttpClient(server.url, lambda: {"Authorization": f"Bearer {SECRET}"})
    yield client
    client.close()


def get(client: HttpClient, path: str = "thing") -> Answer:
    return client.request("GET", path)


# --- what is as it should be --------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 403, 404, 416, 500, 503])
def test_an_answer_is_given_as_it_was_sent(server: WebServer, client: HttpClient, status: int):
    server.say(said(status, BODY, {"Retry-After": "120", "X-Twice": "a"}))
    answer = get(client)
    assert (answer.status, answer.body) == (status, BODY)
    assert answer.headers["retry-after"] == "120"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_empty(server: WebServer, client: HttpClient, status: int):
    server.say(said(status, b"", {"Content-Length": None}))
    assert get(client).body == b""
    assert get(client).status == status
    assert server.connections == 1


def test_the_answer_to_head_has_no_body_whatever_length_it_states(
    server: WebServer, client: HttpClient
):
    server.say(said(200, b"", {"Content-Length": "5000"}))
    assert client.request("HEAD", "thing").headers["content-length"] == "5000"
    assert client.request("HEAD", "thing").body == b""
    assert server.connections == 1


def test_chunks_are_put_together(server: WebServer, client: HttpClient):
    server.say(chunked(BODY[:1], BODY[1:20], BODY[20:]))
    assert get(client).body == BODY
    assert get(client).body == BODY
    assert server.connections == 1


def test_a_server_of_http_1_0_is_understood(server: WebServer, client: HttpClient):
    server.say(said(200, BODY, version="1.0", then=Then.CLOSE))
    assert get(client).body == BODY
    assert get(client).body == BODY
    assert server.connections == 2


def test_what_is_sent_is_what_was_given_and_nothing_is_compressed(
    server: WebServer, client: HttpClient
):
    server.say(said(201, b"{}"))
    client.request("PUT", "a/b?c=d", body=memoryview(BODY), headers={"X-Span": "1-2"})
    [asked] = server.asked
    assert asked[1:3] == ("PUT", "/a/b?c=d")
    assert asked.body == BODY
    assert asked.headers["x-span"] == "1-2"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "a/b", "/a/b"),
        ("/mirror", "a/b", "/mirror/a/b"),
        ("/mirror/", "/a/b", "/a/b"),
        ("/espacio ñ", "a", "/espacio%20%C3%B1/a"),
        ("", "//elsewhere.invalid/x", "//elsewhere.invalid/x"),
    ],
)
def test_a_path_lies_below_its_base_and_never_names_a_host(
    server: WebServer, base: str, path: str, target: str
):
    server.say(said(200, BODY))
    client = HttpClient(server.url + base)
    try:
        assert get(client, path).body == BODY
    finally:
        client.close()
    assert [asked.target for asked in server.asked] == [target]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http://host:port",
        "http://host:65536",
        "http://[::1",
        "http://a..b",
        f"http://{'a' * 64}",
        "http://user:word@host",
        "http://@host",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str):
    with pytest.raises(UsageError):
        HttpClient(url)


# --- connections --------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(server: WebServer, client: HttpClient):
    server.say(said(200, BODY), said(404, b"{}"), chunked(BODY))
    for _ in range(10):
        get(client)
    assert server.connections == 1


def test_a_connection_is_not_used_again_after_a_body_that_was_not_read(
    server: WebServer, client: HttpClient
):
    server.say(said(200, BODY))
    client.open("GET", "thing").close()
    assert get(client).body == BODY
    assert server.connections == 2


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    server: WebServer, client: HttpClient
):
    server.say(said(200, BODY, then=Then.CLOSE))
    for _ in range(3):
        assert get(client).body == BODY
    assert [asked.connection for asked in server.asked] == [0, 1, 2]


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
def test_a_kept_connection_that_breaks_is_tried_anew_once(
    server: WebServer, client: HttpClient, then: Then
):
    server.say(said(200, BODY), Said(b"", then), said(200, b"[]"))
    assert get(client).body == BODY
    assert get(client).body == b"[]"
    assert [asked.connection for asked in server.asked] == [0, 0, 1]


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
def test_a_fresh_connection_that_breaks_is_an_error_at_once(
    server: WebServer, client: HttpClient, then: Then
):
    server.say(Said(b"", then))
    with pytest.raises(SourceUnreachable):
        get(client)
    assert len(server.asked) == 1


def test_bytes_that_nobody_asked_for_are_not_taken_for_the_next_answer(
    server: WebServer, client: HttpClient
):
    # More than a reader takes ahead, so that it lies in the socket when the next request is made.
    forged = said(200, b'"forged"').data * 2000
    server.say(Said(said(200, BODY).data + forged), said(200, b"[]"))
    assert get(client).body == BODY
    assert get(client).body == b"[]"
    assert server.connections == 2


@pytest.mark.parametrize("whole", [said(200, BODY), chunked(BODY)])
def test_the_beginning_of_something_unasked_ends_a_connection(
    server: WebServer, client: HttpClient, whole: Said
):
    # Its rest would come later, and be taken for the next answer.
    server.say(Said(whole.data + b"HTTP/1.1 200"), said(200, b"[]"))
    assert get(client).body == BODY
    assert get(client).body == b"[]"
    assert server.connections == 2


# --- what is refused ----------------------------------------------------------------------------


def broken(name: str, answer: Said) -> object:
    return pytest.param(answer, id=name)


BROKEN = [
    broken("longer than sent", said(200, BODY, {"Content-Length": "100"}, then=Then.CLOSE)),
    broken("negative", said(200, BODY, {"Content-Length": "-1"}, then=Then.CLOSE)),
    broken("no number", said(200, BODY, {"Content-Length": "many"}, then=Then.CLOSE)),
    broken("empty", said(200, BODY, {"Content-Length": ""}, then=Then.CLOSE)),
    broken("with a sign", said(200, BODY, {"Content-Length": "+56"}, then=Then.CLOSE)),
    broken("with a line", said(200, BODY, {"Content-Length": "5_6"}, then=Then.CLOSE)),
    broken("endless number", said(200, BODY, {"Content-Length": "1" * 5000}, then=Then.CLOSE)),
    broken("two lengths", said(200, BODY, {"content-length": "3"}, then=Then.CLOSE)),
    broken("no length", said(200, BODY, {"Content-Length": None}, then=Then.CLOSE)),
    broken("http 1.0, no length", said(200, BODY, {"Content-Length": None}, version="1.0",
                                       then=Then.CLOSE)),
    broken("unknown coding", said(200, BODY, {"Transfer-Encoding": "gzip, chunked"})),
    broken("gzip", said(200, gzip.compress(BODY), {"Content-Encoding": "gzip"})),
    broken("chunk cut", chunked(BODY, end=b"40\r\nabc", then=Then.CLOSE)),
    *(broken(f"chunk size {size}", chunked(BODY, end=size.encode() + b"\r\nabc\r\n0\r\n\r\n"))
      for size in ("-1", "+3", "0x3", "0_3", "3 3", "")),
    broken("chunk size", chunked(BODY, end=b"zz\r\nabc\r\n0\r\n\r\n")),
    broken("last chunk lacking", chunked(BODY, end=b"", then=Then.CLOSE)),
    broken("not http", Said(b"SSH-2.0-OpenSSH_9.2\r\n", Then.CLOSE)),
    broken("html", Said(b"<html>Welcome</html>", Then.CLOSE)),
    broken("status", Said(b"HTTP/1.1 20 So\r\n\r\n", Then.CLOSE)),
    broken("version", Said(b"HTTP/3.0 200 So\r\n\r\n", Then.CLOSE)),
    broken("endless status line", Said(b"HTTP/1.1 200 " + b"o" * 70_000, Then.CLOSE)),
    broken("endless header", Said(b"HTTP/1.1 200 So\r\nX: " + b"o" * 70_000, Then.CLOSE)),
    broken("endless headers", Said(b"HTTP/1.1 200 So\r\n" + b"X: y\r\n" * 5000, Then.CLOSE)),
    broken("headers cut", Said(b"HTTP/1.1 200 So\r\nContent-Ty", Then.CLOSE)),
]  # fmt: skip


@pytest.mark.parametrize("sign", ["\x0b", "\x1d", "\x85", "\xa0"])
def test_a_length_that_only_some_readers_take_for_a_number_is_refused(
    server: WebServer, client: HttpClient, sign: str
):
    server.say(said(200, BODY, {"Content-Length": f"{len(BODY)}{sign}"}, then=Then.CLOSE))
    with pytest.raises(SourceBroken, match="stated the length"):
        client.open("GET", "thing")


@pytest.mark.parametrize("answer", BROKEN)
def test_an_answer_that_is_not_whole_or_not_clear_is_refused(
    server: WebServer, client: HttpClient, answer: Said
):
    server.say(answer)
    with pytest.raises(SourceBroken) as caught:
        get(client)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    # Nor is the next answer read from where this one left its connection.
    server.say(said(200, BODY))
    assert get(client).body == BODY
    assert server.connections == 2


@pytest.mark.parametrize("line", [b"X: a\rContent-Length: 9", b"no\x00colon", b"\x85: x", b": x"])
def test_odd_bytes_among_the_headers_do_not_move_the_end_of_a_body(
    server: WebServer, client: HttpClient, line: bytes
):
    server.say(Said(b"HTTP/1.1 200 So\r\n" + line + b"\r\nContent-Length: 2\r\n\r\n{}", Then.CLOSE))
    with suppress(SourceError):
        assert get(client).body == b"{}"


@pytest.mark.parametrize("answer", [said(200, BODY), chunked(BODY[:9], BODY[9:])])
def test_a_longer_answer_than_the_caller_takes_is_refused(
    server: WebServer, client: HttpClient, answer: Said
):
    server.say(answer)
    assert client.request("GET", "thing", max_bytes=len(BODY)).body == BODY
    with pytest.raises(SourceBroken):
        client.request("GET", "thing", max_bytes=len(BODY) - 1)


CUT = {
    "a length": (said(200, BODY), Then.CLOSE),
    "a length, reset": (said(200, BODY), Then.RESET),
    "chunks": (chunked(BODY[:10], BODY[10:]), Then.CLOSE),
    "http 1.0": (said(200, BODY, version="1.0"), Then.CLOSE),
    "an error": (said(404, BODY), Then.CLOSE),
    "a redirect": (said(302, b"", {"Location": "/other"}), Then.CLOSE),
}


@pytest.mark.parametrize(("whole", "then"), CUT.values(), ids=CUT)
def test_an_answer_cut_anywhere_is_an_error_or_right(server: WebServer, whole: Said, then: Then):
    for count in range(len(whole.data) + 1):
        server.script = script_for(whole.cut(count, then))
        client = HttpClient(server.url)
        try:
            answer = get(client)
            assert answer.status == 404 or answer[::2] in [(200, BODY), (200, b"[]")]
        except SourceError:
            assert count < len(whole.data) or then is Then.RESET
        finally:
            client.close()


def script_for(first: Said) -> Callable[[Asked], Said]:
    return lambda asked: said(200, b"[]") if asked.target == "/other" else first


# --- no server, no answer -----------------------------------------------------------------------


def test_a_refused_connection_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = HttpClient(f"127.0.0.1:{port}")
    with pytest.raises(SourceUnreachable) as caught:
        get(client)
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_a_name_that_nobody_knows_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_args: object, **_options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SourceUnreachable, match="Name or service not known"):
        get(HttpClient("http://hq.invalid"))


@pytest.mark.parametrize(
    "answer",
    [Said(b""), said(200, BODY).cut(20), said(200, BODY).cut(90), chunked(BODY).cut(90)],
)
def test_a_server_that_falls_silent_is_given_up(
    server: WebServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch, answer: Said
):
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.05)
    server.say(Said(answer.data, Then.HANG))
    with pytest.raises(SourceUnreachable, match="no answer in time"):
        get(client)


def test_what_arrived_is_given_before_the_server_falls_silent(
    server: WebServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.2)
    whole = said(200, BODY)
    server.say(whole.cut(len(whole.data) - 9, Then.HANG))
    stream = client.open("GET", "thing")
    block = memoryview(bytearray(1000))
    assert stream.readinto(block) == len(BODY) - 9
    with pytest.raises(SourceStalled):
        stream.readinto(block)
    stream.close()


def test_a_server_that_speaks_no_tls_is_not_trusted(server: WebServer):
    server.greeting = said(400, b"plain words only").data
    with pytest.raises(TlsError) as caught:
        get(HttpClient(f"https://127.0.0.1:{server.port}"))
    assert caught.value.exit_code == 41


def test_an_aborted_client_ends_what_is_under_way_and_begins_nothing(
    server: WebServer, client: HttpClient
):
    def abort_and_hang(_asked: Asked) -> Said:
        client.abort()
        return Said(b"", Then.HANG)

    server.script = abort_and_hang
    with pytest.raises(SourceError):
        get(client)
    with pytest.raises(SourceUnreachable):
        get(client)
    assert len(server.asked) == 1
