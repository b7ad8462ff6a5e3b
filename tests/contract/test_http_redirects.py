"""Redirects: followed within the origin, nowhere else; and what never leaves it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from bitstation.errors import RedirectRefused, SourceBroken, SourceError
from bitstation.testing.web_server import Asked, Said, WebServer, said, serving
from bitstation.transport.dialing import Dialer
from bitstation.transport.http import MAX_REDIRECTS, HttpClient

SECRET = "a-secret-that-nobody-else-may-see"
REDIRECTS = (301, 302, 303, 307, 308)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[WebServer]:
    """Another server, which must hear of nothing."""
    with serving(lambda _asked: said(200, b"forged")) as server:
        yield server


@pytest.fixture
def client(server: WebServer) -> Iterator[HttpClient]:
    client = HttpClient(server.url, lambda: {"Authorization": f"Bearer {SECRET}"})
    yield client
    client.close()


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that a connection was tried to."""
    tried: list[tuple[str, int]] = []
    connect: Callable[..., socket.socket] = socket.create_connection

    def noting(address: tuple[str, int], *args: object, **options: object) -> socket.socket:
        tried.append(address)
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError(111, "not in a test")
        return connect(address, *args, **options)

    monkeypatch.setattr(socket, "create_connection", noting)
    return tried


def leading_to(location: str, status: int = 302) -> Callable[[Asked], Said]:
    """A server whose ``/thing`` is elsewhere, and everything else is here."""

    def script(asked: Asked) -> Said:
        if asked.target == "/thing":
            return said(status, b"over there", {"Location": location})
        return said(200, asked.target.encode())

    return script


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other", "/other"),
        ("other?a=b", "/other?a=b"),
        ("{url}/other", "/other"),
        ("//127.0.0.1:{port}/other", "/other"),
        ("http://127.0.0.1:{port}", ""),
        ("/otró", "/otr%C3%B3"),
        ("/with a space", "/with%20a%20space"),
        ("/other?a=ó b/c?d", "/other?a=%C3%B3%20b/c?d"),
    ],
)
def test_a_redirect_within_the_origin_is_followed(
    server: WebServer, client: HttpClient, status: int, location: str, target: str
):
    server.script = leading_to(location.format(url=server.url, port=server.port), status)
    answer = client.request("GET", "thing")
    assert answer.status == 200
    assert server.asked[-1].target == (target or "/")
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {SECRET}"] * 2


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{elsewhere}/thing",
        "//127.0.0.1:{elsewhere}/thing",
        "http://127.0.0.1:{port}@127.0.0.1:{elsewhere}/thing",
        "http://localhost:{port}/thing",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/thing",
        "http://2130706433:{port}/thing",
        "https://127.0.0.1:{port}/thing",
        "http://127.0.0.1/thing",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/thing",
        "javascript:alert(1)",
        "http://127.0.0.1:port/",
        "http://127.0.0.1:99999/",
        "http://[::1",
        "http://a..b/",
        "",
    ],
)
@pytest.mark.parametrize("status", [302, 308])
def test_a_redirect_to_anywhere_else_is_refused_and_nothing_goes_there(
    server: WebServer,
    elsewhere: WebServer,
    client: HttpClient,
    reached: list[tuple[str, int]],
    status: int,
    location: str,
):
    location = location.format(port=server.port, elsewhere=elsewhere.port)
    server.script = leading_to(location, status)
    with pytest.raises(RedirectRefused) as caught:
        client.request("GET", "thing")
    assert caught.value.exit_code == 40
    assert not caught.value.retryable
    assert reached == [("127.0.0.1", server.port)]
    assert elsewhere.asked == []
    assert len(server.asked) == 1


def test_a_redirect_of_endless_length_or_with_signs_of_a_terminal_is_shown_in_short(
    server: WebServer, client: HttpClient
):
    server.script = leading_to("http://elsewhere.invalid/\x1b[2J" + "a" * 10_000)
    with pytest.raises(RedirectRefused) as caught:
        client.request("GET", "thing")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_redirect_in_a_circle_is_given_up(server: WebServer, client: HttpClient):
    server.say(said(302, b"", {"Location": "/thing"}))
    with pytest.raises(SourceBroken):
        client.request("GET", "thing")
    assert len(server.asked) == MAX_REDIRECTS + 1


def test_a_short_chain_of_redirects_is_followed_to_its_end(server: WebServer, client: HttpClient):
    chain = [said(307, b"", {"Location": f"/{number}"}) for number in range(MAX_REDIRECTS)]
    server.say(*chain, said(200, b"here"))
    assert client.request("GET", "thing").body == b"here"


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_what_is_written_is_not_sent_on(server: WebServer, client: HttpClient, method: str):
    server.script = leading_to("/other", 307)
    assert client.request(method, "thing", body=b"mine").status == 307
    assert len(server.asked) == 1


def test_a_redirect_that_leads_to_a_broken_answer_is_an_error(
    server: WebServer, client: HttpClient
):
    server.say(said(302, b"", {"Location": "/other"}), said(200, b"abc").cut(40))
    with pytest.raises(SourceError):
        client.request("GET", "thing")


@pytest.mark.parametrize("location", ["http://127.0.0.1:{elsewhere}/x", "file:///etc/passwd"])
def test_who_may_go_to_any_https_host_goes_to_no_other(
    server: WebServer, elsewhere: WebServer, location: str
):
    server.script = leading_to(location.format(elsewhere=elsewhere.port))
    client = HttpClient(server.url, any_https_host=True)
    with pytest.raises(RedirectRefused):
        client.request("GET", "thing")
    assert elsewhere.connections == 0


def test_credentials_are_never_sent_to_another_origin(
    server: WebServer, elsewhere: WebServer, monkeypatch: pytest.MonkeyPatch
):
    # The other host speaks no TLS here, so that what would be sent to it shows in plain text.
    connect = Dialer.connect
    monkeypatch.setattr(
        Dialer,
        "connect",
        lambda self, parts, limits: connect(self, parts._replace(scheme="http"), limits),
    )
    server.script = leading_to(f"https://127.0.0.1:{elsewhere.port}/model")
    client = HttpClient(
        server.url, lambda: {"Authorization": f"Bearer {SECRET}"}, any_https_host=True
    )
    stream = client.open("GET", "thing", headers={"Range": "bytes=5-"})
    stream.close()
    client.close()
    [asked] = elsewhere.asked
    assert asked.headers["range"] == "bytes=5-"
    assert SECRET not in str(asked)
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
