"""Patches from one base to a release, over all of its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import NamedTuple

from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.manifest import Entry
from bitstation.core.recipe import Codec, Fetch, Fill, Segment
from bitstation.errors import IntegrityError, SourceError
from bitstation.recipes.cutting import layout_of
from bitstation.recipes.known import is_unmapped
from bitstation.recipes.model_spans import ModelSide, plan_model
from bitstation.recipes.opaque_spans import plan_opaque
from bitstation.recipes.pairing import Pairs
from bitstation.recipes.patching import Job, Patcher, Side
from bitstation.recipes.reading import BlobReader
from bitstation.recipes.windows import Offsets
from bitstation.transport.source import Source

REQUEST_BYTES = 450
"""Heads of a request and its answer, as nginx and HQ send them."""

_SMALL_BYTES = 4096
_PLANES = (Codec.PLANES_2, Codec.PLANES_4)


class TargetFile(NamedTuple):
    """A file of the release: its blocks, and its segments that need no base."""

    entry: Entry
    map: BlockMap
    segments: Sequence[Segment]


def block_costs(target: TargetFile, pairs: Pairs) -> list[int]:
    """Bytes that each block costs whoever holds the base, without a patch.

    Of a frame it costs its share, whatever else of the frame is needed.
    """
    costs = list(target.map.lengths)
    for segment in target.segments:
        lengths = target.map.lengths[segment.first : segment.end]
        if isinstance(segment.step, Fill):
            costs[segment.first : segment.end] = [0] * segment.count
        elif isinstance(segment.step, Fetch):
            packed, total = segment.step.length, sum(lengths)
            costs[segment.first : segment.end] = [packed * each // total for each in lengths]
    if is_small(target):
        costs[0] += REQUEST_BYTES
    for number in range(len(costs)):
        if target.map.digest(number) in pairs.digests:
            costs[number] = 0
    return costs


def is_small(target: TargetFile) -> bool:
    """Say whether a file is worth a place beside the patches: a request costs more than it."""
    return len(target.map) == 1 and target.entry.size <= _SMALL_BYTES


def add_small(target: TargetFile, blobs: Source, pairs: Pairs, patcher: Patcher) -> None:
    """Let a small new file that has no patch travel with the patches. Raises UpdateCancelled."""
    if not is_small(target) or not pairs.new_blocks(target.map):
        return
    with (
        suppress(SourceError),
        closing(BlobReader(blobs, target.entry.sha256, target.entry.size)) as reader,
    ):
        patcher.add_file(target.map, reader.read(0, target.entry.size))


def patch_file(target: TargetFile, blobs: Source, pairs: Pairs, patcher: Patcher) -> None:
    """Add the patches that may pay for one file. Raises UpdateCancelled.

    A base that cannot be read gives no patches: the release is as good without.
    """
    new = pairs.new_blocks(target.map)
    other = pairs.find(target.entry, target.map) if new else None
    if other is None or is_unmapped(target.map):
        return
    costs = block_costs(target, pairs)
    with (
        closing(BlobReader(blobs, target.entry.sha256, target.entry.size)) as reader,
        closing(BlobReader(pairs.base.blobs, other.sha256, other.size)) as base_reader,
    ):
        sides = (
            Side(Offsets(target.map), reader),
            Side(Offsets(pairs.base.map_of(other)), base_reader),
        )
        with suppress(SourceError, IntegrityError):
            for job in _jobs(target, other, sides, new, costs):
                patcher.add(*sides, job)


def _jobs(
    target: TargetFile, other: Entry, sides: tuple[Side, Side], new: Sequence[int], costs: list[int]
) -> Iterator[Job]:
    models = _model(target.entry, sides[0]), _model(other, sides[1])
    if models[0] and models[1]:
        return plan_model(models[0], models[1], new, costs)
    planes = {
        number
        for segment in target.segments
        if isinstance(segment.step, Fetch) and segment.step.codec in _PLANES
        for number in range(segment.first, segment.end)
    }
    return plan_opaque(sides, new, costs, planes)


def _model(entry: Entry, side: Side) -> ModelSide | None:
    if side.map.cut is not Cut.TENSORS:
        return None
    layout = layout_of(entry, side.reader)
    model = ModelSide(side, layout) if layout else None
    return model if model and model.follows_layout() else None
