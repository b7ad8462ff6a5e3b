"""Which spans of a blob are asked for together: a gap is read over where that costs less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from bitstation.core.digest import Digest

GAP_BYTES = 16 * 1024
"""A request costs about half a millisecond on a LAN, as much as 60 kB at 1 Gbit/s; but bytes that
nobody wants cost others too, and links are slower than that."""

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Beyond it another connection can do a part as well, and a broken one costs more."""

LEAST_REQUEST_BYTES = 1024 * 1024


class Span(Protocol):
    """Bytes of a blob that somebody wants."""

    @property
    def blob(self) -> Digest:
        """The blob."""

    @property
    def start(self) -> int:
        """Offset of the first byte."""

    @property
    def end(self) -> int:
        """Offset behind the last byte."""


S = TypeVar("S", bound=Span)


def coalesce(
    spans: Iterable[S], *, gap_bytes: int = GAP_BYTES, most_bytes: int = MAX_REQUEST_BYTES
) -> Iterator[list[S]]:
    """Spans in runs of neighbours, each one request; the order of runs is that of the spans.

    A run grows while the next span lies in the same blob, behind it, at most ``gap_bytes`` away,
    and the run is not longer than ``most_bytes``; a single longer span is a run.
    """
    run: list[S] = []
    for span in spans:
        if run and not _joins(run, span, gap_bytes, most_bytes):
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _joins(run: list[S], span: S, gap_bytes: int, most_bytes: int) -> bool:
    gap = span.start - run[-1].end
    fits = span.end - run[0].start <= most_bytes
    return span.blob == run[-1].blob and 0 <= gap <= gap_bytes and fits


def request_bytes(total_bytes: int, connections: int) -> int:
    """Length of requests that keeps all connections busy to the end of ``total_bytes``."""
    share = total_bytes // max(1, 4 * connections)
    return max(LEAST_REQUEST_BYTES, min(MAX_REQUEST_BYTES, share))
