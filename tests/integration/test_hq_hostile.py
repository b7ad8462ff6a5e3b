"""What people with bad intentions send: addresses, header fields, silence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bitstation.testing.local_hq import local_hq
from tests.integration.hq_requests import Caller, calling

SECRET = b"what lies beside the blobs"


class Site(NamedTuple):
    caller: Caller
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hq")
    (folder / "secret.txt").write_bytes(SECRET)
    with local_hq(folder) as hq, calling(hq) as caller:
        caller.publish({"main.py": b"print(1)\n", "a/b.txt": b"b"}, "add", "1.0.0")
        yield Site(caller, folder)


def raw(site: Site, request: bytes) -> bytes:
    """Everything that HQ says to some bytes, until it closes."""
    with socket.create_connection(site.caller.address, timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


def get_raw(site: Site, target: bytes) -> tuple[int, bytes]:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    answer = raw(site, request)
    return int(answer.split()[1]), answer


FILES = b"/api/v1/tools/add/1.0.0/files/"

TARGETS = [
    FILES + b"../../../../secret.txt",
    FILES + b"../../../../../../../../etc/passwd",
    FILES + b"..%2f..%2fsecret.txt",
    FILES + b"%2e%2e/%2e%2e/secret.txt",
    FILES + b"%2E%2E%2Fsecret.txt",
    FILES + b"%252e%252e/secret.txt",
    FILES + b"..%5c..%5csecret.txt",
    FILES + b"..\\..\\secret.txt",
    FILES + b"a%2fb.txt",
    FILES + b"a%2Fb.txt",
    FILES + b"a//b.txt",
    FILES + b"./main.py",
    FILES + b"a/../main.py",
    FILES + b"/etc/passwd",
    FILES + b"main.py%00",
    FILES + b"main.py%00.txt",
    FILES + b"main.py%0d%0aX-Injected:%201",
    FILES + b"main.py%0a",
    FILES + b"%ff%fe",
    FILES + b"main.py%c0%ae%c0%ae",
    FILES + b"main.py/",
    FILES + b"%6dain.py/..",
    b"/api/v1/tools/add/1.0.0%2ffiles%2fmain.py",
    b"/api/v1/tools/..%2fadd/1.0.0/files/main.py",
    b"/api/v1/tools/../../secret.txt",
    b"/api/v1/blobs/sha256/../../../secret.txt",
    b"/api/v1/blobs/sha256/..%2f..%2fsecret.txt",
    b"/api/v1/publish/sessions/../../secret.txt",
    b"/docs/../secret.txt",
    b"/docs/%2e%2e/secret.txt",
    b"/../secret.txt",
    b"//secret.txt",
    b"/secret.txt",
    b"/publisher-token",
    b"/hq.sqlite3",
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_address_leads_out_of_the_releases(site: Site, target: bytes):
    status, answer = get_raw(site, target)
    assert status in (400, 404)
    assert SECRET not in answer
    assert b"root:" not in answer
    assert b"injected" not in answer.lower().partition(b"\r\n\r\n")[0]
    assert str(site.folder).encode() not in answer


def test_an_address_that_needs_no_escape_may_still_use_one(site: Site):
    status, answer = get_raw(site, FILES + b"%6dain.py")
    assert status == 200
    assert answer.endswith(b"print(1)\n")


def test_a_query_changes_nothing(site: Site):
    assert get_raw(site, FILES + b"main.py?../../x=%2e%2e%2f")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_and_closed(site: Site, request_bytes: bytes):
    with socket.create_connection(site.caller.address, timeout=10) as connection:
        connection.sendall(request_bytes)
        if request_bytes.startswith(b"\x16"):
            connection.sendall(b"\r\n\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 4")
    assert site.caller.get("/healthz").status == 200


@pytest.mark.parametrize(
    "field", ["bytes=" + "9" * 40 + "-", "bytes=0-" + "9" * 4000, "bytes=" + "0-0," * 3000 + "1-1"]
)
def test_a_range_of_huge_numbers_or_many_parts_is_harmless(site: Site, field: str):
    reply = site.caller.get(FILES.decode() + "main.py", Range=field)
    assert reply.status in (200, 206, 416)


def test_a_request_that_smuggles_another_is_one_request(site: Site):
    body = b"0\r\n\r\nGET /publisher-token HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = raw(
        site,
        b"POST /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s" % (len(body), body),
    )
    assert answer.count(b"HTTP/1.1 ") == 1


def test_answers_are_never_another_type_than_they_say(site: Site):
    for path in ("/healthz", "/nope", FILES.decode() + "main.py", "/%2e", "/metrics"):
        assert site.caller.get(path).headers["x-content-type-options"] == "nosniff"


def test_a_write_with_a_browser_s_credentials_only_is_refused(site: Site):
    headers = {"Cookie": "token=x", "Origin": "https://evil.example", "Content-Type": "text/plain"}
    reply = site.caller.send("POST", "/api/v1/publish/sessions", b"{}", headers)
    assert reply.status == 401
    assert not [name for name in reply.headers if name.startswith("access-control")]
