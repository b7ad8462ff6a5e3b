"""Going on with a file that was being built: what is on the disk is believed after reading only."""

from __future__ import annotations

import contextlib
import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bitstation import DeltaUpdater, host
from bitstation.core.blockmap import MAX_BLOCKS
from bitstation.core.events import Event, IntegrityFailed
from bitstation.core.plan import parse_plan
from bitstation.core.recipe import Copy
from bitstation.errors import SourceUnreachable
from bitstation.storage.journal import BlockPart, BlocksDone, Done, EntryDone, Journal, read_journal
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.invariants import Invariants, check_settled, look_at, wrong_files
from bitstation.testing.mapped import BLOCK_BYTES, Mapped, guide_to, map_release, offer
from bitstation.testing.memory_source import MemorySource, unreachable
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.worker import intake
from tests.engine.conftest import MakeUpdater
from tests.engine.test_building import EDITED, FIRST, MODEL, SECOND, check, source_of
from tests.engine.test_building import _Breaking as Breaking

THIRD = map_release(make_release({"model.bin": EDITED + MODEL}, "1.2.0"))
MODEL_DIGEST = FIRST.digest("model.bin")
PIECE_BYTES = 300
NUMBER = [entry.path for entry in FIRST.release.manifest.entries].index("model.bin")
OTHER_NUMBER = 1 - NUMBER


def received_by(updater: DeltaUpdater, target: Mapped, most: int | None = None) -> int:
    """Bytes of the model that an update received; after ``most`` no more can be had."""
    source = source_of(target)
    digest, pieces = target.digest("model.bin"), []  # type: ignore[var-annotated]
    inner = source._open

    def opened(asked, offset, length):  # type: ignore[no-untyped-def]
        reader = inner(asked, offset, length)
        if asked != digest:
            return reader
        if most is not None and sum(pieces) >= most:
            raise unreachable()
        left = 10**9 if most is None else most - sum(pieces)
        return Breaking(reader, left, pieces)

    source._open = opened  # type: ignore[method-assign]
    if most is None:
        updater.update(source)
    else:
        with pytest.raises(SourceUnreachable):
            updater.update(source)
    return sum(pieces)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a block comes in several."""
    monkeypatch.setattr(intake, "PIECE_BYTES", PIECE_BYTES)


HALF = 10 * BLOCK_BYTES + 450


@pytest.fixture
def stopped(updater: DeltaUpdater) -> DeltaUpdater:
    """A first install that lost its source within the eleventh block of the model."""
    assert received_by(updater, FIRST, HALF) == HALF
    return updater


def lie_in_journal(updater: DeltaUpdater, *records: Done) -> None:
    """Add records that read as if a run had written them."""
    journal = Journal(updater.tree.journal, QuickDisk())
    for record in records:
        journal.append(record)
    journal.close()
    assert read_journal(updater.tree.journal).begin is not None


def test_only_the_rest_is_received(stopped: DeltaUpdater) -> None:
    assert received_by(stopped, FIRST) == len(MODEL) - HALF
    check(stopped, FIRST)


LIES: dict[str, tuple[Done, ...]] = {
    "a block that is not there": (BlocksDone(NUMBER, 15, 3),),
    "past the end": (BlocksDone(NUMBER, 18, 100),),
    "far past the end": (BlocksDone(NUMBER, 10**15, 5),),
    "before the start": (BlocksDone(NUMBER, -100, 50),),
    "before the start and after": (BlocksDone(NUMBER, -5, 10),),
    "less than none": (BlocksDone(NUMBER, 5, -3),),
    "of no entry": (BlocksDone(99, 0, 1), EntryDone(99), BlockPart(99, 0, 1)),
    "of an entry before the first": (BlocksDone(-1, 0, 1), EntryDone(-1), BlockPart(-1, 0, 1)),
    "of a file that is fetched whole": (BlocksDone(OTHER_NUMBER, 0, 1),),
    "part of a file that is fetched whole": (BlockPart(OTHER_NUMBER, 0, 1),),
    "part past the end": (BlockPart(NUMBER, 99, 5),),
    "part before the start": (BlockPart(NUMBER, -99, 5),),
    "part of a negative length": (BlockPart(NUMBER, 15, -7),),
    "part longer than its block": (BlockPart(NUMBER, 15, 10**15),),
    "part that is not there": (BlockPart(NUMBER, 15, 500),),
    "a file that is not whole": (EntryDone(NUMBER),),
    "everything": (BlocksDone(NUMBER, 0, MAX_BLOCKS),),
}


@pytest.mark.parametrize("records", LIES.values(), ids=LIES)
def test_a_journal_that_lies_costs_at_most_what_it_lies_about(
    stopped: DeltaUpdater, records: tuple[Done, ...]
) -> None:
    lie_in_journal(stopped, *records)
    # A part that is not there is found out when its block is there, and comes once more.
    assert received_by(stopped, FIRST) <= len(MODEL) - HALF + BLOCK_BYTES
    check(stopped, FIRST)


def test_a_journal_of_huge_counts_costs_no_memory(stopped: DeltaUpdater) -> None:
    lie_in_journal(stopped, *(BlocksDone(each, 0, MAX_BLOCKS) for each in range(50)))
    tracemalloc.start()
    facts = read_journal(stopped.tree.journal)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert facts.begin is not None
    assert peak < 80_000_000, "of which 64 MiB are the longest journal that is read"
    received_by(stopped, FIRST)
    check(stopped, FIRST)


def shorten(path: Path) -> None:
    host.set_writable(path, True)
    os.truncate(path, len(MODEL) - 1)


def lengthen(path: Path) -> None:
    host.set_writable(path, True)
    os.truncate(path, len(MODEL) + 1)


def link_elsewhere(path: Path) -> None:
    """Another name of a file that is not ours."""
    outside = path.parents[5] / "outside" / "file"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    os.link(outside, path)


def give_another_name(path: Path) -> None:
    os.link(path, path.parents[5] / "outside" / "name")


def symlink_elsewhere(path: Path) -> None:
    outside = path.parents[5] / "outside" / "file"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").write_bytes(b"x")


def remove(path: Path) -> None:
    path.unlink()


def rot_all(path: Path) -> None:
    host.set_writable(path, True)
    path.write_bytes(bytes(len(MODEL)))


@pytest.mark.parametrize(
    "damage",
    [
        *(shorten, lengthen, link_elsewhere, give_another_name, make_folder, remove, rot_all),
        pytest.param(
            symlink_elsewhere,
            marks=pytest.mark.skipif(os.name == "nt", reason="only on POSIX: symbolic links"),
        ),
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_staged_file_that_is_another_is_begun_anew(
    stopped: DeltaUpdater, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    staged = stopped.tree.staging("1.0.0") / "model.bin"
    assert staged.stat().st_size == len(MODEL)
    damage(staged)
    before = look_at(outside)
    received = received_by(stopped, FIRST)
    assert len(MODEL) <= received <= len(MODEL) + BLOCK_BYTES
    check(stopped, FIRST)
    if damage is not give_another_name:
        assert look_at(outside) == before, "nothing was written through another name"


def test_a_plan_of_another_release_is_not_gone_on_with(stopped: DeltaUpdater) -> None:
    """Neither for that release, nor when it lies there under the name of this one."""
    plan = parse_plan(stopped.tree.plan.read_bytes(), "plan")
    other = msgspec.structs.replace(plan, manifest_hash=THIRD.release.manifest.manifest_hash)
    stopped.tree.plan.write_bytes(other.encode())
    assert received_by(stopped, FIRST) == len(MODEL)
    check(stopped, FIRST)


def test_another_release_is_begun_anew(stopped: DeltaUpdater) -> None:
    received_by(stopped, SECOND)
    check(stopped, SECOND)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"\x80"])
def test_a_damaged_plan_is_made_again(
    stopped: DeltaUpdater, damage: Callable[[bytes], bytes]
) -> None:
    stopped.tree.plan.write_bytes(damage(stopped.tree.plan.read_bytes()))
    assert received_by(stopped, FIRST) == len(MODEL)
    check(stopped, FIRST)


def test_a_plan_that_copies_from_what_is_not_here_any_more(updater: DeltaUpdater) -> None:
    """Its base went in between: the blocks are fetched after all."""
    updater.update(source_of(FIRST))
    received_by(updater, SECOND, 300)
    plan = parse_plan(updater.tree.plan.read_bytes(), "plan")
    copies = [each for entry in plan.entries for each in entry.segments]
    assert any(isinstance(each.step, Copy) for each in copies)
    model = updater.tree.release("1.0.0") / "model.bin"
    host.set_writable(model, True)
    model.unlink()
    assert received_by(updater, SECOND) == len(EDITED) - 300
    folder = updater.tree.release("1.1.0")
    assert wrong_files(folder, SECOND.release.manifest) == []


def test_a_rollback_in_between_is_no_hindrance(updater: DeltaUpdater) -> None:
    zero = map_release(make_release({"model.bin": MODEL[:1500]}, "0.9.0"))
    for release in (zero, FIRST):
        updater.update(source_of(release))
    received_by(updater, SECOND, 300)
    updater.rollback()
    assert updater.tree.current_version() == "0.9.0"
    received = received_by(updater, SECOND)
    assert received in (BLOCK_BYTES - 300, BLOCK_BYTES), "a command in between may clear staging"
    check(updater)


def test_a_rotten_part_is_not_laid_at_a_sources_door(
    stopped: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    staged = stopped.tree.staging("1.0.0") / "model.bin"
    data = bytearray(staged.read_bytes())
    data[10 * BLOCK_BYTES + 7] ^= 1
    host.set_writable(staged, True)
    staged.write_bytes(data)
    told: list[Event] = []
    updater = make_updater(listeners=(told.append,))
    assert received_by(updater, FIRST) == len(MODEL) - HALF + BLOCK_BYTES
    assert [event for event in told if isinstance(event, IntegrityFailed)] == []
    check(updater, FIRST)


# --- stopped at every call ----------------------------------------------------------------------

NEEDED = 16 * BLOCK_BYTES
"""Of the model, whose last four blocks the first release has."""

TARGET = map_release(
    make_release({"model.bin": MODEL[::-1][:NEEDED] + MODEL[5000:9000], "run.py": b"2"}, "1.1.0")
)
DIGEST = TARGET.digest("model.bin")


def asked_when_stopped(root: Path, disk: QuickDisk) -> int:
    """Bytes of the model that an update asks for, on this disk."""
    source = MemorySource()
    offer(source, TARGET, guide_to(TARGET))
    given: list[list[int]] = []
    inner = source._open

    def counted(digest, offset, length):  # type: ignore[no-untyped-def]
        reader, pieces = inner(digest, offset, length), []  # type: ignore[var-annotated]
        if digest == DIGEST:
            given.append(pieces)
        return Breaking(reader, 10**9, pieces)

    source._open = counted  # type: ignore[method-assign]
    with contextlib.suppress(Stopped):
        DeltaUpdater(root / TOOL_ID, disk=disk, options=UNSIGNED).update(source)
    return sum(map(sum, given))


@pytest.mark.parametrize("step", range(4))
def test_stopped_after_any_call_nothing_proved_is_received_again(tmp_path: Path, step: int) -> None:
    """Both runs receive what one needs, and at most the piece that was in flight once more."""
    for number in itertools.count(1 + step, 4):
        root = tmp_path / str(number)
        DeltaUpdater(root / TOOL_ID, disk=QuickDisk(), options=UNSIGNED).update(source_of(FIRST))
        disk = FaultyDisk(stop_after=number)
        first = asked_when_stopped(root, disk)
        if not disk.has_struck:
            assert (number > 60, first) == (True, NEEDED)
            return
        Invariants(root).check(TOOL_ID, FIRST.release.manifest, TARGET.release.manifest)
        second = asked_when_stopped(root, QuickDisk())
        tree = DeltaUpdater(root / TOOL_ID, options=UNSIGNED).tree
        assert wrong_files(tree.release("1.1.0"), TARGET.release.manifest) == []
        check_settled(tree)
        assert NEEDED <= first + second <= NEEDED + PIECE_BYTES, disk.calls[-1]
