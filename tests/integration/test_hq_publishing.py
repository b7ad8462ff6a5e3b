"""Publish sessions and commits: what becomes visible, and what is refused."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest

from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.core.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    manifest_from,
    manifest_hash_of,
)
from tests.integration.hq_requests import (
    SESSIONS,
    Caller,
    manifest_of,
    manifest_of_entry,
)

FILES = {"main.py": b"print(1)\n", "model.bin": bytes(range(256)) * 4096}


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
