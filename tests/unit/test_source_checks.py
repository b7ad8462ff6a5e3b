"""What the base class of sources holds against what was asked, each check by itself."""

from __future__ import annotations

import pytest
from msgspec import structs

from bitstation.codec.guiding import Papers
from bitstation.core.canonical import pretty_bytes
from bitstation.core.digest import Digest, digest_of
from bitstation.core.wire import BlobRef
from bitstation.errors import (
    DigestMismatch,
    ManifestHashMismatch,
    NotSigned,
    SourceBroken,
    UnexpectedRelease,
)
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.transport.source import Offer, Source, SpanReader, comes_within

RELEASE = make_release({"a.txt": b"a"}, "1.0.0")
MANIFEST = RELEASE.manifest
DATA = MANIFEST.encode()
OFFER = Offer(TOOL_ID, "1.0.0", DATA)
SPOILED = pretty_bytes({**MANIFEST.document, "note": 1})
BLOB = bytes(range(200))


class Arrivals:
    """Gives at most seven bytes at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.is_closed = False
        self.asked = 0

    def readinto(self, buffer: memoryview, /) -> int:
        self.asked += 1
        piece = self._data[: min(7, len(buffer))]
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.is_closed = True


class Scripted(Source):
    """Offers what it is given, and gives one content whatever is asked for."""

    name = "scripted"

    def __init__(self, offer: Offer = OFFER, content: bytes = BLOB) -> None:
        self._offer = offer
        self._content = content
        self.opened: list[Arrivals] = []

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        return self._offer

    def _open(self, digest: Digest, offset: int, length: int | None) -> Arrivals:
        self.opened.append(Arrivals(self._content[offset:]))
        return self.opened[-1]


class Holds:
    """A machine on which the manifest of the release lies, whole or not."""

    def __init__(self, manifest: bytes) -> None:
        self._manifest = manifest

    def papers(self, manifest_hash: str) -> Papers | None:
        return Papers(self._manifest, b"") if manifest_hash == MANIFEST.manifest_hash else None


# --- releases ------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [(TOOL_ID, "1.0.0"), (TOOL_ID, None), (None, None)])
def test_what_was_asked_for_is_taken(asked: tuple[str | None, str | None]) -> None:
    found = Scripted().resolve(*asked)
    assert (found.manifest, found.manifest_bytes) == (MANIFEST, DATA)
    assert (found.required, found.legacy, found.needs) == (False, False, ())


@pytest.mark.parametrize(
    ("offer", "asked"),
    [
        (OFFER, ("other", "1.0.0")),
        (OFFER, (TOOL_ID, "1.0.1")),
        (structs.replace(OFFER, tool_id="other"), (None, None)),
        (structs.replace(OFFER, version="1.0.1"), (TOOL_ID, None)),
        (structs.replace(OFFER, manifest_hash=digest_of(b"")), (TOOL_ID, "1.0.0")),
    ],
)
def test_another_release_is_refused(offer: Offer, asked: tuple[str, str]) -> None:
    with pytest.raises(UnexpectedRelease):
        Scripted(offer).resolve(*asked)


def test_who_vets_is_asked_before_anything_is_read() -> None:
    asked: list[tuple[str, str, bytes]] = []

    def refuse(*what: str | bytes) -> None:
        asked.append(what)  # type: ignore[arg-type]
        raise NotSigned(source="scripted")

    with pytest.raises(NotSigned):
        Scripted(structs.replace(OFFER, manifest_bytes=b"{")).resolve(TOOL_ID, None, vet=refuse)
    assert asked == [(TOOL_ID, "1.0.0", b"{")]


def test_an_announced_hash_that_is_true_is_taken() -> None:
    offer = structs.replace(OFFER, manifest_hash=MANIFEST.manifest_hash)
    assert Scripted(offer).resolve(TOOL_ID, "1.0.0").manifest == MANIFEST


def test_only_legacy_takes_a_hash_that_is_not_true_and_writes_the_true_one() -> None:
    source = Scripted(structs.replace(OFFER, manifest_bytes=SPOILED))
    with pytest.raises(ManifestHashMismatch, match="scripted"):
        source.resolve(TOOL_ID, "1.0.0")
    found = source.resolve(TOOL_ID, "1.0.0", legacy=True)
    assert found.legacy
    assert found.manifest.document["note"] == 1
    assert found.manifest_bytes == found.manifest.encode() != SPOILED


def test_a_true_manifest_stays_as_it_was_given_even_where_legacy_ones_may_be() -> None:
    compact = DATA.replace(b"\n", b"").replace(b"  ", b"")
    source = Scripted(structs.replace(OFFER, manifest_bytes=compact))
    found = source.resolve(TOOL_ID, "1.0.0", legacy=True)
    assert not found.legacy
    assert found.manifest_bytes == compact


def by_hash() -> Offer:
    reference = BlobRef(digest_of(DATA), len(DATA))
    return Offer(TOOL_ID, "1.0.0", manifest_hash=MANIFEST.manifest_hash, manifest=reference)


def test_the_manifest_that_is_here_is_not_asked_for() -> None:
    source = Scripted(by_hash(), DATA)
    found = source.resolve(TOOL_ID, "1.0.0", known=Holds(DATA))
    assert (found.manifest, source.opened) == (MANIFEST, [])


@pytest.mark.parametrize(
    "held", [SPOILED, make_release({"a.txt": b"a"}, "2.0.0").manifest.encode()]
)
def test_one_that_is_here_and_damaged_is_asked_for(held: bytes) -> None:
    source = Scripted(by_hash(), DATA)
    assert source.resolve(TOOL_ID, "1.0.0", known=Holds(held)).manifest == MANIFEST
    assert len(source.opened) == 1


def test_what_the_source_gave_is_not_asked_for_again() -> None:
    reference = BlobRef(digest_of(SPOILED), len(SPOILED))
    source = Scripted(Offer(TOOL_ID, "1.0.0", manifest=reference), SPOILED)
    with pytest.raises(ManifestHashMismatch):
        source.resolve(TOOL_ID, "1.0.0")
    assert len(source.opened) == 1


# --- blobs ---------------------------------------------------------------------------------------


def test_a_blob_is_read_whole_counted_and_closed() -> None:
    source, heard = Scripted(), []
    assert source.read_object(digest_of(BLOB), len(BLOB), heard.append) == BLOB
    assert source.read_object(digest_of(BLOB), len(BLOB)) == BLOB
    assert (sum(heard), max(heard)) == (len(BLOB), 7)
    assert all(reader.is_closed for reader in source.opened)


def test_a_blob_that_is_longer_than_it_may_be_is_given_up_at_once() -> None:
    source = Scripted()
    with pytest.raises(SourceBroken, match="exceeds 20 B"):
        source.read_object(digest_of(BLOB), 20)
    assert (source.opened[0].asked, source.opened[0].is_closed) == (3, True)


def test_a_blob_of_another_digest_is_refused() -> None:
    with pytest.raises(DigestMismatch, match="scripted"):
        Scripted().read_object(digest_of(b"other"), len(BLOB))


def test_a_span_ends_where_it_was_asked_to() -> None:
    source = Scripted()
    with source.read_range(digest_of(BLOB), 10, 20) as reader:
        assert reader.source == "scripted"
        assert _all_of(reader) == BLOB[10:30]
        assert not source.opened[0].is_closed
    assert source.opened[0].asked == 3
    assert source.opened[0].is_closed


def test_a_span_that_ends_early_is_told() -> None:
    source = Scripted()
    with (
        pytest.raises(SourceBroken, match="ended 10 bytes too early"),
        source.read_range(digest_of(BLOB), 190, 20) as reader,
    ):
        _all_of(reader)
    reader = SpanReader(Arrivals(b"abc"), 4, "one of several")
    with pytest.raises(SourceBroken, match="one of several answered"):
        _all_of(reader)


def test_a_reader_passes_the_end_on() -> None:
    inner = Arrivals(b"abc")
    SpanReader(inner, 3, "x").close()
    assert inner.is_closed


def _all_of(reader: SpanReader) -> bytes:
    data, block = b"", memoryview(bytearray(64))
    while count := reader.readinto(block):
        data += block[:count]
    return data


def test_whether_something_comes_is_asked_of_who_can_say() -> None:
    class Slow(Arrivals):
        def comes_within(self, seconds: float) -> bool:
            return seconds > 3

    for reader in (Slow(b""), SpanReader(Slow(b""), 1, "x")):
        assert [comes_within(reader, seconds) for seconds in (3, 4)] == [False, True]
    assert comes_within(Arrivals(b""), 0)
    assert comes_within(SpanReader(Slow(b""), 0, "x"), 0), "its end has come"
