"""Spans of a changed file of no known format that patches may pay for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bitstation.codec.zstd import patch_from
from bitstation.recipes.patching import Job, Side, pays
from bitstation.recipes.windows import plan_edges, plan_sample, plan_spans

SAMPLE_BYTES = 64 << 10
_LEVEL = 1


def plan_opaque(
    sides: tuple[Side, Side], new: Sequence[int], costs: Sequence[int], planes: Collection[int]
) -> Iterator[Job]:
    """Jobs for the ``new`` blocks (ascending) of a target and a base. Raises SourceError.

    ``planes``: blocks that hold raw weights, by the form that was found for them. Those that moved
    little are patched like all else. In others zstd finds nothing and takes more bytes than planes
    do, so that only the ends of what is new are worth a patch.
    """
    target, base = sides
    weights = [number for number in new if number in planes]
    if 2 * len(weights) > len(new) and not _sample_pays(sides, weights[len(weights) // 2], costs):
        spans = plan_edges(target.map, new, base.map)
    else:
        spans = plan_spans(target.map, new, base.map)
    for span in spans:
        yield Job(span, sum(costs[span.first : span.end]))


def _sample_pays(sides: tuple[Side, Side], number: int, costs: Sequence[int]) -> bool:
    target, base = sides
    span = plan_sample(target.map, number, base.map)
    length = target.map.lengths[number]
    size = min(SAMPLE_BYTES, length)
    data = target.reader.read(target.offsets.starts[number] + (length - size) // 2, size)
    start = base.offsets.starts[span.base_first]
    window = base.reader.read(start, base.offsets.length(span.base_first, span.base_end))
    return pays(len(patch_from(window, data, _LEVEL)), costs[number] * size // length)
