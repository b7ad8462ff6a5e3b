"""The ledger: a proof holds while nothing was done to the file, and never longer."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bitstation import host
from bitstation.core.digest import Digest, digest_of
from bitstation.errors import DiskFull, PermissionRefused, StoreError, StoreLocked
from bitstation.host import StatFacts
from bitstation.storage import ledger as ledger_module
from bitstation.storage.faults import database_error
from bitstation.storage.ledger import Ledger

DIGEST = digest_of(b"content")
OTHER = digest_of(b"other")
SECOND_NS = 1_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "control" / "ledger.sqlite3")) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def facts_of(path: Path) -> StatFacts:
    return host.stat_facts(path)


def test_a_recorded_file_is_proved_and_another_is_not(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    assert ledger.proof(facts_of(file)) is None
    assert not ledger.contradicts(facts_of(file))

    ledger.record([(facts_of(file), DIGEST)])

    assert ledger.proof(facts_of(file)) == DIGEST
    other = tmp_path / "other"
    other.write_bytes(b"content")
    assert ledger.proof(facts_of(other)) is None


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.write_bytes(b"CONTENT"),
        lambda path: os.truncate(path, 3),
        os.utime,
        lambda path: os.link(path, path.with_name("second")),
        lambda path: path.rename(path.with_name("moved")).rename(path),
        lambda path: path.chmod(0o444),
        lambda path: (path.unlink(), path.write_bytes(b"content")),
    ],
    ids=["written", "cut", "touched", "linked", "renamed", "mode", "replaced"],
)
def test_whatever_is_done_to_a_file_ends_its_proof(ledger: Ledger, file: Path, act) -> None:  # type: ignore[no-untyped-def]
    before = facts_of(file)
    ledger.record([(before, DIGEST)])
    # As git's racy files: in the same tick of the clock the stamp cannot tell; so it is past.
    ledger.moment_past([before])

    act(file)

    assert ledger.proof(facts_of(file)) is None


def test_a_change_with_the_old_time_restored_ends_it_too(ledger: Ledger, file: Path) -> None:
    before = file.stat()
    ledger.record([(facts_of(file), DIGEST)])
    ledger.moment_past([facts_of(file)])
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ledger.proof(facts_of(file)) is None
    assert ledger.contradicts(facts_of(file))


def test_our_own_change_of_a_stamp_is_carried_over(ledger: Ledger, file: Path) -> None:
    ledger.record([(facts_of(file), DIGEST)])
    with ledger.locked():
        os.link(file, file.with_name("second"))
        ledger.restamp(facts_of(file), DIGEST)
    assert ledger.proof(facts_of(file)) == DIGEST


def test_what_happened_under_the_lock_counts_only_when_it_ended_well(
    ledger: Ledger, file: Path
) -> None:
    def fail_midway() -> None:
        with ledger.locked():
            ledger.restamp(facts_of(file), DIGEST)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_midway()
    assert ledger.proof(facts_of(file)) is None
    ledger.record([(facts_of(file), DIGEST)])
    assert ledger.proof(facts_of(file)) == DIGEST


def test_the_lock_may_be_taken_within_itself(ledger: Ledger, file: Path) -> None:
    with ledger.locked(), ledger.locked():
        ledger.record([(facts_of(file), DIGEST)])
    assert ledger.proof(facts_of(file)) == DIGEST


def test_folders_and_files_without_a_change_stamp_are_never_proved(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    stampless = facts_of(file)._replace(change_ns=0)
    ledger.record([(stampless, DIGEST), (facts_of(tmp_path), DIGEST)])
    assert ledger.proof(stampless) is None
    assert ledger.proof(facts_of(tmp_path)) is None


def test_identities_of_any_size_are_kept(ledger: Ledger, file: Path) -> None:
    wide = facts_of(file)._replace(volume=2**64 - 1, file_id=2**128 - 1)
    ledger.record([(wide, DIGEST)])
    assert ledger.proof(wide) == DIGEST
    assert ledger.proof(wide._replace(volume=2**63 - 1)) is None


# --- racily clean ------------------------------------------------------------------------------


@pytest.fixture
def clock(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The volume's clock: the readings to come, the last one for ever."""
    readings = [10**18 + 1]
    monkeypatch.setattr(ledger_module, "_TICK_WAIT_S", 0.01)
    monkeypatch.setattr(
        ledger, "_clock", lambda: readings.pop(0) if len(readings) > 1 else readings[0]
    )
    return readings


def changed_at(file: Path, change_ns: int) -> StatFacts:
    return facts_of(file)._replace(change_ns=change_ns)


def test_a_file_changed_in_the_tick_of_its_reading_is_not_recorded(
    ledger: Ledger, file: Path, clock: list[int]
) -> None:
    facts = changed_at(file, clock[0])
    ledger.record([(facts, DIGEST)])
    assert ledger.proof(facts) is None


def test_the_next_tick_is_waited_for(ledger: Ledger, file: Path, clock: list[int]) -> None:
    facts = changed_at(file, clock[0])
    clock[:] = [clock[0], clock[0], clock[0] + 4_000_000]
    ledger.record([(facts, DIGEST)])
    assert ledger.proof(facts) == DIGEST


def test_the_moment_that_counts_is_the_one_before_the_reading(
    ledger: Ledger, file: Path, clock: list[int]
) -> None:
    """A write after the reading, in the tick of the last write before it, would not show."""
    facts = changed_at(file, clock[0])
    ledger.record([(facts, DIGEST)], read_from_ns=clock[0])
    assert ledger.proof(facts) is None
    ledger.record([(facts, DIGEST)], read_from_ns=clock[0] + 1)
    assert ledger.proof(facts) == DIGEST


def test_volumes_that_count_in_seconds_need_two_of_them(
    ledger: Ledger, file: Path, clock: list[int]
) -> None:
    coarse = changed_at(file, 10**18)
    clock[:] = [10**18 + SECOND_NS]
    ledger.record([(coarse, DIGEST)])
    assert ledger.proof(coarse) is None
    clock[:] = [10**18 + 2 * SECOND_NS + 1]
    ledger.record([(coarse, DIGEST)])
    assert ledger.proof(coarse) == DIGEST


def test_a_stamp_of_a_clock_that_was_set_back_since_is_no_hindrance(
    ledger: Ledger, file: Path, clock: list[int]
) -> None:
    future = changed_at(file, clock[0] + 3600 * SECOND_NS)
    ledger.record([(future, DIGEST)])
    assert ledger.proof(future) == DIGEST


def test_waiting_for_the_clock_uses_the_volumes_own(ledger: Ledger, file: Path) -> None:
    file.write_bytes(b"now")
    assert ledger.moment_past([facts_of(file)]) > facts_of(file).change_ns


# --- a cache that may be lost ------------------------------------------------------------------


def test_several_connections_share_it(ledger: Ledger, file: Path) -> None:
    with closing(Ledger(ledger._path)) as other:
        other.record([(facts_of(file), DIGEST)])
    assert ledger.proof(facts_of(file)) == DIGEST


@pytest.mark.parametrize("garbage", [b"garbage" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_what_is_no_database_is_begun_anew(tmp_path: Path, file: Path, garbage: bytes) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(garbage)
    with closing(Ledger(path)) as opened:
        opened.record([(facts_of(file), DIGEST)])
    with closing(Ledger(path)) as again:
        assert again.proof(facts_of(file)) == DIGEST


def test_a_database_that_rots_while_it_is_open_is_begun_anew(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as opened:
        opened.record([(facts_of(file), DIGEST)])
        real, failures = opened._db, [True]

        class Rotten:
            in_transaction = False

            def execute(self, *arguments: object) -> object:
                if failures and "SELECT" in str(arguments[0]):
                    failures.pop()
                    error = sqlite3.DatabaseError("database disk image is malformed")
                    error.sqlite_errorname = "SQLITE_CORRUPT_INDEX"
                    raise error
                return real.execute(*arguments)  # type: ignore[arg-type]

            def close(self) -> None:
                real.close()

        monkeypatch.setattr(opened, "_db", Rotten())
        assert opened.proof(facts_of(file)) is None, "its proofs are lost"
        opened.record([(facts_of(file), DIGEST)])
        assert opened.proof(facts_of(file)) == DIGEST


def test_a_database_of_another_version_is_begun_anew(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE proof (other)")
        database.execute("PRAGMA user_version=99")
    with closing(Ledger(path)) as opened:
        opened.record([(facts_of(file), DIGEST)])
        assert opened.proof(facts_of(file)) == DIGEST


def test_many_begin_one_database_at_once(tmp_path: Path, file: Path) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def begin(number: int) -> None:
        start.wait()
        try:
            with closing(Ledger(tmp_path / "new" / "ledger.sqlite3")) as opened:
                opened.record([(facts_of(file)._replace(file_id=number), DIGEST)])
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(Ledger(tmp_path / "new" / "ledger.sqlite3")) as opened:
        kept = [opened.proof(facts_of(file)._replace(file_id=number)) for number in range(8)]
    assert kept == [DIGEST] * 8


def test_threads_of_one_ledger_do_not_disturb_each_other(ledger: Ledger, file: Path) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for turn in range(20):
            mine = facts_of(file)._replace(file_id=number, size=turn)
            digest = digest_of(b"%d %d" % (number, turn))
            try:
                with ledger.locked():
                    ledger.restamp(mine, digest)
                if ledger.proof(mine) != digest:
                    failures.append((number, turn))
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_who_may_only_look_gets_a_ledger_that_proves_nothing(tmp_path: Path, file: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"a file where the folder should be")
    with closing(Ledger.for_looking(blocked / "ledger.sqlite3")) as looking:
        looking.record([(facts_of(file), DIGEST)])
        assert looking.proof(facts_of(file)) is None
        assert not looking.contradicts(facts_of(file))
        with looking.locked():
            pass


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", DiskFull),
        ("SQLITE_READONLY_DBMOVED", PermissionRefused),
        ("SQLITE_CANTOPEN", PermissionRefused),
        ("SQLITE_BUSY_SNAPSHOT", StoreLocked),
        ("SQLITE_IOERR_READ", StoreError),
    ],
)
def test_what_the_database_says_is_told_in_our_words(
    tmp_path: Path, name: str, kind: type[StoreError]
) -> None:
    error = sqlite3.OperationalError("words of the database")
    error.sqlite_errorname = name
    told = database_error(error, tmp_path)
    assert type(told) is kind


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: a folder as a file")
def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").mkdir()
    with pytest.raises(StoreError):
        Ledger(tmp_path / "ledger.sqlite3")
    assert (tmp_path / "ledger.sqlite3").is_dir(), "and nothing was removed"


def test_digests_come_back_as_digests(ledger: Ledger, file: Path) -> None:
    ledger.record([(facts_of(file), OTHER)])
    ledger.record([(facts_of(file), Digest(DIGEST))])
    assert ledger.proof(facts_of(file)) == DIGEST
