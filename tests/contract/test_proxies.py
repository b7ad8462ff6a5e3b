"""Proxies: when one is asked, what it is told, and what it is never told or shown."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bitstation.errors import SourceError, SourceUnreachable, UsageError
from bitstation.testing.web_server import Said, Then, WebServer, said, serving
from bitstation.transport.failures import ProxyError, ProxyUnreachable
from bitstation.transport.http import HttpClient
from bitstation.transport.proxies import proxy_for
from tests.attack.network import AUTHORITY, NAME, Names, tls

BODY = b"the answer"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BITSTATION_CA_FILE", str(AUTHORITY))


@pytest.fixture
def proxy() -> Iterator[WebServer]:
    with serving(lambda _asked: said(200, BODY)) as proxy:
        yield proxy


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """No name is known: only a proxy can lead anywhere."""
    names = Names(monkeypatch)
    names.known.clear()
    return names


def get(url: str, times: int = 1) -> bytes:
    client = HttpClient(url, lambda: {"Authorization": "Bearer mine"})
    try:
        return [client.request("GET", "a/b?c=d").body for _ in range(times)][-1]
    finally:
        client.close()


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_over_http_a_proxy_is_told_the_whole_address(
    proxy: WebServer, names: Names, monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv(variable, f"http://us%40er:p%3Ass@127.0.0.1:{proxy.port}/")
    assert get(f"http://{NAME}:8080/base/", times=3) == BODY
    asked = proxy.asked[-1]
    assert asked.target == f"http://{NAME}:8080/base/a/b?c=d"
    assert asked.headers["host"] == f"{NAME}:8080"
    coded = base64.b64encode(b"us@er:p:ss").decode()
    assert asked.headers["proxy-authorization"] == f"Basic {coded}"
    assert asked.headers["authorization"] == "Bearer mine"
    assert proxy.connections == 1


def test_over_https_a_proxy_only_carries(
    proxy: WebServer, names: Names, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("https_proxy", f"user:secret@127.0.0.1:{proxy.port}")
    with serving(lambda _asked: said(200, BODY), tls("server")) as server:
        proxy.relay_to = server.port
        proxy.say(Said(b"HTTP/1.1 200 Go on\r\nX: y\r\n\r\n", Then.RELAY))
        assert get(f"https://{NAME}/", times=2) == BODY
        [asked] = proxy.asked
        assert (asked.method, asked.target) == ("CONNECT", f"{NAME}:443")
        assert asked.headers["host"] == f"{NAME}:443"
        assert "proxy-authorization" in asked.headers
        assert "authorization" not in asked.headers
        assert server.asked[-1].target == "/a/b?c=d"
        assert server.asked[-1].headers["host"] == NAME
        assert "proxy-authorization" not in server.asked[-1].headers


def test_a_certificate_of_another_host_is_refused_through_a_proxy_too(
    proxy: WebServer, names: Names, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    with serving(lambda _asked: said(200, BODY), tls("server")) as server:
        proxy.relay_to = server.port
        proxy.say(Said(b"HTTP/1.0 200 Go on\r\n\r\n", Then.RELAY))
        with pytest.raises(SourceError) as caught:
            get("https://other.invalid/")
        assert caught.value.code == "tls"
        assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "kind", "retryable"),
    [
        (said(407), ProxyError, False),
        (said(403), ProxyError, False),
        (said(302, b"", {"Location": "http://elsewhere.invalid/"}), ProxyError, False),
        (said(502), ProxyUnreachable, True),
        (said(504), ProxyUnreachable, True),
        (Said(b"", Then.CLOSE), ProxyUnreachable, True),
        (Said(b"", Then.RESET), ProxyUnreachable, True),
        (Said(b"SSH-2.0-OpenSSH_9.2\r\n", Then.CLOSE), ProxyError, False),
        (Said(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, Then.CLOSE), ProxyError, False),
    ],
)
def test_a_proxy_that_does_not_lead_on_is_an_error_of_its_own(
    proxy: WebServer,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    answer: Said,
    kind: type[ProxyError],
    retryable: bool,
):
    monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
    proxy.say(answer)
    with pytest.raises(ProxyError) as caught:
        get(f"https://{NAME}/")
    assert type(caught.value) is kind
    assert (caught.value.exit_code, caught.value.retryable) == (41, retryable)
    assert "secret" not in str(caught.value) + str(caught.value.fields)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_named(
    names: Names, monkeypatch: pytest.MonkeyPatch, scheme: str
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("all_proxy", f"http://user:secret@127.0.0.1:{port}")
    with pytest.raises(ProxyUnreachable) as caught:
        get(f"{scheme}://{NAME}/")
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "socks5://user:secret@127.0.0.1:1080",
        "https://user:secret@127.0.0.1:443",
        "http://user:secret@127.0.0.1:port",
        "http://user:secret@127.0.0.1:99999",
        "http://user:secret@[::1",
        "http://user:secret@a..b",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_and_not_passed_by(
    names: Names, monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.setenv("all_proxy", address)
    with pytest.raises(ProxyError) as caught:
        get(f"http://{NAME}/")
    assert "secret" not in str(caught.value) + str(caught.value.fields)


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_proxied"),
    [
        ("", "http://hq.invalid/", True),
        ("hq.invalid", "http://hq.invalid/", False),
        ("other.invalid, .invalid", "http://hq.invalid/", False),
        ("invalid", "http://hq.invalid/", False),
        ("q.invalid", "http://hq.invalid/", True),
        ("*", "http://hq.invalid/", False),
        ("hq.invalid:8080", "http://hq.invalid:8080/", False),
        ("hq.invalid:8080", "http://hq.invalid:9090/", True),
        ("10.0.0.7", "http://10.0.0.7/", False),
        ("", "http://127.0.0.1/", False),
        ("", "http://127.9.9.9:80/", False),
        ("", "http://localhost:8080/", False),
        ("", "http://[::1]/", False),
        ("", "http://127.0.0.1.invalid/", True),
    ],
)
def test_no_proxy_and_loopback_are_reached_directly(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, is_proxied: bool
):
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    found = proxy_for(urlsplit(url), "it")
    assert (found is not None) == is_proxied
    assert found is None or found.name == "proxy.invalid:3128"


def test_what_is_not_proxied_says_nothing_to_the_proxy(
    proxy: WebServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
    with serving(lambda _asked: said(200, BODY)) as server:
        assert get(server.url) == BODY
        assert "proxy-authorization" not in server.asked[0].headers
        assert server.asked[0].target == "/a/b?c=d"
    assert proxy.connections == 0


def test_an_origin_that_asks_for_a_proxys_password_gets_none(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _asked: said(407)) as server, pytest.raises(ProxyError):
        get(server.url)


def test_a_refused_origin_behind_no_proxy_stays_unreachable(names: Names):
    with pytest.raises(SourceUnreachable):
        get(f"http://{NAME}/")


def test_an_asked_ca_file_that_holds_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for content in (None, b"", b"no certificate"):
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_bytes(content)
        monkeypatch.setenv("BITSTATION_CA_FILE", str(file))
        with pytest.raises(UsageError, match="BITSTATION_CA_FILE"):
            get("https://127.0.0.1:9/")


def test_a_broken_off_handshake_is_no_question_of_trust():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                # Its whole greeting, or the close would be a reset.
                connection.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(SourceUnreachable):
            get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


@pytest.mark.parametrize("is_proxied", [False, True], ids=["handshake", "tunnel"])
def test_an_abort_ends_what_is_being_opened(
    names: Names, monkeypatch: pytest.MonkeyPatch, is_proxied: bool
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        if is_proxied:
            monkeypatch.setenv("https_proxy", f"http://{address}")
        client = HttpClient(f"https://{NAME if is_proxied else address}/")

        def abort() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                client.abort()
                # Says nothing until the client has gone.
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=abort)
        thread.start()
        with pytest.raises(ProxyUnreachable if is_proxied else SourceUnreachable) as caught:
            client.request("GET", "a")
        thread.join()
    # And not because a time limit struck.
    assert "in time" not in str(caught.value)


def test_trust_is_loaded_once_for_many_connections(monkeypatch: pytest.MonkeyPatch):
    made: list[object] = []
    create = ssl.create_default_context

    def counting() -> ssl.SSLContext:
        made.append(None)
        return create()

    monkeypatch.setattr(ssl, "create_default_context", counting)
    with serving(lambda _asked: said(200, BODY, then=Then.CLOSE), tls("server")) as server:
        assert get(server.url, times=3) == BODY
        assert server.connections == 3
    assert len(made) == 1
