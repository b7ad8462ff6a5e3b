"""Spans that are asked for together: eight bytes each (blob, gap or overlap, length)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import NamedTuple

from bitstation.core.digest import Digest, digest_of
from bitstation.core.ranges import (
    GAP_BYTES,
    LEAST_REQUEST_BYTES,
    MAX_REQUEST_BYTES,
    coalesce,
    request_bytes,
)

_BLOBS = [digest_of(bytes([number])) for number in range(2)]


class _Span(NamedTuple):
    blob: Digest
    start: int
    end: int


def check(data: bytes) -> bool:
    """Every span is in one run, in order; a run is one stretch of one blob within its bounds."""
    spans, end = [], 0
    for which, ahead, length in struct.iter_unpack("<BhI", data[: len(data) // 7 * 7]):
        start = max(0, end + ahead)
        end = start + length % (MAX_REQUEST_BYTES * 2)
        spans.append(_Span(_BLOBS[which & 1], start, end))
    runs = list(coalesce(spans))
    assert [span for run in runs for span in run] == spans
    for run in runs:
        assert len({span.blob for span in run}) == 1
        assert len(run) == 1 or run[-1].end - run[0].start <= MAX_REQUEST_BYTES
        for one, other in pairwise(run):
            assert 0 <= other.start - one.end <= GAP_BYTES
    share = request_bytes(end, len(spans))
    assert LEAST_REQUEST_BYTES <= share <= MAX_REQUEST_BYTES
    return len(runs) < len(spans)
