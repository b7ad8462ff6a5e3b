"""Uploads that come in spans, stop, overlap or lie."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bitstation.core.digest import digest_of
from bitstation.hq.api import bodies
from bitstation.testing.local_hq import LocalHq
from tests.integration.hq_requests import (
    SESSIONS,
    Caller,
    calling,
    manifest_of,
)


def raw_request(caller: Caller, head: str) -> socket.socket:
    connection = socket.create_connection(caller.address, timeout=30)
    connection.sendall(head.replace("\n", "\r\n").encode())
    return connection


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
    data = unique * 4
    session = caller.open_session(manifest_of({"a.bin": data}, tool_id))
    path = f"{SESSIONS}/{session['session_id']}"
    head = (
        f"PUT {path}/blobs/{digest_of(data)} HTTP/1.1\n"
        f"Host: h\nAuthorization: Bearer {running.token}\nContent-Length: {len(data)}\n\n"
    )
    has_left = threading.Event()

    def leave() -> None:
        has_left.set()
        slow.shutdown(socket.SHUT_RDWR)

    with raw_request(caller, head) as slow:
        slow.sendall(data[: len(data) // 2])
        # Once bytes of his are kept, the blob is his until he leaves.
        deadline = time.monotonic() + 30
        while not caller.authorized("GET", path).json["wanted"][0]["received"]:
            assert time.monotonic() < deadline, "nothing of the first one was kept"
            time.sleep(0.02)
        leaving = threading.Timer(0.3, leave)
        leaving.start()
        assert caller.put(session, data).json["received"] == len(data)
        assert has_left.is_set()
        leaving.join()
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
