"""Publish sessions, commits and requirements: what is kept, refused, resumed."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.core.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    manifest_from,
    manifest_hash_of,
)
from bitstation.hq.api import bodies
from bitstation.testing.local_hq import LocalHq, local_hq
from tests.integration.hq_requests import (
    SESSIONS,
    Caller,
    calling,
    manifest_of,
    manifest_of_entry,
)

BLOB = bytes(range(256)) * 8192  # 2 MiB
FILES = {"main.py": b"print(1)\n", "model.bin": BLOB}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHq]:
    with local_hq(tmp_path_factory.mktemp("hq")) as hq:
        yield hq


@pytest.fixture
def caller(running: LocalHq) -> Iterator[Caller]:
    with calling(running) as caller:
        yield caller


@pytest.fixture
def tool_id(request: pytest.FixtureRequest) -> str:
    """A tool of the test's own, since the HQ is shared."""
    return "t" + digest_of(request.node.nodeid.encode())[:12]


@pytest.fixture
def unique(tool_id: str) -> bytes:
    """Content that no other test sends."""
    return tool_id.encode() * 100_000


def raw_request(caller: Caller, head: str) -> socket.socket:
    connection = socket.create_connection(caller.address, timeout=30)
    connection.sendall(head.replace("\n", "\r\n").encode())
    return connection


# --- the ordinary way ---------------------------------------------------------------------------


def test_only_what_hq_lacks_is_wanted(caller: Caller, tool_id: str, unique: bytes):
    first = {"a.bin": unique, "b.bin": b"b" + unique}
    caller.publish(first, tool_id, "1.0.0")
    second = manifest_of({**first, "b.bin": b"changed" + unique}, tool_id, "1.1.0")
    session = caller.open_session(second)
    assert session["wanted"] == [
        {"sha256": digest_of(b"changed" + unique), "size": len(unique) + 7, "received": 0}
    ]


def test_a_release_is_visible_after_its_commit_and_not_before(
    caller: Caller, tool_id: str, unique: bytes
):
    manifest = manifest_of({"a.bin": unique}, tool_id)
    session = caller.open_session(manifest)
    hidden = [
        f"/api/v1/tools/{tool_id}",
        f"/api/v1/tools/{tool_id}/1.0.0/manifest.json",
        f"/api/v1/tools/{tool_id}/1.0.0/files/a.bin",
        f"/api/v1/blobs/sha256/{digest_of(unique)}",
        f"/api/v1/blobs/sha256/{digest_of(manifest.encode())}",
    ]
    assert caller.put(session, unique).json["received"] == len(unique)
    assert [caller.get(path).status for path in hidden] == [404] * 5
    assert tool_id not in caller.get("/catalog.json").body.decode()
    reply = caller.commit(session)
    assert reply.json == {**session, "wanted": [], "state": "COMMITTED"}
    assert [caller.get(path).status for path in hidden] == [200] * 5
    assert tool_id in caller.get("/catalog.json").body.decode()


def test_the_session_can_be_asked_for(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    place = f"{SESSIONS}/{session['session_id']}"
    assert caller.authorized("GET", place).json == session
    caller.put(session, unique)
    assert caller.authorized("GET", place).json["wanted"] == []
    caller.commit(session)
    assert caller.authorized("GET", place).json["state"] == "COMMITTED"


def test_publishing_the_same_again_changes_nothing(caller: Caller, tool_id: str, unique: bytes):
    manifest = caller.publish({"a.bin": unique}, tool_id, "1.0.0")
    before = caller.get(f"/api/v1/tools/{tool_id}").body
    session = caller.open_session(manifest)
    assert (session["state"], session["wanted"]) == ("COMMITTED", [])
    assert caller.commit(session).status == 200
    assert caller.put(session, unique).json["received"] == len(unique)
    assert caller.get(f"/api/v1/tools/{tool_id}").body == before


def test_the_empty_file_needs_no_upload(caller: Caller, tool_id: str):
    session = caller.open_session(manifest_of({"empty": b""}, tool_id))
    assert session["wanted"] == []
    assert caller.commit(session).status == 200
    assert caller.get(f"/api/v1/tools/{tool_id}/1.0.0/files/empty").body == b""
    assert caller.get(f"/api/v1/blobs/sha256/{EMPTY}").status == 200


def test_releases_are_listed_newest_first_and_latest_is_no_pre_release(
    caller: Caller, tool_id: str, unique: bytes
):
    for version in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"):
        caller.publish({"a.bin": unique, "v": version.encode()}, tool_id, version)
    tool = caller.get(f"/api/v1/tools/{tool_id}").json
    assert tool["latest"] == "1.10.0"
    listed = [release["version"] for release in tool["releases"]]
    assert listed == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.0.0"]


def test_urls_in_a_manifest_are_never_followed(caller: Caller, tool_id: str, unique: bytes):
    trap = socket.create_server(("127.0.0.1", 0))
    with trap:
        trap.settimeout(0.3)
        document = dict(manifest_of({"a.bin": unique}, tool_id).document)
        files = [dict(row) for row in document["files"]]  # type: ignore[union-attr, arg-type]
        for url in (f"http://127.0.0.1:{trap.getsockname()[1]}/x", "file:///etc/passwd"):
            files[0]["url"] = url
            document["files"] = files
            document["tool_version"] = "1.0.0" if "http" in url else "1.0.1"
            document["manifest_hash"] = manifest_hash_of(document)
            session = caller.open_session(manifest_from(document))
            caller.put(session, unique)
            assert caller.commit(session).status == 200
        with pytest.raises(TimeoutError):
            trap.accept()


# --- uploads that stop, overlap or lie ----------------------------------------------------------


def test_an_upload_in_spans(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    size, step = len(unique), 300_000
    for first in range(0, size, step):
        part = unique[first : first + step]
        span = f"bytes {first}-{first + len(part) - 1}/{size}"
        reply = caller.put(session, part, digest_of(unique), Content_Range=span)
        assert reply.json == {
            "sha256": digest_of(unique),
            "size": size,
            "received": first + len(part),
        }
    assert caller.commit(session).status == 200


def test_what_came_of_a_broken_upload_is_kept(
    running: LocalHq, caller: Caller, tool_id: str, unique: bytes
):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    head = (
        f"PUT {SESSIONS}/{session['session_id']}/blobs/{digest_of(unique)} HTTP/1.1\n"
        f"Host: h\nAuthorization: Bearer {running.token}\nContent-Length: {len(unique)}\n\n"
    )
    with raw_request(caller, head) as connection:
        connection.sendall(unique[:700_000])
    received = wait_for_received(caller, session, 700_000)
    rest = unique[received:]
    span = f"bytes {received}-{len(unique) - 1}/{len(unique)}"
    reply = caller.put(session, rest, digest_of(unique), Content_Range=span)
    assert reply.json["received"] == len(unique)
    assert caller.commit(session).status == 200
    assert caller.get(f"/api/v1/tools/{tool_id}/1.0.0/files/a.bin").body == unique


def wait_for_received(caller: Caller, session: dict[str, str], least: int) -> int:
    place = f"{SESSIONS}/{session['session_id']}"
    for _ in range(100):
        received = caller.authorized("GET", place).json["wanted"][0]["received"]
        if received >= least:
            return int(received)
        time.sleep(0.02)
    raise AssertionError(f"only {received} bytes were kept")


def test_a_gap_is_refused_and_bytes_sent_twice_are_passed_over(
    caller: Caller, tool_id: str, unique: bytes
):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    size, digest = len(unique), digest_of(unique)
    span = f"bytes 5-9/{size}"
    reply = caller.put(session, unique[5:10], digest, Content_Range=span)
    assert (reply.status, reply.code) == (409, "upload-offset")
    caller.put(session, unique[:1000], digest, Content_Range=f"bytes 0-999/{size}")
    again = caller.put(session, unique[:600], digest, Content_Range=f"bytes 0-599/{size}")
    assert again.json["received"] == 1000
    rest = caller.put(session, unique[300:], digest, Content_Range=f"bytes 300-{size - 1}/{size}")
    assert rest.json["received"] == size
    assert caller.commit(session).status == 200


def test_wrong_bytes_are_refused_and_dropped(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    reply = caller.put(session, bytes(len(unique)), digest_of(unique))
    assert (reply.status, reply.code) == (422, "digest-mismatch")
    reply = caller.authorized("GET", f"{SESSIONS}/{session['session_id']}")
    assert reply.json["wanted"][0]["received"] == 0
    assert caller.commit(session).code == "release-incomplete"
    assert caller.put(session, unique).status == 200


@pytest.mark.parametrize(
    "span",
    [
        "bytes 0-4",
        "bytes 0-4/*",
        "bytes */10",
        "bytes 4-0/{size}",
        "bytes 0-4/999",
        "bytes 0-{size}/{size}",
        "bytes 0-5/{size}",
        "bytes -1-4/{size}",
        "octets 0-4/{size}",
        "bytes 0-4/{size}, bytes 5-9/{size}",
        "nonsense",
    ],
)
def test_a_span_that_cannot_be_is_refused(caller: Caller, tool_id: str, unique: bytes, span: str):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    field = span.format(size=len(unique))
    reply = caller.put(session, unique[:5], digest_of(unique), Content_Range=field)
    assert (reply.status, reply.code) == (400, "usage")


def test_a_body_of_another_length_is_refused(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    for body in (unique + b"x", unique[:-1], b""):
        reply = caller.put(session, body, digest_of(unique))
        assert (reply.status, reply.code) == (400, "usage")


def test_a_chunked_body_may_not_grow_past_its_span(running: LocalHq, caller: Caller, tool_id: str):
    session = caller.open_session(manifest_of({"a.bin": b"1234567890"}, tool_id))
    head = (
        f"PUT {SESSIONS}/{session['session_id']}/blobs/{digest_of(b'1234567890')} HTTP/1.1\n"
        f"Host: h\nAuthorization: Bearer {running.token}\nTransfer-Encoding: chunked\n\n"
    )
    with raw_request(caller, head) as connection:
        connection.sendall(b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_blob_outside_the_manifest_is_not_taken(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    assert caller.put(session, b"something else").code == "not-found"
    assert caller.put(session, b"x", "../../../etc/passwd").status in (400, 404, 405)
    assert caller.put(session, b"x", "A" * 64).code == "not-found"


def test_two_publishers_at_once(caller: Caller, running: LocalHq, tool_id: str):
    data = tool_id.encode() * 1_000_000
    manifest = manifest_of({"a.bin": data}, tool_id)
    failed: list[object] = []

    def publish() -> None:
        with calling(running) as own:
            session = own.open_session(manifest)
            for first in range(0, len(data), 2_000_000):
                part = data[first : first + 2_000_000]
                span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
                reply = own.put(session, part, digest_of(data), Content_Range=span)
                if reply.status != 200:
                    failed.append(reply)
            reply = own.commit(session)
            if reply.status != 200:
                failed.append(reply)

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert caller.get(f"/api/v1/tools/{tool_id}/1.0.0/files/a.bin").body == data
    assert len(caller.get(f"/api/v1/tools/{tool_id}").json["releases"]) == 1


def test_a_second_publisher_waits_for_the_first_and_goes_on_from_there(
    running: LocalHq, caller: Caller, tool_id: str, unique: bytes
):
    session = caller.open_session(manifest_of({"a.bin": unique}, tool_id))
    head = (
        f"PUT {SESSIONS}/{session['session_id']}/blobs/{digest_of(unique)} HTTP/1.1\n"
        f"Host: h\nAuthorization: Bearer {running.token}\nContent-Length: {len(unique)}\n\n"
    )
    with raw_request(caller, head) as slow:
        slow.sendall(unique[:500_000])
        leave = threading.Timer(0.5, slow.shutdown, [socket.SHUT_RDWR])
        leave.start()
        begun = time.monotonic()
        assert caller.put(session, unique).json["received"] == len(unique)
        assert time.monotonic() - begun > 0.3
        leave.join()
    assert caller.commit(session).status == 200


def test_a_sender_who_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    async def receive() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    async def read() -> bytes:
        return await bodies.read_body(Request({"type": "http"}, receive), 10)

    monkeypatch.setattr(bodies, "IDLE_S", 0.05)
    with pytest.raises(HTTPException) as caught:
        asyncio.run(read())
    assert caught.value.status_code == 408


# --- what is refused ----------------------------------------------------------------------------


def test_a_commit_with_a_blob_missing_is_refused(caller: Caller, tool_id: str, unique: bytes):
    session = caller.open_session(manifest_of({"a.bin": unique, "b": b"b" + unique}, tool_id))
    caller.put(session, unique)
    reply = caller.commit(session)
    assert (reply.status, reply.code) == (409, "release-incomplete")
    assert caller.get(f"/api/v1/tools/{tool_id}").status == 404
    caller.put(session, b"b" + unique)
    assert caller.commit(session).status == 200


def test_other_content_under_the_same_version_is_refused(
    caller: Caller, tool_id: str, unique: bytes
):
    caller.publish({"a.bin": unique}, tool_id, "1.0.0")
    other = manifest_of({"a.bin": b"other" + unique}, tool_id)
    reply = caller.authorized("POST", SESSIONS, other.encode())
    assert (reply.status, reply.code) == (409, "release-conflict")


def test_of_two_contents_for_one_version_the_first_commit_wins(
    caller: Caller, tool_id: str, unique: bytes
):
    one, two = ({"a.bin": letter + unique} for letter in (b"1", b"2"))
    first, second = (caller.open_session(manifest_of(files, tool_id)) for files in (one, two))
    caller.put(first, b"1" + unique)
    caller.put(second, b"2" + unique)
    assert caller.commit(second).status == 200
    reply = caller.commit(first)
    assert (reply.status, reply.code) == (409, "release-conflict")
    assert caller.get(f"/api/v1/tools/{tool_id}/1.0.0/files/a.bin").body == b"2" + unique


def broken(manifest: Manifest, **changes: object) -> bytes:
    return json.dumps({**manifest.document, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "manifest-invalid"),
        (b"{", "manifest-invalid"),
        (b"[]", "manifest-invalid"),
        (b"\xff\xfe", "manifest-invalid"),
        (b'{"a":1,"a":2}', "manifest-invalid"),
        (broken(manifest_of(FILES), manifest_hash="0" * 64), "manifest-hash-mismatch"),
        (broken(manifest_of(FILES), tool_id="Add"), "manifest-invalid"),
        (broken(manifest_of(FILES), tool_version="v1"), "manifest-invalid"),
        (broken(manifest_of(FILES), manifest_version="9"), "manifest-invalid"),
        (broken(manifest_of(FILES), files=[{"path": "../x"}]), "manifest-invalid"),
    ],
)
def test_what_is_no_manifest_is_refused(caller: Caller, body: bytes, code: str):
    reply = caller.authorized("POST", SESSIONS, body)
    assert (reply.status, reply.code) == (422, code)


def test_sizes_that_cannot_be_are_refused(caller: Caller, tool_id: str, unique: bytes):
    caller.publish({"a.bin": unique}, tool_id, "1.0.0")
    lies = [
        (digest_of(unique), len(unique) + 1),
        (EMPTY, 5),
        (digest_of(b"x" + unique), 0),
    ]
    for number, (digest, size) in enumerate(lies):
        manifest = manifest_of_entry("a.bin", digest, size, f"1.0.{number}")
        reply = caller.authorized("POST", SESSIONS, manifest.encode())
        assert (reply.status, reply.code) == (422, "manifest-invalid")


def test_a_release_larger_than_the_disk_is_refused_before_its_first_byte(caller: Caller):
    manifest = manifest_of_entry("a.bin", Digest("1" * 64), 2**52)
    reply = caller.authorized("POST", SESSIONS, manifest.encode())
    assert (reply.status, reply.code) == (507, "disk-full")
    assert "/" not in reply.json["detail"]


def test_a_manifest_over_the_limit_is_refused(caller: Caller):
    reply = caller.authorized("POST", SESSIONS, b" " * (MAX_MANIFEST_BYTES + 1))
    assert (reply.status, reply.code) == (413, "usage")


@pytest.mark.parametrize("session", ["0" * 32, "x", "'; DROP TABLE release; --"])
def test_an_unknown_session_is_404(caller: Caller, session: str):
    place = f"{SESSIONS}/{quote(session)}"
    assert caller.authorized("GET", place).code == "not-found"
    assert caller.authorized("POST", f"{place}/commit").code == "not-found"
    assert caller.authorized("PUT", f"{place}/blobs/{digest_of(b'')}", b"").code == "not-found"


# --- requirements -------------------------------------------------------------------------------


def require(caller: Caller, tool_id: str, **demand: str) -> int:
    body = json.dumps(demand).encode()
    return caller.authorized("PUT", f"/api/v1/tools/{tool_id}/requirement", body).status


def required(caller: Caller, tool_id: str, channel: str = "stable") -> list[str]:
    rows = caller.get(f"/api/v1/requirements?channel={channel}").json
    return [row["version"] for row in rows if row["tool_id"] == tool_id]


def test_a_channel_requires_one_release_of_a_tool(caller: Caller, tool_id: str, unique: bytes):
    for version in ("1.0.0", "1.1.0"):
        caller.publish({"a.bin": unique, "v": version.encode()}, tool_id, version)
    assert required(caller, tool_id) == []
    assert require(caller, tool_id, version="1.0.0") == 200
    assert required(caller, tool_id) == ["1.0.0"]
    assert require(caller, tool_id, version="1.1.0") == 200
    assert require(caller, tool_id, version="1.1.0") == 200
    assert require(caller, tool_id, version="1.0.0", channel="beta") == 200
    assert required(caller, tool_id) == ["1.1.0"]
    assert required(caller, tool_id, "beta") == ["1.0.0"]
    assert required(caller, tool_id, "nobody") == []
    rows = caller.get(f"/api/v1/tools/{tool_id}").json["required"]
    assert [(row["channel"], row["version"]) for row in rows] == [
        ("beta", "1.0.0"),
        ("stable", "1.1.0"),
    ]


def test_only_what_hq_holds_can_be_required(caller: Caller, tool_id: str, unique: bytes):
    caller.publish({"a.bin": unique}, tool_id, "1.0.0")
    assert require(caller, tool_id, version="9.9.9") == 404
    assert require(caller, "nope", version="1.0.0") == 404
    assert required(caller, tool_id) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"{}",
        b'{"version":1}',
        b'{"version":"v1"}',
        b'{"version":"1.0.0","channel":"Not A Channel"}',
        b'{"version":"1.0.0","version":"1.0.1"}',
        b'{"version":"' + b"1" * 70_000 + b'"}',
    ],
)
def test_a_demand_that_says_nothing_is_refused(caller: Caller, body: bytes):
    reply = caller.authorized("PUT", "/api/v1/tools/add/requirement", body)
    assert reply.status in (400, 413)
    assert reply.code == "usage"


# --- the token ----------------------------------------------------------------------------------

WRITES = [
    ("POST", SESSIONS),
    ("GET", f"{SESSIONS}/x"),
    ("PUT", f"{SESSIONS}/x/blobs/{'0' * 64}"),
    ("POST", f"{SESSIONS}/x/commit"),
    ("PUT", "/api/v1/tools/add/requirement"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_the_token_nothing_is_taken(
    running: LocalHq, caller: Caller, method: str, path: str
):
    token = running.token
    shown = ["", "Bearer", "Bearer ", f"Basic {token}", token, f"Bearer {token}x", "Bearer \xff"]
    for authorization in shown:
        reply = caller.send(method, path, b"{}", {"Authorization": authorization})
        assert (reply.status, reply.code) == (401, "token-refused")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert token.encode() not in reply.body
    reply = caller.send(method, path, b"{}")
    assert reply.status == 401
