"""Chunks of opaque files, cut by content: an insertion moves the cuts around it and no others.

FastCDC 2020 (doi 10.1109/TPDS.2020.2984632) as pyfastcdc and fastcdc-rs have it: 16 to 256 KiB,
about 77 KB on the mean of shared libraries. Measured there on the next versions of three wheels
(304 MB), in bytes to send with the rows of the map: 74.5 MB with these sizes, 76.7 with half, 79.6
with a quarter, 74.7 with double; on text and small changes (B of the benchmarks) 1.41, 1.32, 1.36
and 1.58 MB.

Only publishers cut: the offsets are published, so that no other version of this code must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bitstation.errors import MissingExtra

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

MIN_BYTES = 16 << 10
AVERAGE_BYTES = 64 << 10
MAX_BYTES = 256 << 10

SMALL_BYTES = 64 << 10
"""A file of at most this size is one chunk."""

WINDOW_BYTES = 16 << 20

# Chunk sizes nearer to the mean (1: 84 KB and 74.9 MB sent on those wheels, 3: 72 KB and 75.1).
_NORMALIZATION: Final = 2


class Stream(Protocol):
    """A file opened for reading bytes, at its start."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Number of bytes read; 0 at the end."""


class Window(NamedTuple):
    """Whole chunks that follow each other; ``data`` is valid until the next window is asked for."""

    data: memoryview
    lengths: list[int]


def cut_stream(stream: Stream) -> Iterator[Window]:
    """Chunks of a file, in order, in windows of up to 16 MiB; nothing for an empty one.

    Raises MissingExtra. Cost: 2.3 GB/s a thread, reading included; 16 MiB of memory.
    """
    cutter = _cutter()
    view = memoryview(bytearray(WINDOW_BYTES))
    held, is_first = 0, True
    while True:
        filled = _fill(stream, view, held)
        is_last = filled < len(view)
        lengths = _lengths(cutter, view[:filled], is_first=is_first, is_last=is_last)
        used = sum(lengths)
        if lengths:
            yield Window(view[:used], lengths)
        if is_last:
            return
        held, is_first = filled - used, False
        view[:held] = view[used:filled]


def chunk_lengths(data: bytes | bytearray | memoryview) -> list[int]:
    """Lengths of the chunks of a file in memory: the same cuts. Raises MissingExtra."""
    return _lengths(_cutter(), memoryview(data), is_first=True, is_last=True)


def _lengths(cutter: FastCDC, data: memoryview, *, is_first: bool, is_last: bool) -> list[int]:
    if is_first and is_last and len(data) <= SMALL_BYTES:
        return [len(data)] if data else []
    lengths = [chunk.length for chunk in cutter.cut_buf(data)]
    if not is_last:
        # The window's end cut the last one, not the content. No other: a chunk is found without a
        # look at what stands before it or after its end.
        lengths.pop()
    return lengths


def _fill(stream: Stream, view: memoryview, held: int) -> int:
    while held < len(view):
        count = stream.readinto(view[held:])
        if not count:
            break
        held += count
    return held


def _cutter() -> FastCDC:
    try:
        from pyfastcdc import FastCDC
    except ImportError as error:
        raise MissingExtra(
            command="cutting files into chunks", detail="pyfastcdc", extra="publish"
        ) from error
    return FastCDC(
        AVERAGE_BYTES,
        min_size=MIN_BYTES,
        max_size=MAX_BYTES,
        normalized_chunking=_NORMALIZATION,
    )
