"""A plan that lies on the disk: read as it was written, or refused as damaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.blockmap import Cut, encode_blockmap
from bitstation.core.digest import Digest, digest_of
from bitstation.core.plan import How, Plan, PlanEntry, parse_plan
from bitstation.core.recipe import INLINE, Codec, Copy, Fetch, Fill, Patch, Segment
from bitstation.errors import StoreCorrupt
from bitstation.testing.mapped import map_of

DATA = bytes(range(200))
MAP = map_of(DATA, 20)
BASE, PACK = digest_of(b"base"), digest_of(b"pack")
SEGMENTS = (
    Segment(0, 2, Copy(BASE, 7)),
    Segment(2, 1, Fetch(Codec.RAW, MAP.file_digest, 40, 20)),
    Segment(3, 2, Fetch(Codec.ZSTD, PACK, 0, 9)),
    Segment(5, 1, Patch(BASE, 1, 2, INLINE, 0, 4)),
    Segment(6, 4, Fill(9)),
)
BUILT = PlanEntry("b", MAP.file_digest, 200, False, How.BUILD, 33, SEGMENTS, encode_blockmap(MAP))
SMALL = PlanEntry("s", digest_of(b"small"), 5, True, How.BUILD, 3, (Segment(0, 1, Fill(1)),))
FETCHED = PlanEntry("f", digest_of(b"f"), 1, False, How.FETCH, 1)
PLAN = Plan(
    *("tool", "1.0.0", "1.1.0", digest_of(b"manifest"), (BUILT, SMALL, FETCHED), ("gone",)),
    *(3, 0, 37, 169, 206, 206),
    inline=b"four",
)


def changed(entry: PlanEntry = BUILT, **fields: object) -> Plan:
    """The plan, the entry in the first place changed."""
    return msgspec.structs.replace(PLAN, entries=(msgspec.structs.replace(entry, **fields),))


def with_step(number: int, **fields: object) -> Plan:
    """The plan, one step of the built file changed."""
    step = msgspec.structs.replace(SEGMENTS[number].step, **fields)
    segments = list(SEGMENTS)
    segments[number] = msgspec.structs.replace(segments[number], step=step)
    return changed(segments=tuple(segments))


def refused(plan: Plan) -> None:
    with pytest.raises(StoreCorrupt):
        parse_plan(plan.encode(), "plan")


def test_the_map_of_an_entry_is_read_once_and_is_no_part_of_what_is_written() -> None:
    (entry,) = parse_plan(msgspec.structs.replace(PLAN, entries=(BUILT,)).encode(), "plan").entries
    before = msgspec.json.encode(entry)
    assert entry.reuse_bytes == BUILT.reuse_bytes
    assert entry.blockmap is entry.blockmap
    assert (entry, msgspec.json.encode(entry)) == (BUILT, before)


def test_a_plan_is_read_as_it_was_written() -> None:
    assert parse_plan(PLAN.encode(), "plan") == PLAN


@pytest.mark.parametrize(
    "segments",
    [
        (),
        SEGMENTS[:-1],
        SEGMENTS[1:],
        (*SEGMENTS, Segment(10, 1, Fill(0))),
        (*SEGMENTS[:2], *SEGMENTS[3:]),
        SEGMENTS[::-1],
        (SEGMENTS[0], *SEGMENTS),
        (Segment(0, 11, Fill(0)),),
        (Segment(0, 0, Fill(0)), *SEGMENTS),
        (Segment(0, 12, Fill(0)), Segment(12, -2, Fill(0))),
        (Segment(-1, 11, Fill(0)),),
    ],
    ids=[
        *("none", "too few", "not from the start", "too many", "a gap", "backwards", "overlap"),
        *("too long", "one of nothing", "one of less than nothing", "before the start"),
    ],
)
def test_segments_that_do_not_cover_the_file_once_are_refused(
    segments: tuple[Segment, ...],
) -> None:
    refused(changed(segments=segments))


@pytest.mark.parametrize(
    "plan",
    [
        msgspec.structs.replace(PLAN, plan_version=1),
        msgspec.structs.replace(PLAN, plan_version=3),
        changed(map=b"BSBM"),
        changed(map=encode_blockmap(map_of(b"another", 3))),
        changed(map=b""),
        changed(size_bytes=201),
        changed(SMALL, size_bytes=-5),
        changed(SMALL, sha256=Digest("no digest")),
        changed(SMALL, sha256=Digest("")),
        changed(
            segments=(Segment(0, 1, Fill(0)),),
            map=encode_blockmap(
                msgspec.structs.replace(
                    MAP, cut=Cut.WHOLE, lengths=(200,), digests=bytes(32), groups=()
                )
            ),
        ),
    ],
    ids=[
        *("older", "newer", "map cut short", "map of another file", "no map", "another size"),
        *("negative size", "no digest", "empty digest", "one block that is not the file"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(plan: Plan) -> None:
    refused(plan)


@pytest.mark.parametrize(
    "plan",
    [
        with_step(0, offset=-1),
        with_step(1, offset=-1),
        with_step(2, offset=-40),
        with_step(2, length=0),
        with_step(2, length=2**40),
        with_step(3, base_offset=-1),
        with_step(3, base_length=-1),
        with_step(3, base_length=2**40),
        with_step(3, length=-1),
        with_step(4, value=256),
        with_step(4, value=-1),
        with_step(0, offset=2**60),
    ],
    ids=[
        *("copy before the blob", "fetch before the blob", "pack before its start", "empty frame"),
        *("endless frame", "base before its start", "negative base", "endless base"),
        *("negative frame", "no byte", "a negative byte", "beyond all files"),
    ],
)
def test_a_step_that_nobody_can_do_is_refused(plan: Plan) -> None:
    refused(plan)


def test_files_that_wait_for_each_other_are_refused() -> None:
    """A file may copy from those before it only: they are built while it waits."""

    def copying(path: str, of: PlanEntry) -> PlanEntry:
        step = Segment(0, 1, Copy(of.sha256, 0))
        digest = digest_of(path.encode())
        return PlanEntry(path, digest, 1, False, How.BUILD, 0, (step,))

    first, second = copying("first", FETCHED), copying("second", FETCHED)
    itself = msgspec.structs.replace(first, segments=(Segment(0, 1, Copy(first.sha256, 0)),))
    loop = msgspec.structs.replace(first, segments=(Segment(0, 1, Copy(second.sha256, 0)),))
    for entries in ((itself,), (loop, copying("second", first)), (first, FETCHED)):
        refused(msgspec.structs.replace(PLAN, entries=entries))
    fine = msgspec.structs.replace(PLAN, entries=(FETCHED, first, copying("second", first)))
    assert parse_plan(fine.encode(), "plan") == fine


@given(st.data())
def test_damage_anywhere_gives_another_plan_or_is_refused(data: st.DataObject) -> None:
    encoded = bytearray(PLAN.encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.one_of(st.just(len(encoded)), st.integers(0, len(encoded))))
    try:
        parse_plan(bytes(encoded[:length]), "plan")
    except StoreCorrupt:
        return


@given(st.binary(max_size=100))
def test_noise_is_no_plan(noise: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        parse_plan(noise, "plan")
