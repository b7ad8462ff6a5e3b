"""Which spans are asked for together."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.digest import Digest
from bitstation.core.ranges import (
    LEAST_REQUEST_BYTES,
    MAX_REQUEST_BYTES,
    coalesce,
    request_bytes,
)


class Wanted(NamedTuple):
    blob: Digest
    start: int
    end: int


A, B = Digest("a"), Digest("b")
_spans = st.builds(
    lambda blob, start, length: Wanted(blob, start, start + length),
    *(st.sampled_from([A, B]), st.integers(0, 300), st.integers(1, 90)),
)


@given(st.lists(_spans, max_size=30), st.integers(0, 40), st.integers(1, 120))
def test_all_spans_are_asked_for_once_and_in_order(
    spans: list[Wanted], gap_bytes: int, most_bytes: int
) -> None:
    runs = list(coalesce(spans, gap_bytes=gap_bytes, most_bytes=most_bytes))
    assert [span for run in runs for span in run] == spans
    for run in runs:
        assert len({span.blob for span in run}) == 1
        assert len(run) == 1 or run[-1].end - run[0].start <= most_bytes
        for before, after in itertools.pairwise(run):
            assert 0 <= after.start - before.end <= gap_bytes


@given(st.lists(_spans, max_size=30), st.integers(0, 40), st.integers(1, 120))
def test_neighbours_that_could_be_one_request_are(
    spans: list[Wanted], gap_bytes: int, most_bytes: int
) -> None:
    runs = list(coalesce(spans, gap_bytes=gap_bytes, most_bytes=most_bytes))
    for run, after in itertools.pairwise(runs):
        is_near = 0 <= after[0].start - run[-1].end <= gap_bytes
        fits = after[0].end - run[0].start <= most_bytes
        assert not (run[0].blob == after[0].blob and is_near and fits)


@pytest.mark.parametrize(
    ("spans", "runs"),
    [
        ([Wanted(A, 0, 10), Wanted(A, 10, 20)], 1),
        ([Wanted(A, 0, 10), Wanted(A, 15, 20)], 1),
        ([Wanted(A, 0, 10), Wanted(A, 16, 20)], 2),
        ([Wanted(A, 0, 10), Wanted(B, 10, 20)], 2),
        ([Wanted(A, 0, 10), Wanted(A, 9, 20)], 2),
        ([Wanted(A, 10, 20), Wanted(A, 0, 10)], 2),
        ([Wanted(A, 0, 500)], 1),
        ([Wanted(A, 0, 60), Wanted(A, 60, 101)], 2),
        ([], 0),
    ],
    ids=[
        *("neighbours", "a small gap", "a large gap", "another blob", "overlap", "backwards"),
        *("longer than a request", "together longer", "none"),
    ],
)
def test_what_is_one_request(spans: list[Wanted], runs: int) -> None:
    assert len(list(coalesce(spans, gap_bytes=5, most_bytes=100))) == runs


@given(st.integers(0, 2**50), st.integers(0, 64))
def test_requests_are_neither_tiny_nor_endless(total_bytes: int, connections: int) -> None:
    length = request_bytes(total_bytes, connections)
    assert LEAST_REQUEST_BYTES <= length <= MAX_REQUEST_BYTES
