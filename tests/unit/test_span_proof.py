"""Spans are proved block by block, in whatever pieces they come."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstation.core.bundle import Span
from bitstation.errors import DigestMismatch
from bitstation.publisher.span_proof import SpanProof
from bitstation.testing.mapped import map_of

DATA = os.urandom(10_500)
MAP = map_of(DATA, 1000)


def feed(span: Span, data: bytes, step: int) -> None:
    proof = SpanProof(MAP, span, "a source")
    for at in range(span.offset, span.end, step):
        proof.take(memoryview(data)[at : min(at + step, span.end)])


@settings(deadline=None)
@given(st.integers(0, 10_499), st.integers(1, 10_500), st.integers(1, 3000), st.integers(0, 10_499))
def test_exactly_the_blocks_inside_are_proved(first: int, length: int, step: int, bad: int) -> None:
    span = Span(first, min(length, len(DATA) - first))
    feed(span, DATA, step)
    damaged = DATA[:bad] + bytes([DATA[bad] ^ 1]) + DATA[bad + 1 :]
    start = bad // 1000 * 1000
    is_inside = span.offset <= start and min(start + 1000, len(DATA)) <= span.end
    if not is_inside:
        feed(span, damaged, step)
        return
    with pytest.raises(DigestMismatch, match=f"the block at {start}"):
        feed(span, damaged, step)
