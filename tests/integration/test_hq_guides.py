"""Guides and packs at an HQ: announced, sent, proved, shown; and the offer that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bitstation.core.digest import digest_of
from bitstation.core.guide import MAX_GUIDE_BYTES
from bitstation.core.mirror import encode_offer
from bitstation.core.wire import ReleaseOffer
from bitstation.testing.local_hq import LocalHq, local_hq
from bitstation.testing.mapped import Mapped, guide_to, map_release
from bitstation.testing.releases import Release, make_release
from bitstation.transport.hq import HqClient, HqSource
from tests.integration.hq_requests import SESSIONS, Caller, Reply, calling


@pytest.fixture
def first(tool_id: str, unique: bytes) -> Mapped:
    return map_release(release_of(tool_id, unique, "1.0.0"), block_bytes=100_000)


@pytest.fixture
def second(tool_id: str, unique: bytes) -> Mapped:
    return map_release(release_of(tool_id, unique, "1.1.0"), block_bytes=100_000)


def release_of(tool_id: str, unique: bytes, version: str) -> Release:
    files = {"m.bin": unique + version.encode(), "same.txt": b"s" + unique[:20]}
    return make_release(files, version, tool_id=tool_id)


def session_with(caller: Caller, mapped: Mapped) -> Any:
    """Session of a release whose files are all there."""
    session = caller.open_session(mapped.release.manifest)
    wanted = {blob["sha256"] for blob in session["wanted"]}
    for digest, data in mapped.release.blobs.items():
        if digest in wanted:
            assert caller.put(session, data).status == 200
    return session


def named(*guides: tuple[Mapped | None, bytes], packs: tuple[bytes, ...] = ()) -> dict[str, Any]:
    rows = [
        {"sha256": digest_of(data), "size": len(data)}
        | ({"base": base.release.manifest.manifest_hash} if base else {})
        for base, data in guides
    ]
    return {
        "guides": rows,
        "packs": [{"sha256": digest_of(data), "size": len(data)} for data in packs],
    }


def announce(caller: Caller, session: Any, body: object) -> Reply:
    place = f"{SESSIONS}/{session['session_id']}/guides"
    return caller.authorized("POST", place, json.dumps(body).encode())


def publish(caller: Caller, mapped: Mapped, *guides: tuple[Mapped | None, bytes]) -> Any:
    session = session_with(caller, mapped)
    assert announce(caller, session, named(*guides)).status == 200
    for _base, data in guides:
        assert caller.put(session, data).status == 200
    assert caller.commit(session).status == 200
    return session


def offer(caller: Caller, mapped: Mapped) -> ReleaseOffer:
    release = mapped.release
    reply = caller.get(f"/api/v1/tools/{release.manifest.tool_id}/{release.version}/offer.json")
    assert reply.status == 200
    found = msgspec.json.decode(reply.body, type=ReleaseOffer)
    assert encode_offer(found) == reply.body, "compact"
    return found


# --- from announcing to showing -----------------------------------------------------------------


def test_guides_and_packs_become_visible_with_their_release(
    caller: Caller, first: Mapped, second: Mapped
):
    publish(caller, first, (None, guide_to(first)))
    guides = [(None, guide_to(second)), (first, guide_to(second, first))]
    pack = b"pack" + second.papers.manifest
    session = session_with(caller, second)
    reply = announce(caller, session, named(*guides, packs=(pack,)))
    datas = [*(data for _base, data in guides), pack]
    assert {row["sha256"] for row in reply.json["wanted"]} == set(map(digest_of, datas))
    for data in datas:
        assert caller.put(session, data).json["received"] == len(data)
        assert caller.get(f"/api/v1/blobs/sha256/{digest_of(data)}").status == 404
    assert announce(caller, session, named(*guides, packs=(pack,))).json == {"wanted": []}
    assert caller.commit(session).status == 200
    found = offer(caller, second)
    assert {(ref.base, ref.sha256, ref.size) for ref in found.guides} == {
        (base.release.manifest.manifest_hash if base else None, digest_of(data), len(data))
        for base, data in guides
    }
    assert found.guides[0].base is None
    assert found.manifest.sha256 == digest_of(second.release.manifest.encode())
    for data in datas:
        assert caller.get(f"/api/v1/blobs/sha256/{digest_of(data)}").body == data


def test_guides_may_come_later_and_replace_those_from_the_same_base(
    caller: Caller, first: Mapped, second: Mapped
):
    publish(caller, first)
    assert offer(caller, first).guides == ()
    session = publish(caller, second, (None, guide_to(second)))
    before = offer(caller, second)
    better = guide_to(second, inline=b"better")
    for each in ((None, better), (first, guide_to(second, first))):
        assert publish(caller, second, each)["session_id"] == session["session_id"]
    found = offer(caller, second)
    assert [ref.sha256 for ref in found.guides if ref.base is None] == [digest_of(better)]
    assert len(found.guides) == 2
    assert (found.manifest_hash, found.manifest) == (before.manifest_hash, before.manifest)


def test_what_a_killed_publisher_announced_does_not_stop_the_next(caller: Caller, first: Mapped):
    session = session_with(caller, first)
    assert announce(caller, session, named((None, guide_to(first)))).status == 200
    assert caller.commit(session).code == "release-incomplete"
    assert caller.commit(session_with(caller, first)).status == 200
    assert offer(caller, first).guides == ()


def test_an_announcement_counts_until_the_next_one(caller: Caller, first: Mapped):
    session = session_with(caller, first)
    for inline in (b"1", b"2"):
        assert (
            announce(caller, session, named((None, guide_to(first, inline=inline)))).status == 200
        )
    assert caller.put(session, guide_to(first, inline=b"1")).code == "not-found"
    assert caller.put(session, guide_to(first, inline=b"2")).status == 200
    assert caller.commit(session).status == 200
    assert [ref.sha256 for ref in offer(caller, first).guides] == [
        digest_of(guide_to(first, inline=b"2"))
    ]


def test_a_restarted_hq_still_knows_what_was_announced(tmp_path: Path, first: Mapped):
    guide = guide_to(first)

    def span(start: int, end: int) -> dict[str, str]:
        return {"Content_Range": f"bytes {start}-{end - 1}/{len(guide)}"}

    with local_hq(tmp_path) as hq, calling(hq) as caller:
        session = session_with(caller, first)
        assert announce(caller, session, named((None, guide))).status == 200
        assert caller.put(session, guide[:10], digest_of(guide), **span(0, 10)).status == 200
        hq.kill()
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        rest = guide[10:]
        assert caller.put(session, rest, digest_of(guide), **span(10, len(guide))).status == 200
        assert caller.commit(session).status == 200
        assert [ref.sha256 for ref in offer(caller, first).guides] == [digest_of(guide)]


# --- what is refused ----------------------------------------------------------------------------


def lies(first: Mapped, second: Mapped) -> dict[str, tuple[Mapped | None, bytes]]:
    other = map_release(first.release)
    return {
        "no guide": (None, b"no guide at all"),
        "to another release": (None, guide_to(second)),
        "from another base": (second, guide_to(first)),
        "from a base it hides": (None, guide_to(first, second)),
        "of another manifest": (None, guide_to(_dated(other))),
        "cut": (None, guide_to(first)[:-1]),
    }


def _dated(mapped: Mapped) -> Mapped:
    """The same release, made at another moment."""
    manifest = mapped.release.manifest
    document = {**manifest.document, "created_at": "2026-02-02T00:00:00+00:00"}
    later = msgspec.structs.replace(manifest, document=document)
    return map_release(Release(later, mapped.release.files))


@pytest.mark.parametrize("lie", ["no guide", "to another release", "from another base",
                                 "from a base it hides", "of another manifest", "cut"])  # fmt: skip
def test_a_guide_that_is_not_what_it_says_stops_the_commit_and_shows_nothing(
    caller: Caller, first: Mapped, second: Mapped, lie: str
):
    base, data = lies(first, second)[lie]
    session = session_with(caller, first)
    assert announce(caller, session, named((base, data))).status == 200
    assert caller.put(session, data).status == 200
    reply = caller.commit(session)
    assert (reply.status, reply.code) == (422, "manifest-invalid")
    tool_id = first.release.manifest.tool_id
    assert caller.get(f"/api/v1/tools/{tool_id}/offer.json").status == 404
    assert announce(caller, session, named()).status == 200
    assert caller.commit(session).status == 200


def blob(size: int, base: str | None = None) -> dict[str, object]:
    return {"sha256": "1" * 64, "size": size} | ({"base": base} if base else {})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ([], 400, "usage"),
        ({}, 400, "usage"),
        ({"guides": [blob(-1)]}, 400, "usage"),
        ({"guides": [{"sha256": "x", "size": 1}]}, 400, "usage"),
        ({"guides": [blob(1, "x")]}, 400, "usage"),
        ({"guides": [blob(1), blob(2)]}, 400, "usage"),
        ({"guides": [blob(1, f"{n:064x}") for n in range(9)]}, 400, "usage"),
        ({"guides": [blob(MAX_GUIDE_BYTES + 1)]}, 400, "usage"),
        ({"guides": [], "packs": [blob(1)] * 1001}, 400, "usage"),
        ({"guides": [], "packs": [blob(2**52)]}, 507, "disk-full"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    caller: Caller, first: Mapped, body: object, status: int, code: str
):
    session = session_with(caller, first)
    reply = announce(caller, session, body)
    assert (reply.status, reply.code) == (status, code)


def test_it_takes_the_token_and_a_session(caller: Caller, first: Mapped):
    session = session_with(caller, first)
    place = f"{SESSIONS}/{session['session_id']}/guides"
    assert caller.send("POST", place, b"{}").code == "token-refused"
    assert announce(caller, {"session_id": "0" * 32}, named()).code == "not-found"


def test_a_release_has_at_most_eight_guides_and_the_last_announced_stay(
    caller: Caller, first: Mapped, tool_id: str
):
    bases = [map_release(make_release({"a": b"a"}, f"0.{n}.0", tool_id=tool_id)) for n in range(11)]
    hashes = [base.release.manifest.manifest_hash for base in bases]

    def after(*added: Mapped | None) -> set[str | None]:
        publish(caller, first, *((base, guide_to(first, base)) for base in added))
        return {ref.base for ref in offer(caller, first).guides}

    assert after(*bases[:7]) == set(hashes[:7])
    assert after(None) == {None, *hashes[:7]}
    assert len(found := after(*bases[7:])) == 8
    assert {None, *hashes[7:]} <= found
    assert after(*bases[:7]) == {None, *hashes[:7]}


# --- the offer ----------------------------------------------------------------------------------


def test_the_offer_of_a_tool_is_what_its_channel_requires_else_the_latest(
    caller: Caller, running: LocalHq, first: Mapped, second: Mapped, tool_id: str
):
    place = f"/api/v1/tools/{tool_id}"
    assert caller.get(f"{place}/offer.json").code == "not-found"
    for mapped in (first, second):
        publish(caller, mapped)

    def told(query: str = "", version: str = "") -> tuple[str, bool]:
        reply = caller.get(f"{place}/{version}offer.json{query}")
        found = msgspec.json.decode(reply.body, type=ReleaseOffer)
        return found.version, found.required

    assert told() == ("1.1.0", False)
    body = json.dumps({"version": "1.0.0"}).encode()
    assert caller.authorized("PUT", f"{place}/requirement", body).status == 200
    assert told() == told("?channel=stable") == told(version="1.0.0/") == ("1.0.0", True)
    assert told("?channel=beta") == ("1.1.0", False)
    assert told(version="1.1.0/") == ("1.1.0", False)
    assert told("?channel=beta", "1.0.0/") == ("1.0.0", False)
    assert told("?channel=" + "b" * 4000) == ("1.1.0", False)
    for channel, version in (("stable", "1.0.0"), ("beta", None)):
        source = HqSource(HqClient(running.url), channel)
        required = source.required(tool_id)
        assert (required.version if required else None) == version
        assert source.resolve(tool_id, "1.0.0").required == (channel == "stable")
        source.close()
    assert caller.get(f"{place}/9.9.9/offer.json").code == "not-found"


def test_the_offer_is_asked_for_again_only_when_it_changed(caller: Caller, first: Mapped):
    publish(caller, first)
    release = first.release.manifest
    for place, cached in (
        (f"/api/v1/tools/{release.tool_id}/offer.json", "no-cache"),
        (f"/api/v1/tools/{release.tool_id}/1.0.0/offer.json", "public, max-age=10"),
    ):
        reply = caller.get(place)
        assert reply.headers["cache-control"] == cached
        assert caller.get(place, If_None_Match=reply.headers["etag"]).status == 304
        assert caller.send("HEAD", place).headers["content-length"] == str(len(reply.body))
    publish(caller, first, (None, guide_to(first)))
    assert caller.get(place, If_None_Match=reply.headers["etag"]).status == 200


def test_a_look_at_what_is_new_takes_one_request_of_at_most_two_kilobytes(
    caller: Caller, running: LocalHq, first: Mapped, second: Mapped, tool_id: str
):
    publish(caller, first)
    bases = [map_release(make_release({"a": b"a"}, f"0.{n}.0", tool_id=tool_id)) for n in range(2)]
    guides = [(base, guide_to(second, base)) for base in (first, *bases)]
    publish(caller, second, (None, guide_to(second)), *guides)
    body = json.dumps({"version": second.release.version}).encode()
    assert caller.authorized("PUT", f"/api/v1/tools/{tool_id}/requirement", body).status == 200
    client = HqClient(running.url)
    counted = Counted(client)
    source = HqSource(client)
    found = source.resolve(tool_id, None, known=Knows(second))
    source.close()
    assert found.required
    assert found.manifest == second.release.manifest
    assert len(counted.requests) == 1
    assert counted.bytes < 2000
    assert len(encode_offer(offer(caller, second))) < 1000


class Knows:
    """A machine that has one release."""

    def __init__(self, mapped: Mapped) -> None:
        self._mapped = mapped

    def papers(self, manifest_hash: str) -> object:
        is_it = manifest_hash == self._mapped.release.manifest.manifest_hash
        return self._mapped.papers if is_it else None


class Counted:
    """Counts what a client's requests and their answers take on the wire."""

    def __init__(self, client: HqClient) -> None:
        self.requests: list[str] = []
        self.bytes = 0
        real = client.http.request

        def request(method: str, path: str, **options: Any) -> Any:
            answer = real(method, path, **options)
            self.requests.append(path)
            sent = [f"{method} /{path} HTTP/1.1", f"Host: {client.http.name}"]
            sent += [f"{name}: {value}" for name, value in client.http._common_headers().items()]
            got = ["HTTP/1.1 200 OK", *(f"{k}: {v}" for k, v in answer.headers.items())]
            self.bytes += sum(len(line) + 2 for line in [*sent, "", *got, ""]) + len(answer.body)
            return answer

        client.http.request = request  # type: ignore[method-assign]


def test_guides_are_listed_in_the_description(caller: Caller):
    paths = caller.get("/api/v1/openapi.json").json["paths"]
    assert "post" in paths["/api/v1/publish/sessions/{session_id}/guides"]
    assert "get" in paths["/api/v1/tools/{tool_id}/offer.json"]
    assert "get" in paths["/api/v1/tools/{tool_id}/{version}/offer.json"]
