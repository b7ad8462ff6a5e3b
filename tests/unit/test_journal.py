"""The journal: what was written whole is read back, and nothing behind a torn line is believed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation.core.lifecycle import Step
from bitstation.storage.durable import Disk
from bitstation.storage.journal import (
    Begin,
    BlockPart,
    BlocksDone,
    EntryDone,
    Journal,
    JournalFacts,
    StepBegun,
    read_journal,
)
from bitstation.testing.faulty_disk import QuickDisk

BEGIN = Begin("run", "1.1.0", "0" * 64, "1.0.0", 3, "repair")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(path: Path, disk: Disk | None = None) -> bytes:
    journal = Journal(path, disk or QuickDisk())
    journal.begin(BEGIN, [EntryDone(7)])
    for number in range(3):
        journal.append(EntryDone(number))
    journal.append(StepBegun(Step.ACTIVATING), durable=True)
    journal.close()
    return path.read_bytes()


def test_what_is_written_is_read_back(path: Path) -> None:
    written(path, Disk())
    assert read_journal(path) == JournalFacts(BEGIN, Step.ACTIVATING, {7, 0, 1, 2})


def test_no_journal_and_an_empty_one_say_nothing(path: Path) -> None:
    assert read_journal(path) == JournalFacts()
    path.write_bytes(b"")
    assert read_journal(path) == JournalFacts()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400))
def test_a_torn_journal_says_what_stands_before_the_tear(path: Path, cut: int) -> None:
    data = written(path)
    path.write_bytes(data[:cut])
    whole_lines = data[:cut].count(b"\n")

    facts = read_journal(path)

    assert (facts.begin == BEGIN) == (whole_lines >= 1)
    assert facts.step == (
        None if whole_lines < 2 else Step.ACTIVATING if whole_lines >= 7 else Step.STAGING
    )
    assert len(facts.done) == max(0, min(whole_lines - 2, 4))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_flipped_byte_is_never_believed(path: Path, place: int, flip: int) -> None:
    data = bytearray(written(path))
    place %= len(data)
    data[place] ^= flip
    line = bytes(written(path))[:place].count(b"\n")
    path.write_bytes(data)

    facts = read_journal(path)

    assert (facts.begin is None) == (line == 0)
    if line:
        assert facts.begin == BEGIN
        assert len(facts.done) <= max(0, line - 2)


@given(data=st.binary(max_size=200))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_says_nothing(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert read_journal(path) == JournalFacts()


def test_a_new_journal_forgets_the_earlier_one(path: Path) -> None:
    journal = Journal(path, QuickDisk())
    written(path)
    journal.begin(Begin("other", "2.0.0", "1" * 64, None), step=Step.IN_PLACE)
    journal.append(EntryDone(1))
    journal.close()
    facts = read_journal(path)
    assert (facts.begin and facts.begin.run_id, facts.step) == ("other", Step.IN_PLACE)
    assert facts.done == {1}
    journal.drop()
    assert not path.exists()


def test_records_from_many_threads_are_all_whole(path: Path) -> None:
    journal = Journal(path, QuickDisk())
    journal.begin(BEGIN)

    def write(first: int) -> None:
        for number in range(first, first + 200):
            journal.append(EntryDone(number))

    threads = [threading.Thread(target=write, args=(n * 200,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert read_journal(path).done == set(range(800))


def test_blocks_and_parts_of_them_are_remembered_and_written_anew(path: Path) -> None:
    journal = Journal(path, QuickDisk())
    journal.begin(BEGIN)
    for record in (BlocksDone(3, 0, 2), BlocksDone(3, 7, 1), BlockPart(3, 9, 10), EntryDone(1)):
        journal.append(record)
    journal.append(BlockPart(3, 9, 20))
    journal.close()
    facts = read_journal(path)
    assert (facts.done, facts.blocks, facts.parts) == (
        {1},
        {3: [range(2), range(7, 8)]},
        {3: {9: 20}},
    )

    journal.begin(BEGIN, facts.records())

    again = read_journal(path)
    assert (again.done, again.blocks, again.parts) == (facts.done, facts.blocks, facts.parts)


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_a_block_that_is_there_has_no_part(path: Path, count: int) -> None:
    journal = Journal(path, QuickDisk())
    journal.begin(BEGIN)
    for record in (BlockPart(3, 8, 5), BlockPart(3, 9, 10), BlocksDone(3, 9, count)):
        journal.append(record)
    journal.close()
    assert read_journal(path).parts == {3: {8: 5}}


@pytest.mark.parametrize(
    "record",
    [BlocksDone(-1, 0, 1), BlocksDone(0, -1, 1), BlocksDone(0, 0, 10**9), BlockPart(0, 0, -1)],
)
def test_reading_ends_at_numbers_that_nothing_has(path: Path, record: BlocksDone) -> None:
    journal = Journal(path, QuickDisk())
    journal.begin(BEGIN)
    for each in (EntryDone(1), record, EntryDone(2)):
        journal.append(each)
    journal.close()
    facts = read_journal(path)
    assert (facts.done, facts.blocks, facts.parts) == ({1}, {}, {})
