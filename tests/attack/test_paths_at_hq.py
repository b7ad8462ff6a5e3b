"""Group P of the threats, 40: paths in addresses that HQ is asked, encoded once, twice, oddly."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.integration.hq_requests import Caller

LITERAL = "%2e%2e%2fliteral"
"""What a file may be called: it means nothing but itself."""


@pytest.fixture(scope="module")
def caller(hq: Caller) -> Caller:
    """HQ with a release."""
    hq.publish({"main.py": b"print(1)\n", "a/b.txt": b"b", LITERAL: b"literal"}, "slip", "1.0.0")
    return hq


def asked(caller: Caller, target: bytes) -> tuple[int, bytes]:
    """Status and whole answer to a target that no client has mended."""
    with socket.create_connection(caller.address, timeout=10) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return int(answer.split()[1]), answer


def encoded(text: str) -> str:
    """Every byte of it, letters too."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda path: path,
    "once": lambda path: path.replace(".", "%2e").replace("/", "%2f"),
    "once, capitals": lambda path: path.replace(".", "%2E").replace("/", "%2F"),
    "dots only": lambda path: path.replace(".", "%2e"),
    "slashes only": lambda path: path.replace("/", "%2f"),
    "every byte": encoded,
    "twice": lambda path: path.replace(".", "%252e").replace("/", "%252f"),
    "thrice": lambda path: path.replace(".", "%25252e").replace("/", "%25252f"),
    "percent alone": lambda path: path.replace(".", "%25%32%65").replace("/", "%25%32%66"),
    "overlong": lambda path: path.replace(".", "%c0%ae").replace("/", "%c0%af"),
    "of IIS": lambda path: path.replace(".", "%u002e").replace("/", "%u002f"),
    "backslashes": lambda path: path.replace("/", "%5c"),
    "backslashes twice": lambda path: path.replace("/", "%255c"),
    "full width": lambda path: quote(path.replace(".", "\uff0e").replace("/", "\uff0f")),
}
CLIMBS = ["../" * count + name for count in (1, 2, 5) for name in ("publisher-token", "etc/passwd")]
CLIMBS += ["a/../main.py", "a/../../../../publisher-token", "/etc/passwd", "a//b.txt", "./main.py"]
PLACES = [
    "/api/v1/tools/slip/1.0.0/files/{}",
    "/api/v1/tools/slip/{}/files/main.py",
    "/api/v1/tools/{}/1.0.0/manifest.json",
    "/api/v1/blobs/sha256/{}",
    "/api/v1/publish/sessions/{}",
    "/docs/{}",
    "/{}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_p40_percent_encoded(caller: Caller, place: str, encode: Callable[[str], str]) -> None:
    for climb in CLIMBS:
        target = place.format(encode(climb)).encode()
        status, answer = asked(caller, target)
        assert status in (400, 401, 404), (target, status)
        assert caller._token.encode() not in answer
        assert b"root:" not in answer
    assert caller.get("/healthz").status == 200


def test_p40_a_name_that_looks_encoded_is_that_file(caller: Caller) -> None:
    """Decoded once, and never again: asked twice encoded it is itself, asked once it climbs."""
    files = "/api/v1/tools/slip/1.0.0/files/"
    status, answer = asked(caller, f"{files}{quote(LITERAL, safe='')}".encode())
    assert (status, answer[-7:]) == (200, b"literal")
    assert asked(caller, f"{files}{LITERAL}".encode())[0] in (400, 404)
    assert asked(caller, f"{files}{quote(quote(LITERAL, safe=''), safe='')}".encode())[0] == 404
