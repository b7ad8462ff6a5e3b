"""Spans of a changed model that patches may pay for: its header, and tensors that moved little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bitstation.codec.zstd import patch_from
from bitstation.models.cutting import cut_model
from bitstation.models.layout import Layout, SpanKind
from bitstation.models.layout import Span as ModelSpan
from bitstation.recipes.patching import Job, Side, pays
from bitstation.recipes.windows import Span, fits, runs

SEGMENT_BLOCKS = 8
"""Of one patch of a tensor: 8 MiB, so that a damaged base costs a worker no more."""

SAMPLE_BYTES = 64 << 10

LEVEL = 1
"""Of patches of tensors: weights that moved little are as long at level 9, which takes 5 times as
long (1.4 % of bf16 with noise of 1e-3, at 140 MiB/s a thread)."""


class _Tensor(NamedTuple):
    first: int
    end: int
    dtype: str


class ModelSide(NamedTuple):
    """A model of the target or of the base."""

    side: Side
    layout: Layout

    @property
    def head_end(self) -> int:
        """Number of the first block of a tensor."""
        return next(
            (n for n, span in enumerate(self._spans()) if span.kind is SpanKind.TENSOR),
            len(self.side.map),
        )

    def follows_layout(self) -> bool:
        """Say whether the map was cut as this layout says."""
        lengths = [block.length for block in cut_model(self.layout)]
        return lengths == list(self.side.map.lengths)

    def tensors(self) -> dict[str, _Tensor]:
        """Blocks and dtype of each tensor by its name."""
        found: dict[str, _Tensor] = {}
        for number, block in enumerate(cut_model(self.layout)):
            span = self.layout.spans[block.span]
            if span.kind is SpanKind.TENSOR:
                first = found[span.name].first if span.name in found else number
                found[span.name] = _Tensor(first, number + 1, span.dtype)
        return found

    def _spans(self) -> Iterator[ModelSpan]:
        return (self.layout.spans[block.span] for block in cut_model(self.layout))


def plan_model(
    target: ModelSide, base: ModelSide, new: Sequence[int], costs: Sequence[int]
) -> Iterator[Job]:
    """Jobs for the ``new`` blocks (ascending). Raises SourceError.

    Cost: of each changed tensor that the base has too, a sample of 64 KiB is read and tried.
    """
    yield from _head_jobs(target, base, new, costs)
    is_new = set(new)
    bases = base.tensors()
    for name, tensor in target.tensors().items():
        other = bases.get(name)
        wanted = [number for number in range(tensor.first, tensor.end) if number in is_new]
        if not wanted or other is None or other.dtype != tensor.dtype:
            continue
        shift = other.first - tensor.first
        wanted = [number for number in wanted if number + shift < other.end]
        if wanted and _sample_pays(target.side, base.side, wanted[0], shift, costs[wanted[0]]):
            for first, end in _pieces(wanted):
                span = Span(first, end, first + shift, min(end + shift, other.end))
                yield Job(span, sum(costs[first:end]), LEVEL)


def _head_jobs(
    target: ModelSide, base: ModelSide, new: Sequence[int], costs: Sequence[int]
) -> Iterator[Job]:
    head, base_head = target.head_end, base.head_end
    base_bytes = base.side.offsets.length(0, base_head)
    for first, end in runs([number for number in new if number < head]):
        if fits(base_bytes, target.side.offsets.length(first, end)):
            yield Job(Span(first, end, 0, base_head), sum(costs[first:end]))


def _pieces(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    for first, end in runs(numbers):
        for start in range(first, end, SEGMENT_BLOCKS):
            yield start, min(start + SEGMENT_BLOCKS, end)


def _sample_pays(target: Side, base: Side, number: int, shift: int, cost_bytes: int) -> bool:
    """Try the middle of one block over the same place in the base."""
    length = target.map.lengths[number]
    size = min(SAMPLE_BYTES, length)
    middle = (length - size) // 2 & -16
    base_start = base.offsets.starts[number + shift] + middle
    base_size = min(size, base.map.size_bytes - base_start)
    data = target.reader.read(target.offsets.starts[number] + middle, size)
    window = base.reader.read(base_start, base_size)
    return pays(len(patch_from(window, data, LEVEL)), cost_bytes * size // length)
