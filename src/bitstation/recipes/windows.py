"""Which blocks of a file are worth a patch, over which blocks of its base: values only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from bitstation.codec.zstd import MAX_PATCH_BYTES, MAX_SIZE_BYTES
from bitstation.core.blockmap import DIGEST_BYTES, BlockMap

PIECE_BYTES = 32 << 20
"""Of the output of one patch where a file is too long to be one."""

_WINDOW_BYTES = 48 << 20
_MARGIN_BYTES = 8 << 20
_EDGE_MARGIN_BYTES = 1 << 20
# Runs with less between them are one: zstd finds what lies between for a few bytes.
_GAP_BYTES = 256 << 10
_WHOLE_SHARE = 8
# How far a neighbour may stand: with many runs and few neighbours the search would never end.
_LOOK_BLOCKS = 1024


class Span(NamedTuple):
    """Blocks of a file from ``first`` up to ``end``, and those of its base to make them from."""

    first: int
    end: int
    base_first: int
    base_end: int


class Offsets:
    """Where the blocks of a map lie; one offset more than there are blocks."""

    def __init__(self, blockmap: BlockMap) -> None:
        self.map = blockmap
        self.starts = [0, *accumulate(blockmap.lengths)]

    def length(self, first: int, end: int) -> int:
        """Bytes of a run of blocks."""
        return self.starts[end] - self.starts[first]

    def block_at(self, offset: int) -> int:
        """Number of the first block that begins at or after an offset."""
        return bisect_left(self.starts, offset)


def fits(base_bytes: int, output_bytes: int) -> bool:
    """Say whether a patch may be that large."""
    return (
        base_bytes <= MAX_SIZE_BYTES
        and output_bytes <= MAX_SIZE_BYTES
        and base_bytes + output_bytes <= MAX_PATCH_BYTES
    )


def _is_worth(base_bytes: int, output_bytes: int) -> bool:
    """Say whether a worker should read that much of a base for so much of a file."""
    return fits(base_bytes, output_bytes) and base_bytes <= 4 * output_bytes + _MARGIN_BYTES


def plan_spans(target: BlockMap, new: Sequence[int], base: BlockMap) -> Iterator[Span]:
    """Spans that hold all ``new`` blocks (ascending numbers) of an opaque file."""
    new_bytes = sum(target.lengths[number] for number in new)
    is_new = new_bytes * _WHOLE_SHARE > target.size_bytes
    if is_new and _is_worth(base.size_bytes, target.size_bytes):
        yield Span(0, len(target), 0, len(base))
        return
    windows = _Windows(Offsets(target), Offsets(base))
    for first, end in _runs(windows.target, new):
        yield from windows.spans(first, end)


def plan_edges(target: BlockMap, new: Sequence[int], base: BlockMap) -> Iterator[Span]:
    """Spans for the ``new`` blocks that may hold some of the base, where those between hold none.

    An edit rarely ends where a chunk does: the first chunk and the last two hold old bytes too.
    """
    windows = _Windows(Offsets(target), Offsets(base), _EDGE_MARGIN_BYTES)
    for first, end in runs(new):
        for number in sorted({first, max(first, end - 2), end - 1}):
            yield windows.around(number, first, end)


def plan_sample(target: BlockMap, number: int, base: BlockMap) -> Span:
    """A block, from what stands at its place in the base."""
    windows = _Windows(Offsets(target), Offsets(base), _EDGE_MARGIN_BYTES)
    return windows.around(number, number, number + 1)


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs (first, end)."""
    first = end = -1
    for number in numbers:
        if number != end:
            if end > first:
                yield first, end
            first = number
        end = number + 1
    if end > first:
        yield first, end


def _runs(target: Offsets, new: Sequence[int]) -> Iterator[tuple[int, int]]:
    held: tuple[int, int] | None = None
    for first, end in runs(new):
        if held and target.length(held[1], first) <= _GAP_BYTES:
            held = held[0], end
        else:
            if held:
                yield held
            held = first, end
    if held:
        yield held


class _Windows:
    """Windows of a base by the blocks that stand in both files beside what is new."""

    def __init__(self, target: Offsets, base: Offsets, margin_bytes: int = _MARGIN_BYTES) -> None:
        self.target = target
        self._base = base
        self._margin_bytes = margin_bytes
        places: dict[bytes, int] = {}
        for number in range(len(base.map)):
            # Of a block that stands twice neither place says anything.
            digest = base.map.digest(number)
            places[digest] = -1 if digest in places else number
        digests = target.map.digests
        self._places = [
            places.get(digests[at : at + DIGEST_BYTES], -1)
            for at in range(0, len(digests), DIGEST_BYTES)
        ]

    def spans(self, first: int, end: int) -> Iterator[Span]:
        """One span, or several where the run is long."""
        before, after = self._neighbours(first, end)
        between = self._between(before, after)
        if between and self._is_near(between, self.target.length(first, end)):
            yield Span(first, end, *between)
            return
        while first < end:
            limit = self.target.starts[first] + PIECE_BYTES
            stop = min(end, max(first + 1, self.target.block_at(limit + 1) - 1))
            yield Span(first, stop, *self._around(first, stop, before, after))
            first = stop

    def around(self, number: int, first: int, end: int) -> Span:
        """One block of the run from ``first`` to ``end``, from what stands near its nearer end."""
        before, after = self._neighbours(first, end)
        is_late = 2 * number >= first + end
        nearer = (None, after) if is_late and after is not None else (before, after)
        return Span(number, number + 1, *self._around(number, number + 1, *nearer))

    def _neighbours(self, first: int, end: int) -> tuple[int | None, int | None]:
        """The nearest blocks before and after a run that the base has, once, too."""
        ahead = range(first - 1, max(first - _LOOK_BLOCKS, 0) - 1, -1)
        behind = range(end, min(end + _LOOK_BLOCKS, len(self._places)))
        return (
            next((number for number in ahead if self._places[number] >= 0), None),
            next((number for number in behind if self._places[number] >= 0), None),
        )

    def _is_near(self, between: tuple[int, int], output_bytes: int) -> bool:
        """Say whether neighbours are no farther apart in the base than may be of use."""
        return _is_worth(self._base.length(*between), output_bytes)

    def _between(self, before: int | None, after: int | None) -> tuple[int, int] | None:
        """Base blocks from the one neighbour to the other, both included: they give context."""
        if before is None and after is None:
            return None
        low = 0 if before is None else self._places[before]
        high = len(self._base.map) if after is None else self._places[after] + 1
        return (low, high) if low < high else None

    def _around(
        self, first: int, end: int, before: int | None, after: int | None
    ) -> tuple[int, int]:
        """Base blocks around where these would stand if nothing else had moved."""
        start = self.target.starts[first] + self._shift(first, before, after)
        length = self.target.length(first, end)
        base, size = self._base, self._base.map.size_bytes
        window = min(_WINDOW_BYTES, length + 2 * self._margin_bytes)
        low = max(0, min(start - (window - length) // 2, size - window))
        base_first = min(base.block_at(low), len(base.map) - 1)
        base_end = base.block_at(min(size, low + window))
        while base_end > base_first + 1 and base.length(base_first, base_end) > _WINDOW_BYTES:
            base_end -= 1
        return base_first, max(base_end, base_first + 1)

    def _shift(self, first: int, before: int | None, after: int | None) -> int:
        for neighbour in (before, after):
            if neighbour is not None:
                return self._base.starts[self._places[neighbour]] - self.target.starts[neighbour]
        start, size = self.target.starts[first], self.target.map.size_bytes
        return start * self._base.map.size_bytes // max(size, 1) - start
