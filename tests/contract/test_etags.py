"""Tags of blobs: whatever a file server makes them of, they only have to stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bitstation.core.digest import digest_of
from bitstation.testing.releases import make_release
from bitstation.testing.scripted_hq import ScriptedHq, source_of
from bitstation.testing.web_server import Said, WebServer, said, serving
from bitstation.transport.blob_answer import Etags
from bitstation.transport.failures import SourceChanged
from bitstation.transport.hq import HqSource
from tests.contract.packages import content

DATA = bytes(range(256)) * 8
DIGEST = digest_of(DATA)
FIRST, LENGTH = 100, 50
SPAN = DATA[FIRST : FIRST + LENGTH]


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving(ScriptedHq(make_release({"a.bin": DATA}))) as server:
        yield server


@pytest.fixture
def source(server: WebServer) -> Iterator[HqSource]:
    with source_of(server) as source:
        yield source


def tagged(etag: str | None) -> Said:
    """The span, with this tag."""
    stated = f"bytes {FIRST}-{FIRST + LENGTH - 1}/{len(DATA)}"
    return said(206, SPAN, {"Content-Range": stated, "ETag": etag})


@pytest.mark.parametrize("etag", ['"' + "0" * 64 + '"', '"x-1"', f'W/"{DIGEST}"', "bare", None])
def test_any_tag_will_do_as_long_as_it_stays(server: WebServer, source: HqSource, etag: str | None):
    server.say(tagged(etag))
    assert [content(source, DIGEST, FIRST, LENGTH) for _ in range(2)] == [SPAN] * 2


def test_a_tag_that_changes_is_said_once_and_then_counts(server: WebServer, source: HqSource):
    tags = ['"one"', 'W/"one"', '"two"', '"two"']
    server.say(*(tagged(tag) for tag in tags))
    for tag in tags[:2]:
        assert content(source, DIGEST, FIRST, LENGTH) == SPAN, tag
    with pytest.raises(SourceChanged) as caught:
        content(source, DIGEST, FIRST, LENGTH)
    assert caught.value.retryable
    assert content(source, DIGEST, FIRST, LENGTH) == SPAN


def test_the_tags_remembered_are_bounded():
    etags = Etags(max_count=2)
    blobs = [digest_of(bytes([number])) for number in range(3)]
    for each in blobs:
        etags.check(each, '"one"', "it")
    etags.check(blobs[0], '"two"', "it")
    with pytest.raises(SourceChanged):
        etags.check(blobs[2], '"two"', "it")
