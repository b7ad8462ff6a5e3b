"""What a bundle must hold: the bytes that a machine with the base would ask for, and no more."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bitstation.core.bundle import (
    MAX_SPANS,
    Needs,
    Span,
    joined,
    needs_beyond,
    needs_of_all,
    parse_member,
    span_member,
)
from bitstation.core.digest import Digest, digest_of
from bitstation.core.planning import Knowledge
from bitstation.core.ranges import GAP_BYTES
from bitstation.core.recipe import INLINE, Codec, Copy, Fetch, Fill, Patch, Segment
from bitstation.testing.mapped import Mapped, map_release
from bitstation.testing.releases import make_release

_RANDOM = random.Random(5)
BLOCK = 200_000
MODEL = _RANDOM.randbytes(20 * BLOCK)
PACK = digest_of(b"a pack")


def mapped(model: bytes, version: str, **files: bytes) -> Mapped:
    release = make_release({"m.bin": model, **files}, version)
    return map_release(release, block_bytes=BLOCK)


def edited(*blocks: int) -> bytes:
    data = bytearray(MODEL)
    for number in blocks:
        data[number * BLOCK : (number + 1) * BLOCK] = _RANDOM.randbytes(BLOCK)
    return bytes(data)


FIRST = mapped(MODEL, "1.0.0", small=b"small", gone=b"gone")


def needs(target: Mapped, recipes: dict[Digest, tuple[Segment, ...]] | None = None) -> Needs:
    known = Knowledge(target.atlas, recipes or {}, b"inline")
    return needs_beyond(FIRST.release.manifest, FIRST.atlas, target.release.manifest, known)


def test_a_whole_bundle_holds_every_content_once() -> None:
    twice = make_release({"a": b"1", "b": b"1", "c": b""}, "1.0.0")
    assert needs_of_all(twice.manifest).whole == {digest_of(b"1"): 1, digest_of(b""): 0}


def test_the_same_release_needs_nothing() -> None:
    assert needs(FIRST) == Needs()


def test_only_changed_blocks_are_needed_and_small_new_files_whole() -> None:
    target = mapped(edited(3, 4, 9), "1.1.0", small=b"small!", again=b"gone")
    assert needs(target) == Needs(
        {digest_of(b"small!"): 6},
        {target.digest("m.bin"): (Span(3 * BLOCK, 2 * BLOCK), Span(9 * BLOCK, BLOCK))},
    )


def test_a_file_without_a_map_is_needed_whole() -> None:
    data = edited(0)
    target = map_release(make_release({"m.bin": data}, "1.1.0"), block_bytes=len(data))
    assert needs(target) == Needs({digest_of(data): len(data)})


def test_what_recipes_make_is_not_needed_but_what_they_read() -> None:
    target = mapped(edited(3, 4, 5, 6, 7), "1.1.0")
    digest = target.digest("m.bin")
    recipe = (
        Segment(3, 1, Patch(digest_of(MODEL), 0, BLOCK, PACK, 500, 40)),
        Segment(4, 1, Fetch(Codec.ZSTD, PACK, 300_000, 77)),
        Segment(5, 1, Fill(0)),
        Segment(6, 1, Copy(digest_of(MODEL), 0)),
        Segment(7, 1, Fetch(Codec.ZSTD, INLINE, 0, 6)),
    )
    assert needs(target, {digest: recipe}) == Needs({}, {PACK: (Span(500, 40), Span(300_000, 77))})


def test_gaps_that_a_worker_reads_over_are_held_too() -> None:
    near = Needs({}, {PACK: (Span(0, 10), Span(10 + GAP_BYTES, 10), Span(3 * GAP_BYTES, 10))})
    assert joined([near]).spans[PACK] == (Span(0, GAP_BYTES + 20), Span(3 * GAP_BYTES, 10))


def test_a_blob_that_is_needed_whole_is_not_held_in_spans_too() -> None:
    one, other = Needs({PACK: 100}), Needs({}, {PACK: (Span(5, 5),)})
    assert joined([one, other]) == joined([other, one]) == Needs({PACK: 100})


spans = st.builds(Span, st.integers(0, 10**9), st.integers(1, 10**6))


@settings(deadline=None)
@given(st.lists(spans, min_size=1, max_size=50))
def test_united_spans_cover_all_and_never_touch(given_spans: list[Span]) -> None:
    found = joined([Needs({}, {PACK: tuple(given_spans)})]).spans[PACK]
    assert all(
        any(one.offset <= s.offset and s.end <= one.end for one in found) for s in given_spans
    )
    assert all(a.end + GAP_BYTES < b.offset for a, b in pairwise(found))
    edges = {s.offset for s in given_spans}, {s.end for s in given_spans}
    assert all(one.offset in edges[0] and one.end in edges[1] for one in found)


def test_their_number_is_bounded() -> None:
    many = tuple(Span(number * 10**6, 1) for number in range(10 * MAX_SPANS))
    found = joined([Needs({}, {PACK: many})]).spans[PACK]
    assert len(found) <= MAX_SPANS
    assert (found[0].offset, found[-1].end) == (0, many[-1].end)


@given(spans)
def test_names_say_what_they_hold(span: Span) -> None:
    inside = parse_member(span_member(PACK, span))
    assert inside is not None
    assert (inside.digest, inside.span) == (PACK, span)
