"""HQ's client and its source of blobs: what is asked, what is believed, what each refusal is."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    NotFound,
    PublishRefused,
    SourceBroken,
    SourceError,
    StoreLocked,
    TokenRefused,
    UsageError,
)
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.scripted_hq import ScriptedHq, problem, source_of, span_of
from bitstation.testing.web_server import Asked, Said, Then, WebServer, chunked, said, serving
from bitstation.transport.failures import RangeIgnored, RangeRefused, SourceRefused
from bitstation.transport.hq import HqClient, HqSource, token_from
from tests.contract.packages import content

DATA = bytes(range(256)) * 8
DIGEST = digest_of(DATA)
FIRST, LENGTH = 100, 50
SPAN = DATA[FIRST : FIRST + LENGTH]
RELEASE = make_release({"a.bin": DATA})
SECRET = "a-secret-that-nobody-may-read"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving(ScriptedHq(RELEASE)) as server:
        yield server


@pytest.fixture
def source(server: WebServer) -> Iterator[HqSource]:
    with source_of(server) as source:
        yield source


@pytest.fixture
def client(server: WebServer) -> Iterator[HqClient]:
    client = HqClient(server.url, lambda: SECRET)
    yield client
    client.close()


# --- spans and blobs ----------------------------------------------------------------------------


def test_a_span_is_asked_for_by_its_digest_and_by_no_condition(server: WebServer, source: HqSource):
    assert content(source, DIGEST, FIRST, LENGTH) == SPAN
    [asked] = server.asked
    assert asked.target == f"/api/v1/blobs/sha256/{DIGEST}"
    assert asked.headers["range"] == f"bytes={FIRST}-{FIRST + LENGTH - 1}"
    # Of a file server its tags say nothing of the digest; what is read is proved by that.
    assert "if-range" not in asked.headers
    assert "authorization" not in asked.headers


def test_many_spans_take_one_connection(server: WebServer, source: HqSource):
    for offset in range(20):
        assert content(source, DIGEST, offset, 7) == DATA[offset : offset + 7]
    assert source.read_object(DIGEST, len(DATA)) == DATA
    assert server.connections == 1


def test_a_small_blob_is_whole_proved_and_not_longer_than_allowed(
    server: WebServer, source: HqSource
):
    assert source.read_object(DIGEST, len(DATA)) == DATA
    assert "range" not in server.asked[0].headers
    with pytest.raises(SourceBroken):
        source.read_object(DIGEST, len(DATA) - 1)
    server.say(said(200, DATA[:-1] + b"!"))
    with pytest.raises(DigestMismatch):
        source.read_object(DIGEST, len(DATA))


def test_a_server_that_ignores_ranges_serves_any_beginning_and_nothing_else(
    server: WebServer, source: HqSource
):
    server.say(said(200, DATA))
    assert content(source, DIGEST, 0, len(DATA)) == DATA
    assert content(source, DIGEST, 0, LENGTH) == DATA[:LENGTH]
    for offset, length in [(FIRST, LENGTH), (1, len(DATA) - 1)]:
        with pytest.raises(RangeIgnored) as caught:
            content(source, DIGEST, offset, length)
        assert not caught.value.retryable
        assert str(offset) in str(caught.value)
    with pytest.raises(SourceBroken):
        content(source, DIGEST, 0, len(DATA) + 1)


def test_a_span_that_the_server_says_is_not_there_is_not_asked_for_again(
    server: WebServer, source: HqSource
):
    server.say(problem(416, "usage"))
    with pytest.raises(RangeRefused) as caught:
        content(source, DIGEST, FIRST, LENGTH)
    assert (caught.value.exit_code, caught.value.retryable) == (40, False)


def test_no_more_than_was_asked_for_reaches_the_caller(server: WebServer, source: HqSource):
    stated = {
        "Content-Length": None,
        "Transfer-Encoding": "chunked",
        "Content-Range": f"bytes {FIRST}-{FIRST + LENGTH - 1}/{len(DATA)}",
    }
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (LENGTH + 9, DATA[FIRST : FIRST + LENGTH + 9])
    server.say(said(206, body, stated))
    assert content(source, DIGEST, FIRST, LENGTH) == SPAN
    server.say(chunked(DATA, b"and more"))
    assert content(source, DIGEST, 0, len(DATA)) == DATA


def span(first: int, last: int, body: bytes, **headers: str | None) -> Said:
    """A 206 that says it is this span."""
    stated: dict[str, str | None] = {"Content-Range": f"bytes {first}-{last}/{len(DATA)}"}
    stated |= {name.replace("_", "-"): value for name, value in headers.items()}
    return said(206, body, stated, then=Then.CLOSE)


LAST = FIRST + LENGTH - 1
WRONG_SPANS = {
    "another span": span(0, LENGTH - 1, DATA[:LENGTH]),
    "a longer span": span(FIRST, LAST + 1, DATA[FIRST : LAST + 2]),
    "a shorter span": span(FIRST, LAST - 1, DATA[FIRST:LAST]),
    "the right span, longer": span(FIRST, LAST, DATA[FIRST : LAST + 2]),
    "the right span, shorter": span(FIRST, LAST, DATA[FIRST:LAST]),
    "cut": span(FIRST, LAST, DATA[FIRST:LAST], Content_Length=str(LENGTH)),
    "no Content-Range": said(206, SPAN),
    "nonsense for Content-Range": said(206, SPAN, {"Content-Range": "bytes all/all"}),
    "several parts": said(206, SPAN, {"Content-Type": "multipart/byteranges; boundary=x"}),
    "beyond its end": said(206, SPAN, {"Content-Range": f"bytes {FIRST}-{LAST}/{LAST}"}),
    "one part as several": span(FIRST, LAST, SPAN, Content_Type="multipart/byteranges; boundary=x"),
    "compressed": span(FIRST, LAST, gzip.compress(SPAN), Content_Encoding="gzip"),
    "nothing": said(204, b"", {"Content-Length": None}),
    "unchanged": said(304, b"", {"Content-Length": None}),
    "an error": said(500, b"<h1>Oops</h1>"),
    "busy": said(503, b"", {"Retry-After": "3600"}),
}


@pytest.mark.parametrize("answer", WRONG_SPANS.values(), ids=WRONG_SPANS)
def test_another_answer_than_the_span_is_a_failing_source(
    server: WebServer, source: HqSource, answer: Said
):
    server.say(answer)
    with pytest.raises(SourceError) as caught:
        content(source, DIGEST, FIRST, LENGTH)
    assert caught.value.exit_code == 40
    assert caught.value.retryable


@pytest.mark.parametrize(
    "answer",
    [
        span(0, len(DATA) - 1, DATA),
        said(200, DATA, {"Content-Encoding": "gzip"}),
        said(200, DATA, {"Content-Length": None}, then=Then.CLOSE),
        said(200, DATA, {"Content-Length": str(len(DATA) + 1)}, then=Then.CLOSE),
    ],
)
def test_a_whole_blob_must_be_sent_as_one(server: WebServer, source: HqSource, answer: Said):
    server.say(answer)
    with pytest.raises(SourceBroken):
        source.read_object(DIGEST, 2 * len(DATA))


def whole(_source: HqSource, digest: Digest) -> bytes:
    return _source.read_object(digest, 1000)


def middle(_source: HqSource, digest: Digest) -> bytes:
    return content(_source, digest, 5, 10)


@pytest.mark.parametrize(
    ("read", "right"), [(whole, DATA[:32]), (middle, DATA[5:15])], ids=["whole", "middle"]
)
def test_a_blob_cut_anywhere_is_an_error_or_right(
    server: WebServer, read: Callable[[HqSource, Digest], bytes], right: bytes
):
    small = DATA[:32]
    headers = {"range": "bytes=5-14"} if read is middle else {}
    answer = span_of(small, Asked(0, "GET", "", headers, b""))
    for count in range(len(answer.data) + 1):
        server.say(answer.cut(count))
        with source_of(server) as source:
            try:
                assert read(source, digest_of(small)) == right
            except SourceError:
                assert count < len(answer.data)


# --- what HQ says -------------------------------------------------------------------------------


def reading(client: HqClient) -> object:
    return client.tool(TOOL_ID)


def writing(client: HqClient) -> object:
    return client.require(TOOL_ID, "1.0.0")


REFUSALS = {
    "absent": (problem(404, "not-found"), reading, NotFound, 40),
    "no page": (said(404, b"<h1>Not Found</h1>"), reading, NotFound, 40),
    "no text": (said(404, b'{"type":"\x80"}'), reading, NotFound, 40),
    "forbidden": (said(403, b""), reading, TokenRefused, 31),
    "no token": (problem(401, "token-refused"), writing, TokenRefused, 31),
    "locked": (problem(423, "locked"), writing, StoreLocked, 75),
    "conflict": (problem(409, "release-conflict"), writing, PublishRefused, 31),
    "strange request": (problem(400, "usage"), reading, SourceRefused, 40),
    "moved": (said(302, b"", {"Location": "/"}), writing, SourceError, 40),
    "broken": (problem(500, "unexpected"), writing, SourceError, 40),
    "full": (problem(507, "disk-full"), writing, SourceError, 40),
    "busy": (said(503, b"", {"Retry-After": "120"}), reading, SourceError, 40),
}


@pytest.mark.parametrize(("answer", "ask", "kind", "code"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_is_an_error_of_its_own(
    server: WebServer,
    client: HqClient,
    answer: Said,
    ask: Callable[[HqClient], object],
    kind: type[BitStationError],
    code: int,
):
    server.say(answer)
    with pytest.raises(BitStationError) as caught:
        ask(client)
    assert (type(caught.value), caught.value.exit_code) == (kind, code)
    if b"for a reason" in answer.data:
        assert "for a reason" in str(caught.value)


def test_an_error_document_without_end_is_read_to_a_bound(server: WebServer, source: HqSource):
    server.say(said(404, b"{" + b" " * 1_000_000))
    with pytest.raises(NotFound):
        content(source, DIGEST, FIRST, LENGTH)


@pytest.mark.parametrize(
    "answer",
    [
        said(200, b""),
        said(200, b"<html>"),
        said(200, b"{}"),
        said(200, b'{"tool_id":"../x","latest":"1.0.0","releases":[]}'),
        said(200, b'{"tool_id":"x","latest":"v1","releases":[]}'),
        said(200, b"[" * 100_000),
        said(200, b'{"tool_id":"\x80"}'),
        said(204, b"", {"Content-Length": None}),
        said(206, b'{"tool_id":"x","latest":"1.0.0","releases":[]}'),
    ],
)
def test_what_is_not_the_document_asked_for_is_a_failing_source(
    server: WebServer, client: HqClient, answer: Said
):
    server.say(answer)
    with pytest.raises(SourceError):
        client.tool(TOOL_ID)


@pytest.mark.parametrize("tool_id", ["", "..", "../x", "a/b", "a?b", "a#b", "a\r\nX: y", "ñ", "A"])
def test_what_is_no_tool_id_is_never_put_into_a_request(
    server: WebServer, client: HqClient, tool_id: str
):
    for ask in (
        lambda: client.tool(tool_id),
        lambda: client.manifest_bytes(tool_id, "1.0.0"),
        lambda: client.require(tool_id, "1.0.0"),
    ):
        with pytest.raises(UsageError):
            ask()
    assert server.connections == 0


@pytest.mark.parametrize("version", ["", "..", "1.0.0/..", "v1.0.0", "1.0.0?x", "1.0.0\r\nX: y"])
def test_what_is_no_version_is_never_put_into_a_request(
    server: WebServer, client: HqClient, version: str
):
    with pytest.raises(UsageError):
        client.manifest_bytes(TOOL_ID, version)
    assert server.connections == 0


def test_what_a_caller_or_hq_names_stays_one_part_of_an_address(
    server: WebServer, client: HqClient
):
    server.say(said(200, b"[]"))
    client.requirements("a&channel=b/../c#d")
    assert server.asked[-1].target.endswith("?channel=a%26channel%3Db%2F..%2Fc%23d")
    server.say(said(200, b"{}"))
    client.put_blob("../../tools", DIGEST, memoryview(DATA)[:10], 0, len(DATA))
    assert "/sessions/..%2F..%2Ftools/blobs/" in server.asked[-1].target
    assert server.asked[-1].headers["content-range"] == f"bytes 0-9/{len(DATA)}"


# --- the token ----------------------------------------------------------------------------------


def test_a_token_is_read_from_its_file_at_each_request(server: WebServer, tmp_path: Path):
    file = tmp_path / "token"
    client = HqClient(server.url, token_from(str(file)))
    for token in ("first", "second"):
        file.write_text(f"  {token}\r\n", "utf-8")
        client.tools()
    client.close()
    shown = [asked.headers["authorization"] for asked in server.asked]
    assert shown == ["Bearer first", "Bearer second"]


def test_the_environment_names_a_token_file_and_none_is_needed(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BITSTATION_TOKEN_FILE", raising=False)
    assert token_from(None)() is None
    (tmp_path / "token").write_text("named", "utf-8")
    monkeypatch.setenv("BITSTATION_TOKEN_FILE", str(tmp_path / "token"))
    assert token_from(None)() == "named"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        f"{SECRET}\nX-Forged: yes".encode(),
        f"{SECRET}\r{SECRET}".encode(),
        f"{SECRET} ".encode() * 2,
        f"{SECRET}\0".encode(),
        f"{SECRET}ñ".encode(),
        SECRET.encode("utf-16"),
        SECRET.encode() * 1000,
        b"\xff\xfe\xfd",
    ],
)
def test_what_is_no_token_is_refused_unsent_and_unshown(
    server: WebServer, tmp_path: Path, data: bytes
):
    file = tmp_path / "token"
    file.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        HqClient(server.url, token_from(str(file))).tools()
    assert SECRET not in str(caught.value)
    assert str(file) in str(caught.value)
    assert server.connections == 0


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="absent"):
        token_from(str(tmp_path / "absent"))()


@pytest.mark.parametrize(
    "answer", [problem(401, "token-refused"), said(500), Said(b"HTTP/9", Then.CLOSE)]
)
def test_no_error_shows_the_token(server: WebServer, client: HqClient, answer: Said):
    server.say(answer)
    with pytest.raises(BitStationError) as caught:
        client.require(TOOL_ID, "1.0.0")
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(caught.value) + str(caught.value.fields) + caught.value.advice()
