"""The cheapest way from what a machine holds to a release, decided from values alone.

Steps are weighed in seconds: bytes on the wire at the link's rate, or the time to make them here,
whichever is longer, for the two overlap. A plan never takes more bytes than the release's files
have, nor longer than they would as their publisher packed them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import BlockMap, encode_blockmap, whole_map
from bitstation.core.diff import deleted_paths
from bitstation.core.digest import EMPTY, Digest
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.plan import How, Plan, PlanEntry
from bitstation.core.recipe import (
    INLINE,
    MAX_OUTPUT_BYTES,
    MAX_PATCH_BYTES,
    Codec,
    Copy,
    Fetch,
    Fill,
    Patch,
    Recipes,
    Segment,
    Step,
)

Place = tuple[Digest, int]
"""A blob and an offset in it."""
Places = Mapping[bytes, Place]
"""Where a block (by its digest, 32 bytes) lies on this machine."""

LINK_BYTES_PER_S = 12_500_000
"""What one of ten workers that update at once gets of 1 Gbit/s: bytes weigh so much in a plan, for
sources of which nothing else is known. At the whole of it a patch of a library would lose against
packed blocks of four times its size, by milliseconds."""
LAN_BYTES_PER_S = 125_000_000
"""A network of 1 Gbit/s, to say how long a plan may take."""
LOCAL_BYTES_PER_S = 2_000_000_000

# What an update takes that does nothing, and what a disk writes and makes durable, by experience.
_START_S = 0.3
_WRITE_BYTES_PER_S = 500_000_000
# Measured, one thread: copies with hashing; byte planes; zstd; patches with the copy of their base.
_COPY_BYTES_PER_S = 1_000_000_000
_UNPACK_BYTES_PER_S = {
    Codec.ZSTD: 900_000_000,
    Codec.PLANES_2: 350_000_000,
    Codec.PLANES_4: 350_000_000,
}
_PATCH_BYTES_PER_S = 300_000_000


class Ground(msgspec.Struct, frozen=True):
    """What a machine stands on: contents that it holds whole, blocks that it has, its link.

    ``shared_from_bytes``: smallest size that a local copy shares on this volume instead of writing
    it again; None where the volume can share nothing. ``copied``: contents that are held but not
    shared whatever their size, as of an adopted file.
    """

    held: frozenset[Digest] = frozenset()
    places: dict[bytes, Place] = {}
    shared_from_bytes: int | None = None
    copied: frozenset[Digest] = frozenset()
    link_bytes_per_s: int = LINK_BYTES_PER_S


class Knowledge(msgspec.Struct, frozen=True):
    """What is known of a release beyond its manifest."""

    atlas: Atlas = Atlas()
    recipes: Recipes = {}
    inline: bytes = b""


NOTHING = Knowledge()


def plan_update(
    base: Manifest | None, target: Manifest, ground: Ground, known: Knowledge = NOTHING
) -> Plan:
    """Cheapest plan from what this machine holds to the target.

    Each content is fetched once; a second entry with the same content copies the first, and equal
    blocks of two new files are fetched for the first of them.
    """
    planner = _Planner(ground, known)
    entries = tuple(planner.entry(row) for row in target.entries)
    downloads = sum(entry.is_download for entry in entries)
    download_bytes = sum(entry.fetch_bytes for entry in entries)
    return Plan(
        tool_id=target.tool_id,
        from_version=base.tool_version if base else None,
        to_version=target.tool_version,
        manifest_hash=target.manifest_hash,
        entries=entries,
        deleted=deleted_paths(base, target),
        download_files=downloads,
        unchanged_files=len(entries) - downloads,
        download_bytes=download_bytes,
        reuse_bytes=sum(entry.reuse_bytes for entry in entries),
        total_bytes=target.total_bytes,
        write_bytes=sum(map(planner.write_bytes, entries)),
        inline=known.inline,
    )


def estimate_s(plan: Plan, link_bytes_per_s: float) -> float:
    """Seconds that a plan may take: its download, or its writing where that is longer."""
    written_s = plan.write_bytes / _WRITE_BYTES_PER_S
    return _START_S + max(plan.download_bytes / link_bytes_per_s, written_s)


def blocks_to_find(target: Manifest, held: Collection[Digest], atlas: Atlas) -> set[bytes]:
    """Digests of the blocks of files that are not held whole."""
    wanted: set[bytes] = set()
    for digest in {row.sha256 for row in target.entries} - set(held):
        if digest in atlas.maps:
            wanted.update(block.digest for block in atlas.maps[digest].blocks())
    return wanted


class _Planner:
    def __init__(self, ground: Ground, known: Knowledge) -> None:
        self._ground = ground
        self._known = known
        self._here = {*ground.held, EMPTY}
        self._places: dict[bytes, Place] = dict(ground.places)

    def entry(self, row: Entry) -> PlanEntry:
        if row.sha256 in self._here:
            return _planned(row, How.COPY)
        self._here.add(row.sha256)
        blockmap = self._map_of(row)
        segments = self._segments(row, blockmap) if blockmap else ()
        is_plain = all(_is_plain(segment.step) for segment in segments)
        if blockmap is None or (is_plain and len(blockmap) < 2):
            return _planned(row, How.FETCH, row.size)
        fetch_bytes = sum(_wire_bytes(segment.step) for segment in segments)
        if len(blockmap) > 1:
            self._remember(row.sha256, blockmap)
        encoded = b"" if len(blockmap) == 1 else encode_blockmap(blockmap)
        return _planned(row, How.BUILD, fetch_bytes, tuple(segments), encoded)

    def write_bytes(self, entry: PlanEntry) -> int:
        shared = self._ground.shared_from_bytes
        if entry.how is not How.COPY or entry.sha256 in self._ground.copied:
            return entry.size_bytes
        return 0 if shared is not None and entry.size_bytes >= shared else entry.size_bytes

    def _map_of(self, row: Entry) -> BlockMap | None:
        found = self._known.atlas.maps.get(row.sha256)
        if found is not None and found.size_bytes == row.size:
            return found
        has_recipe = row.sha256 in self._known.atlas.recipes or row.sha256 in self._known.recipes
        # A map has blocks of 1 MiB at most; without one, only a small file has a recipe.
        fits = 0 < row.size <= MAX_OUTPUT_BYTES
        return whole_map(row.sha256, row.size) if has_recipe and fits and not found else None

    def _segments(self, row: Entry, blockmap: BlockMap) -> Sequence[Segment]:
        choice = _Choice(row.sha256, blockmap, self._places, self._ground.link_bytes_per_s)
        choice.offer(self._known.atlas.recipes.get(row.sha256, ()), self._may_use)
        choice.offer(self._known.recipes.get(row.sha256, ()), self._may_use)
        return list(choice.segments())

    def _may_use(self, step: Step) -> bool:
        match step:
            case Copy():
                return step.blob in self._ground.held
            case Patch():
                end = step.offset + step.length
                is_whole = step.blob != INLINE or end <= len(self._known.inline)
                return step.base in self._ground.held and is_whole
            case Fetch() if step.blob == INLINE:
                return step.offset + step.length <= len(self._known.inline)
            case Fetch():
                # Raw bytes lie in the file's own blob, where no recipe is needed for them.
                return step.codec is not Codec.RAW
        return True

    def _remember(self, digest: Digest, blockmap: BlockMap) -> None:
        for block in blockmap.blocks():
            self._places.setdefault(block.digest, (digest, block.offset))


class _Taken(NamedTuple):
    """A segment of a recipe that was taken, and the seconds that it costs."""

    segment: Segment
    cost: float


class _Choice:
    """For each block of one file, the cheapest step that was found so far."""

    def __init__(
        self, digest: Digest, blockmap: BlockMap, places: Places, link_bytes_per_s: int
    ) -> None:
        self._digest = digest
        self._map = blockmap
        self._link = link_bytes_per_s
        self._taken: list[_Taken | None] = [None] * len(blockmap)
        self._plain: list[Step] = []
        costs: list[float] = []
        for block in blockmap.blocks():
            place = places.get(block.digest)
            if place is not None:
                self._plain.append(Copy(*place))
                costs.append(block.length / _COPY_BYTES_PER_S)
            else:
                self._plain.append(Fetch(Codec.RAW, digest, block.offset, block.length))
                costs.append(block.length / link_bytes_per_s)
        self._plain_costs = list(accumulate(costs, initial=0.0))

    def offer(self, recipe: Sequence[Segment], may_use: Callable[[Step], bool]) -> None:
        """Take the segments that are cheaper than what there is for their blocks.

        One that was taken is let go whole: its blocks that are left come plainly, at their price.
        """
        for segment in recipe:
            if segment.end > len(self._map) or not may_use(segment.step):
                continue
            size = sum(self._map.lengths[segment.first : segment.end])
            if not _is_bounded(segment.step, size):
                continue
            cost, ousted = _cost(segment.step, size, self._link), self._ousted(segment)
            without = sum(self._plain_cost(each.segment) for each in ousted)
            if cost + without < self._plain_cost(segment) + sum(each.cost for each in ousted):
                for each in ousted:
                    self._put(each.segment, None)
                self._put(segment, _Taken(segment, cost))

    def _ousted(self, segment: Segment) -> list[_Taken]:
        """What was taken for any of these blocks, each once."""
        found: list[_Taken] = []
        for taken in self._taken[segment.first : segment.end]:
            if taken is not None and not (found and found[-1] is taken):
                found.append(taken)
        return found

    def _plain_cost(self, segment: Segment) -> float:
        return self._plain_costs[segment.end] - self._plain_costs[segment.first]

    def _put(self, segment: Segment, taken: _Taken | None) -> None:
        self._taken[segment.first : segment.end] = [taken] * segment.count

    def segments(self) -> Iterator[Segment]:
        """Segments that cover the file, equal neighbours joined."""
        number = 0
        while number < len(self._map):
            taken = self._taken[number]
            segment = taken.segment if taken else self._run(number)
            yield segment
            number = segment.end

    def _run(self, first: int) -> Segment:
        """The longest run of blocks from ``first`` on that one plain step gives."""
        step, size = self._plain[first], self._map.lengths[first]
        number = first + 1
        while number < len(self._map) and self._taken[number] is None:
            longer = _joined(step, size, self._plain[number], self._map.lengths[number])
            if longer is None:
                break
            step, size = longer, size + self._map.lengths[number]
            number += 1
        return Segment(first, number - first, step)


def _joined(step: Step, size: int, after: Step, length: int) -> Step | None:
    """One step for two runs of blocks that follow each other, where it can be one."""
    match step, after:
        case Copy(), Copy() if step.blob == after.blob and step.offset + size == after.offset:
            return step
        case Fetch(), Fetch():
            return Fetch(Codec.RAW, step.blob, step.offset, step.length + length)
    return None


def _is_bounded(step: Step, size_bytes: int) -> bool:
    """Say whether a step keeps within the memory that a worker gives it, and can give so much."""
    match step:
        case Patch():
            return size_bytes + step.base_length <= MAX_PATCH_BYTES
        case Fetch(codec=Codec.RAW):
            return size_bytes == step.length
        case Fetch():
            return size_bytes <= MAX_OUTPUT_BYTES
    return True


def _cost(step: Step, size_bytes: int, link_bytes_per_s: int) -> float:
    """Seconds until the bytes are here."""
    match step:
        case Copy():
            return size_bytes / _COPY_BYTES_PER_S
        case Fetch():
            rate = _UNPACK_BYTES_PER_S.get(step.codec)
            return max(_link_s(step, link_bytes_per_s), size_bytes / rate if rate else 0)
        case Patch():
            made_s = (size_bytes + step.base_length / 4) / _PATCH_BYTES_PER_S
            return max(_link_s(step, link_bytes_per_s), made_s if step.length else 0)
        case Fill():
            return 0.0


def _link_s(step: Fetch | Patch, link_bytes_per_s: int) -> float:
    """Seconds on the link; what lies in the guide is here already."""
    return 0.0 if step.blob == INLINE else step.length / link_bytes_per_s


def _wire_bytes(step: Step) -> int:
    """Bytes that a source must give for a step."""
    return step.length if isinstance(step, Fetch | Patch) else 0


def _is_plain(step: Step) -> bool:
    return isinstance(step, Fetch) and step.codec is Codec.RAW and step.blob != INLINE


def _planned(
    row: Entry,
    how: How,
    fetch_bytes: int = 0,
    segments: tuple[Segment, ...] = (),
    encoded: bytes = b"",
) -> PlanEntry:
    return PlanEntry(
        row.path, row.sha256, row.size, row.executable, how, fetch_bytes, segments, encoded
    )
