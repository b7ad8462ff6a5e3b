"""Spans for patches: all that is new is covered, nothing leaves its file, nothing is too large."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.codec.zstd import MAX_PATCH_BYTES, MAX_SIZE_BYTES
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest
from bitstation.recipes.windows import (
    PIECE_BYTES,
    Offsets,
    Span,
    fits,
    plan_edges,
    plan_sample,
    plan_spans,
    runs,
)

KIB, MIB = 1 << 10, 1 << 20
Blocks = Sequence[tuple[str, int]]


def mapped(blocks: Blocks) -> BlockMap:
    """A map of blocks that are told apart by a word."""
    digests = b"".join(hashlib.sha256(word.encode()).digest() for word, _ in blocks)
    lengths = tuple(length for _, length in blocks)
    return BlockMap(Digest("0" * 64), sum(lengths), Cut.CONTENT, lengths, digests)


def chunks(count: int, name: str = "c", length: int = 64 * KIB) -> list[tuple[str, int]]:
    return [(f"{name}{number}", length) for number in range(count)]


def lacking(target: BlockMap, base: BlockMap) -> list[int]:
    held = {base.digest(number) for number in range(len(base))}
    return [number for number in range(len(target)) if target.digest(number) not in held]


def check(spans: Sequence[Span], target: BlockMap, base: BlockMap) -> None:
    """What holds for any plan."""
    end = 0
    for span in spans:
        assert end <= span.first < span.end <= len(target)
        assert 0 <= span.base_first < span.base_end <= len(base)
        window = Offsets(base).length(span.base_first, span.base_end)
        output = Offsets(target).length(span.first, span.end)
        assert window <= MAX_SIZE_BYTES
        assert output <= MAX_SIZE_BYTES
        assert window + output <= MAX_PATCH_BYTES
        end = span.end


def plan(target: BlockMap, base: BlockMap) -> list[Span]:
    new = lacking(target, base)
    spans = list(plan_spans(target, new, base))
    check(spans, target, base)
    covered = {number for span in spans for number in range(span.first, span.end)}
    assert set(new) <= covered
    return spans


def test_a_file_that_changed_much_is_one_patch_over_all_of_its_base() -> None:
    base, target = mapped(chunks(40)), mapped([*chunks(30), *chunks(6, "new")])
    assert plan(target, base) == [Span(0, 36, 0, 40)]


def test_a_small_edit_is_patched_over_what_stands_between_its_neighbours() -> None:
    blocks = chunks(100)
    target = mapped([*blocks[:50], ("new", 70 * KIB), *blocks[51:]])
    assert plan(target, mapped(blocks)) == [Span(50, 51, 49, 52)]


def test_edits_near_each_other_are_one_patch_and_others_are_not() -> None:
    blocks = chunks(400)
    edited = list(blocks)
    for number in (50, 53, 200):
        edited[number] = (f"new{number}", 60 * KIB)
    assert [span[:2] for span in plan(mapped(edited), mapped(blocks))] == [(50, 54), (200, 201)]


def test_a_long_file_is_patched_in_pieces_around_their_places() -> None:
    base = mapped(chunks(2_000, "b", MIB))
    target = mapped(chunks(2_000, "t", MIB))
    spans = plan(target, base)
    assert all(Offsets(target).length(span.first, span.end) <= PIECE_BYTES for span in spans)
    assert len(spans) == -(-2_000 // 32)
    assert all(span.base_first <= span.first < span.end <= span.base_end for span in spans)


def test_windows_follow_what_moved() -> None:
    base = mapped(chunks(1_000, "b", MIB))
    moved = [*chunks(300, "ahead", MIB), *chunks(700, "b", MIB)]
    moved[600] = ("new", MIB)
    span = next(span for span in plan(mapped(moved), base) if span.first <= 600 < span.end)
    assert span.base_first <= 300 < span.base_end


def test_a_neighbour_that_stands_far_away_is_no_neighbour() -> None:
    """A file whose parts were put in another order: what lies between them may be all of it."""
    blocks = chunks(900, "b", MIB)
    target = mapped([*blocks[:5], ("new", MIB), *blocks[800:]])
    spans = plan(target, mapped(blocks))
    assert all(
        Offsets(mapped(blocks)).length(span.base_first, span.base_end) <= 20 * MIB for span in spans
    )


def test_the_ends_of_what_is_new_are_patched_alone() -> None:
    blocks = chunks(100)
    target = mapped([*blocks[:40], *chunks(20, "new"), *blocks[50:]])
    base = mapped(blocks)
    spans = list(plan_edges(target, lacking(target, base), base))
    check(spans, target, base)
    assert [span[:2] for span in spans] == [(40, 41), (58, 59), (59, 60)]
    assert {39, 40} <= set(range(spans[0].base_first, spans[0].base_end))
    assert {49, 50} <= set(range(spans[2].base_first, spans[2].base_end))
    assert plan_sample(target, 50, base).first == 50


@pytest.mark.parametrize("size", [1, 5 * MIB, 200 * MIB])
def test_a_file_that_is_one_block_too_long_ends_the_plan_somehow(size: int) -> None:
    """Where maps were left out: what is too large is refused by whoever makes the patch."""
    base, target = mapped([("b", size)]), mapped([("t", size)])
    assert list(plan_spans(target, [0], base))
    assert fits(size, size) == (size < 48 * MIB)


def test_runs() -> None:
    assert list(runs([])) == []
    assert list(runs([3])) == [(3, 4)]
    assert list(runs([0, 1, 2, 5, 7, 8])) == [(0, 3), (5, 6), (7, 9)]


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 6))
def test_any_two_files(seed: int, count: int, edits: int) -> None:
    rng = random.Random(seed)
    blocks = [(f"b{n}", rng.choice([1, 4_000, 70_000, 256 * KIB, MIB])) for n in range(count)]
    edited = list(blocks)
    for edit in range(edits):
        at = rng.randrange(len(edited))
        pieces = [(f"n{edit}.{n}", rng.randrange(1, MIB)) for n in range(rng.choice([0, 1, 90]))]
        moved = rng.sample(blocks, min(count, 20))
        edited[at : at + rng.choice([0, 1, 40])] = rng.choice([pieces, moved]) or pieces
        edited = edited or [("last", 5)]
    base, target = mapped(blocks), mapped(edited)
    plan(target, base)
    check(list(plan_edges(target, lacking(target, base), base)), target, base)
