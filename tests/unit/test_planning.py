"""The planner: whatever it is told, a plan covers each file and is no dearer than need be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import MAX_BLOCK_BYTES, BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.plan import How, Plan, PlanEntry, parse_plan
from bitstation.core.planning import (
    LINK_BYTES_PER_S,
    LOCAL_BYTES_PER_S,
    Ground,
    Knowledge,
    blocks_to_find,
    plan_update,
)
from bitstation.core.recipe import (
    INLINE,
    MAX_OUTPUT_BYTES,
    MAX_PATCH_BYTES,
    Codec,
    Copy,
    Fetch,
    Fill,
    Patch,
    Recipe,
    Segment,
    Step,
)
from bitstation.testing.mapped import Mapped, map_of
from bitstation.testing.releases import make_release

BLOCKS = [bytes([number]) * (number + 3) for number in range(8)]
HELD, UNKNOWN, PACK = (digest_of(name) for name in (b"held", b"unknown", b"pack"))
KNOWN_INLINE = bytes(50)

Files = Mapping[str, Sequence[int]]
"""By path, the numbers of the blocks that a file is made of."""


def mapped(files: Files) -> Mapped:
    """Release whose files are made of BLOCKS, with maps of those that have two blocks or more."""
    contents = {path: b"".join(BLOCKS[each] for each in numbers) for path, numbers in files.items()}
    maps: dict[Digest, BlockMap] = {}
    for path, numbers in files.items():
        blocks = [BLOCKS[each] for each in numbers]
        digests = b"".join(bytes.fromhex(digest_of(block)) for block in blocks)
        found = BlockMap(
            *(digest_of(contents[path]), len(contents[path]), Cut.CONTENT),
            *(tuple(map(len, blocks)), digests),
        )
        if len(numbers) > 1:
            maps[found.file_digest] = found
    return Mapped(make_release(contents), Atlas(maps))


def place_of(number: int) -> dict[bytes, tuple[Digest, int]]:
    return {bytes.fromhex(digest_of(BLOCKS[number])): (HELD, 100 * number)}


_files = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.lists(st.integers(0, 7), max_size=9), min_size=1
)
_blobs = st.sampled_from([HELD, UNKNOWN, PACK, INLINE])
_spans = (_blobs, st.integers(0, 60), st.integers(1, 60))
_over_a_base = st.one_of(
    st.builds(Copy, st.sampled_from([HELD, UNKNOWN]), st.integers(0, 10)),
    st.builds(Patch, st.sampled_from([HELD, UNKNOWN]), st.just(0), st.integers(0, 9), *_spans),
    st.builds(Fill, st.integers(0, 255)),
)
_any_step = st.one_of(_over_a_base, st.builds(Fetch, st.sampled_from(Codec), *_spans))


@st.composite
def _recipe(draw: st.DrawFn, steps: st.SearchStrategy[Step]) -> Recipe:
    segments, end = [], 0
    for _ in range(draw(st.integers(0, 5))):
        first = end + draw(st.integers(0, 2))
        segments.append(Segment(first, draw(st.integers(1, 5)), draw(steps)))
        end = segments[-1].end
    return tuple(segments)


class Case(msgspec.Struct, frozen=True):
    """All that a plan is made of."""

    target: Mapped
    ground: Ground
    known: Knowledge

    @property
    def plan(self) -> Plan:
        return plan_update(None, self.target.release.manifest, self.ground, self.known)


@st.composite
def _case(draw: st.DrawFn, in_guide: st.SearchStrategy[Step] = _any_step) -> Case:
    """Files with a random ground and random recipes, which may be nonsense."""
    target = mapped(draw(_files))
    digests = sorted(target.release.blobs)
    held = draw(st.sets(st.sampled_from(digests))) if draw(st.booleans()) else set()
    places: dict[bytes, tuple[Digest, int]] = {}
    for number in draw(st.sets(st.integers(0, 7))):
        places |= place_of(number)
    ground = Ground(
        frozenset({HELD, *held}),
        places,
        draw(st.sampled_from([None, 10])),
        link_bytes_per_s=draw(st.sampled_from([LINK_BYTES_PER_S, LOCAL_BYTES_PER_S])),
    )
    packed = {digest: draw(_recipe(_any_step)) for digest in digests}
    made = {digest: draw(_recipe(in_guide)) for digest in digests}
    atlas = msgspec.structs.replace(target.atlas, recipes=packed)
    return Case(target, ground, Knowledge(atlas, made, KNOWN_INLINE))


def steps_of(plan: Plan) -> list[tuple[PlanEntry, Segment]]:
    return [(entry, segment) for entry in plan.entries for segment in entry.segments]


# --- whatever comes -----------------------------------------------------------------------------


@given(_case())
def test_segments_cover_each_file_once_and_in_order(case: Case) -> None:
    plan = case.plan
    rows = [(each.path, each.sha256, each.size) for each in case.target.release.manifest.entries]
    assert [(each.path, each.sha256, each.size_bytes) for each in plan.entries] == rows
    for entry in plan.entries:
        if entry.how is How.BUILD:
            end = 0
            for segment in entry.segments:
                assert (segment.first, segment.count > 0) == (end, True)
                end = segment.end
            assert end == len(entry.blockmap)
        else:
            assert entry.segments == ()


@given(_case())
def test_a_plan_is_read_as_it_was_written(case: Case) -> None:
    plan = case.plan
    assert parse_plan(plan.encode(), "plan") == plan


@given(_case())
def test_no_more_is_fetched_than_the_files_are_long(case: Case) -> None:
    plan = case.plan
    blobs = case.target.release.blobs
    # What lies in the guide is here already; of a file of 3 bytes it is longer than the file.
    assert plan.download_bytes - inline_bytes(plan.entries) <= sum(map(len, blobs.values()))
    for entry in plan.entries:
        assert entry.fetch_bytes >= 0
        assert entry.fetch_bytes - inline_bytes([entry]) <= entry.size_bytes
    assert plan.download_bytes == sum(entry.fetch_bytes for entry in plan.entries)
    assert plan.download_files + plan.unchanged_files == len(plan.entries)
    assert 0 <= plan.reuse_bytes <= plan.total_bytes
    assert 0 <= plan.write_bytes <= plan.total_bytes


@given(_case())
def test_only_steps_that_can_be_done_are_taken(case: Case) -> None:
    for entry, segment in steps_of(case.plan):
        step = segment.step
        earlier = {each.sha256 for each in case.plan.entries[: case.plan.entries.index(entry)]}
        if isinstance(step, Copy):
            assert step.blob in case.ground.held | earlier
        elif isinstance(step, Patch):
            assert step.base in case.ground.held
        if isinstance(step, Fetch | Patch) and step.blob == INLINE:
            assert step.offset + step.length <= len(KNOWN_INLINE)


@given(_case())
def test_what_is_held_is_not_fetched(case: Case) -> None:
    for entry in case.plan.entries:
        if entry.sha256 in case.ground.held:
            assert entry.how is How.COPY
    for entry, segment in steps_of(case.plan):
        blockmap = entry.blockmap
        numbers = range(segment.first, segment.end)
        if isinstance(segment.step, Fetch) and segment.step.codec is Codec.RAW:
            is_inline = segment.step.blob == INLINE
            assert is_inline or not any(
                blockmap.digest(number) in case.ground.places for number in numbers
            )


@given(_case())
def test_each_content_is_fetched_once(case: Case) -> None:
    fetched = [each.sha256 for each in case.plan.entries if each.how is not How.COPY]
    assert len(fetched) == len(set(fetched))


@given(_files)
def test_a_block_of_two_files_is_fetched_for_the_first_of_them(files: Files) -> None:
    """Of files that have two blocks or more; one that is a single block has no map."""
    target = mapped(files)
    plan = plan_update(None, target.release.manifest, Ground(), Knowledge(target.atlas))
    seen: set[bytes] = set()
    for entry in plan.entries:
        mine = set()
        for segment in entry.segments:
            digests = {entry.blockmap.digest(each) for each in range(segment.first, segment.end)}
            if isinstance(segment.step, Fetch):
                assert not digests & seen
            mine |= digests
        seen |= mine


# --- never dearer -------------------------------------------------------------------------------


def packed_recipe(target: Mapped) -> dict[Digest, Recipe]:
    """Packs of three blocks each, of half the size: over a wire they win and are bound by it."""
    recipes: dict[Digest, Recipe] = {}
    for digest, blockmap in target.atlas.maps.items():
        segments = []
        for first in range(0, len(blockmap), 3):
            count = min(3, len(blockmap) - first)
            size = sum(blockmap.lengths[first : first + count])
            segments.append(Segment(first, count, Fetch(Codec.ZSTD, PACK, 0, (size + 1) // 2)))
        recipes[digest] = tuple(segments)
    return recipes


@given(_case(in_guide=_over_a_base))
def test_no_more_is_fetched_than_the_publisher_packed(case: Case) -> None:
    """However steps over a base lie across the packs, and whatever is held."""
    ground = msgspec.structs.replace(case.ground, link_bytes_per_s=LINK_BYTES_PER_S)
    atlas = msgspec.structs.replace(case.target.atlas, recipes=packed_recipe(case.target))
    manifest = case.target.release.manifest
    packed = plan_update(None, manifest, Ground(), Knowledge(atlas))
    known = Knowledge(atlas, case.known.recipes, KNOWN_INLINE)
    # What lies in the guide is here already, used or not.
    plan = plan_update(None, manifest, ground, known)
    assert plan.download_bytes - inline_bytes(plan.entries) <= packed.download_bytes


def inline_bytes(entries: Iterable[PlanEntry]) -> int:
    """Bytes of the guide that are used for entries."""
    steps = (each.step for entry in entries for each in entry.segments)
    return sum(step.length for step in steps if getattr(step, "blob", None) == INLINE)


LONG = mapped({"m": [1, 2, 3, 4, 5, 6, 7, 0] * 4})
LONG_DIGEST = LONG.digest("m")


def plan_of(*in_guide: Segment, in_atlas: Recipe = (), ground: Ground | None = None) -> PlanEntry:
    """The plan's entry for the long file."""
    atlas = msgspec.structs.replace(LONG.atlas, recipes={LONG_DIGEST: in_atlas})
    known = Knowledge(atlas, {LONG_DIGEST: in_guide}, KNOWN_INLINE)
    ground = ground or Ground(frozenset({HELD}))
    return plan_update(None, LONG.release.manifest, ground, known).entries[0]


def test_a_step_that_ousts_a_large_one_for_a_small_gain_is_not_taken() -> None:
    """Its own blocks would come cheaper, but the other blocks of the large one plainly."""
    whole = Segment(0, 31, Fetch(Codec.ZSTD, PACK, 0, 5))
    small = Segment(30, 2, Copy(HELD, 0))
    entry = plan_of(small, in_atlas=(whole,))
    assert entry.segments[0] == whole
    assert entry.fetch_bytes == 5 + entry.blockmap.lengths[31]


def test_a_step_that_ousts_others_for_a_large_gain_is_taken() -> None:
    packs = tuple(Segment(first, 4, Fetch(Codec.ZSTD, PACK, 0, 25)) for first in range(0, 32, 4))
    made = Segment(1, 31, Copy(HELD, 0))
    entry = plan_of(made, in_atlas=packs)
    first = Segment(0, 1, Fetch(Codec.RAW, LONG_DIGEST, 0, 4))
    assert entry.segments == (first, made)
    assert entry.fetch_bytes == 4


@pytest.mark.parametrize(
    "bad",
    [
        Segment(0, 8, Copy(UNKNOWN, 0)),
        Segment(0, 8, Patch(UNKNOWN, 0, 10, PACK, 0, 1)),
        Segment(0, 8, Patch(HELD, 0, 10, INLINE, 45, 6)),
        Segment(0, 8, Fetch(Codec.ZSTD, INLINE, 50, 1)),
        Segment(0, 8, Patch(HELD, 0, MAX_PATCH_BYTES, PACK, 0, 1)),
        Segment(0, 33, Fill(0)),
        Segment(32, 1, Fill(0)),
        Segment(0, 8, Fetch(Codec.RAW, PACK, 0, 1)),
        Segment(0, 8, Fetch(Codec.RAW, INLINE, 0, 1)),
        Segment(0, 8, Fetch(Codec.ZSTD, PACK, 0, 10_000)),
    ],
    ids=[
        *("copy of what is not held", "base not held", "inline too short", "inline past its end"),
        *("base too long", "too many blocks", "past the map", "raw of another length"),
        *("raw inline of another length", "longer than the blocks"),
    ],
)
def test_a_step_that_cannot_be_done_is_not_taken(bad: Segment) -> None:
    for entry in (plan_of(bad), plan_of(in_atlas=(bad,))):
        assert entry.segments == (
            Segment(0, 32, Fetch(Codec.RAW, LONG_DIGEST, 0, entry.size_bytes)),
        )


@pytest.mark.parametrize(
    ("step", "is_taken"),
    [
        (Fetch(Codec.ZSTD, PACK, 0, 9), False),
        (Patch(HELD, 0, 9, PACK, 0, 9), False),
        (Copy(HELD, 0), True),
        (Fill(0), True),
    ],
)
def test_the_output_of_a_segment_that_is_unpacked_is_bounded(step: Step, is_taken: bool) -> None:
    count = MAX_OUTPUT_BYTES // MAX_BLOCK_BYTES + 40
    blockmap = BlockMap(
        *(LONG_DIGEST, count * MAX_BLOCK_BYTES, Cut.CONTENT),
        *((MAX_BLOCK_BYTES,) * count, b"".join(bytes([each]) * 32 for each in range(count))),
    )
    row = msgspec.structs.replace(LONG.release.manifest.entries[0], size=blockmap.size_bytes)
    manifest = msgspec.structs.replace(LONG.release.manifest, entries=(row,))
    known = Knowledge(Atlas({LONG_DIGEST: blockmap}), {LONG_DIGEST: (Segment(0, count, step),)})
    plan = plan_update(None, manifest, Ground(frozenset({HELD})), known)
    assert (plan.entries[0].segments[0].step == step) == is_taken


def test_a_source_that_costs_no_network_gives_raw_bytes() -> None:
    ground = Ground(link_bytes_per_s=LOCAL_BYTES_PER_S)
    packs = packed_recipe(LONG)[LONG_DIGEST]
    entry = plan_of(in_atlas=packs, ground=ground)
    assert entry.segments == (Segment(0, 32, Fetch(Codec.RAW, LONG_DIGEST, 0, entry.size_bytes)),)
    assert plan_of(in_atlas=packs, ground=Ground()).segments == packs


def test_a_map_of_another_size_is_not_believed() -> None:
    lie = map_of(b"other bytes of another length", 5)
    lie = msgspec.structs.replace(lie, file_digest=LONG_DIGEST)
    recipes = {LONG_DIGEST: (Segment(0, 1, Fill(0)),)}
    known = Knowledge(Atlas({LONG_DIGEST: lie}, recipes), recipes)
    entry = plan_update(None, LONG.release.manifest, Ground(), known).entries[0]
    assert (entry.how, entry.fetch_bytes) == (How.FETCH, entry.size_bytes)


def test_blocks_are_looked_for_only_of_what_is_not_held() -> None:
    target = mapped({"a": [1, 2], "b": [3, 4], "c": [5]})
    found = blocks_to_find(target.release.manifest, {target.digest("a")}, target.atlas)
    assert found == {bytes.fromhex(digest_of(BLOCKS[number])) for number in (3, 4)}
