"""Recipes: read as they were written; the unknown is left out, and what is wrong is refused."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.canonical import MAX_INTEGER
from bitstation.core.digest import Digest
from bitstation.core.recipe import (
    INLINE,
    MAGIC,
    MAX_BLOBS,
    MAX_OUTPUT_BYTES,
    MAX_PATCH_BYTES,
    VERSION,
    Codec,
    Copy,
    Fetch,
    Fill,
    Patch,
    Recipes,
    Segment,
    encode_recipes,
    parse_recipes,
)
from bitstation.core.varint import encode_varint, encode_zigzag
from bitstation.errors import ManifestError

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes-v1.hex"


def digest(number: int) -> Digest:
    return Digest(hashlib.sha256(str(number).encode()).hexdigest())


FILE, OTHER, PACK, BASE = (digest(number) for number in range(4))
COUNTS = {FILE: 30, OTHER: 1}
SMALL: Recipes = {
    FILE: (
        Segment(0, 2, Copy(BASE, 1_000_000)),
        Segment(2, 1, Fetch(Codec.ZSTD, PACK, 0, 300)),
        Segment(3, 4, Fetch(Codec.PLANES_2, PACK, 300, 200)),
        Segment(7, 1, Fetch(Codec.PLANES_4, PACK, 100, 50)),
        Segment(9, 1, Patch(BASE, 5, MAX_OUTPUT_BYTES, PACK, 500, 70)),
        Segment(10, 3, Patch(BASE, 0, 0, INLINE, 10, 20)),
        Segment(15, 15, Fill(255)),
    ),
    OTHER: (Segment(0, 1, Fetch(Codec.RAW, INLINE, 0, 10)),),
}

_digests = st.integers(0, 5).map(digest)
_offsets = st.integers(0, 2**40)
_lengths = st.integers(1, MAX_PATCH_BYTES)
_blobs = st.one_of(_digests, st.just(INLINE))
_steps = st.one_of(
    st.builds(Copy, _digests, _offsets),
    st.builds(Fetch, st.sampled_from(Codec), _blobs, _offsets, _lengths),
    st.builds(
        Patch,
        *(_digests, _offsets, st.integers(0, MAX_OUTPUT_BYTES)),
        *(_blobs, _offsets, _lengths),
    ),
    st.builds(Fill, st.integers(0, 255)),
)


@st.composite
def _recipe(draw: st.DrawFn) -> tuple[Segment, ...]:
    segments, end = [], 0
    for _ in range(draw(st.integers(0, 6))):
        first = end + draw(st.integers(0, 300))
        segments.append(Segment(first, draw(st.integers(1, 300)), draw(_steps)))
        end = segments[-1].end
    return tuple(segments)


@given(st.dictionaries(_digests, _recipe(), max_size=4))
def test_recipes_are_read_as_they_were_written(made: Recipes) -> None:
    counts = {each: 6 * 600 for each in made}
    data = encode_recipes(made)
    assert parse_recipes(data, counts) == made
    assert encode_recipes(parse_recipes(data, counts)) == data


def test_the_golden_recipes_are_read_and_written_byte_for_byte() -> None:
    data = bytes.fromhex(GOLDEN.read_text("ascii"))
    assert parse_recipes(data, COUNTS) == SMALL
    assert encode_recipes(SMALL) == data


def test_recipes_cut_short_anywhere_are_refused() -> None:
    data = encode_recipes(SMALL)
    for length in range(len(data)):
        with pytest.raises(ManifestError):
            parse_recipes(data[:length], COUNTS)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ManifestError, match="follow the end"):
        parse_recipes(encode_recipes(SMALL) + b"\0", COUNTS)


@given(st.integers(0, len(encode_recipes(SMALL)) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_other_recipes_or_none(position: int, flip: int) -> None:
    data = bytearray(encode_recipes(SMALL))
    data[position] ^= flip
    try:
        assert parse_recipes(bytes(data), COUNTS) != SMALL
    except ManifestError:
        return


@given(st.binary(max_size=300))
def test_whatever_follows_the_head_is_read_or_refused(noise: bytes) -> None:
    try:
        parse_recipes(MAGIC + bytes([VERSION]) + noise, COUNTS)
    except ManifestError:
        return


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version: int) -> None:
    data = bytearray(encode_recipes(SMALL))
    data[4] = version
    with pytest.raises(ManifestError, match=f"version {version} "):
        parse_recipes(bytes(data), COUNTS)


def test_another_format_is_refused() -> None:
    with pytest.raises(ManifestError, match="does not begin"):
        parse_recipes(b"BSAT" + encode_recipes(SMALL)[4:], COUNTS)


# --- what is not known, and what is wrong -------------------------------------------------------


def written(*segments: bytes, blobs: int = 2) -> bytes:
    """One recipe for FILE of segments in bytes; PACK is blob 1, BASE is blob 2."""
    table = bytes.fromhex(PACK) + bytes.fromhex(BASE)
    head = MAGIC + bytes([VERSION]) + encode_varint(blobs) + table
    body = b"\1" + bytes.fromhex(FILE) + encode_varint(len(segments))
    return head + body + b"".join(segments)


def segment(op: int, payload: bytes, *, gap: int = 0, count: int = 1) -> bytes:
    lengths = encode_varint(len(payload))
    return encode_varint(gap) + encode_varint(count) + bytes([op]) + lengths + payload


def span(ahead: int = 0, length: int = 10, blob: int = 1) -> bytes:
    return encode_varint(blob) + encode_zigzag(ahead) + encode_varint(length)


KNOWN = segment(4, b"\7")


def test_a_segment_of_an_unknown_step_is_left_out() -> None:
    data = written(KNOWN, segment(9, b"who knows", count=3), KNOWN)
    assert parse_recipes(data, COUNTS) == {FILE: (Segment(0, 1, Fill(7)), Segment(4, 1, Fill(7)))}


def test_a_segment_of_an_unknown_codec_is_left_out_and_its_span_counts() -> None:
    """What follows it in the pack is found where it lies."""
    zstd, later = bytes([Codec.ZSTD]), bytes([200])
    data = written(segment(2, zstd + span()), segment(2, later + span()), segment(2, zstd + span()))
    assert parse_recipes(data, COUNTS)[FILE] == (
        Segment(0, 1, Fetch(Codec.ZSTD, PACK, 0, 10)),
        Segment(2, 1, Fetch(Codec.ZSTD, PACK, 20, 10)),
    )


def test_a_segment_of_an_unknown_codec_may_say_more() -> None:
    data = written(segment(2, bytes([200]) + span() + b"more"), KNOWN)
    assert parse_recipes(data, COUNTS)[FILE] == (Segment(1, 1, Fill(7)),)


@pytest.mark.parametrize(
    "payload",
    [
        segment(1, b"\2\0" + b"!"),
        segment(2, b"\1" + span() + b"!"),
        segment(3, b"\2\0\0" + span() + b"!"),
        segment(4, b"\7!"),
    ],
    ids=["copy", "fetch", "patch", "fill"],
)
def test_a_known_step_that_says_more_is_refused(payload: bytes) -> None:
    with pytest.raises(ManifestError, match="follow the end"):
        parse_recipes(written(payload), COUNTS)


@pytest.mark.parametrize(
    "bad",
    [
        segment(4, b"\7", count=0),
        segment(4, b"\7", gap=30),
        segment(4, b"\7", count=31),
        segment(4, b""),
        segment(1, b"\0\0"),
        segment(1, b"\3\0"),
        segment(1, b"\2" + encode_varint(MAX_INTEGER + 1)),
        segment(2, b"\1" + span(blob=3)),
        segment(2, b"\1" + span(ahead=-1)),
        segment(2, b"\1" + span(length=0)),
        segment(2, b"\1" + span(length=MAX_PATCH_BYTES + 1)),
        segment(2, b"\1" + span(ahead=MAX_INTEGER + 1)),
        segment(2, b""),
        segment(2, bytes([200])),
        segment(3, b"\0\0\0" + span()),
        segment(3, b"\2\0" + encode_varint(MAX_OUTPUT_BYTES + 1) + span()),
        segment(9, bytes(257)),
    ],
    ids=[
        *("no blocks", "past the end", "too many", "no value"),
        *("copy of the guide", "copy of no blob", "copy beyond", "no such blob", "before the blob"),
        *("empty span", "span too long", "span beyond", "no codec", "unknown codec without a span"),
        *("base in the guide", "base too long", "payload too long"),
    ],
)
def test_a_segment_that_is_wrong_refuses_all(bad: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_recipes(written(KNOWN, bad), COUNTS)


def test_spans_that_leave_the_numbers_are_refused() -> None:
    far = span(ahead=MAX_INTEGER)
    with pytest.raises(ManifestError):
        parse_recipes(written(segment(2, b"\1" + far), segment(2, b"\1" + far)), COUNTS)


def test_a_file_without_a_map_is_one_block() -> None:
    assert parse_recipes(written(KNOWN), {})[FILE] == (Segment(0, 1, Fill(7)),)
    with pytest.raises(ManifestError):
        parse_recipes(written(KNOWN, KNOWN), {})


def test_two_recipes_for_a_file_are_refused() -> None:
    one = written(KNOWN)
    head, body = one[: 4 + 1 + 1 + 64], one[4 + 1 + 1 + 64 + 1 :]
    with pytest.raises(ManifestError, match="two recipes"):
        parse_recipes(head + b"\2" + body + body, COUNTS)


@pytest.mark.parametrize("count", [MAX_BLOBS, MAX_BLOBS + 1, 10**12])
@pytest.mark.parametrize("what", ["blobs", "recipes", "segments"])
def test_a_lying_count_costs_no_memory(what: str, count: int) -> None:
    head, number = MAGIC + bytes([VERSION]), encode_varint(count)
    data = {
        "blobs": head + number,
        "recipes": head + b"\0" + number,
        "segments": head + b"\0\1" + bytes(32) + number,
    }[what] + bytes(1000)
    tracemalloc.start()
    with pytest.raises(ManifestError):
        parse_recipes(data, {Digest("0" * 64): 4_000_000})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
