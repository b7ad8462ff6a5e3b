"""A run that was stopped is gone on with, and what was fetched is not fetched again."""

from __future__ import annotations

import pytest

from bitstation import DeltaUpdater
from bitstation.core.events import EntryPlaced, Event, RunFinished, RunStarted
from bitstation.core.lifecycle import ToolState
from bitstation.errors import DigestMismatch, NotFound, SourceUnreachable, UpdateCancelled
from bitstation.storage.hashing import Stop
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import FaultyDisk, Stopped
from bitstation.testing.invariants import Invariants, check_settled, wrong_files
from bitstation.testing.memory_source import Asked, MemorySource, other_bytes, unreachable
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker import fetch_whole
from bitstation.worker.run import Options
from bitstation.worker.status import tool_status
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FIRST = make_release({"a": b"a", "model": MODEL}, "1.0.0")
FILES = {f"f{number}": b"content %d" % number for number in range(6)} | {"model": MODEL}
SECOND = make_release(FILES, "1.1.0")
DIGESTS = {entry.path: entry.sha256 for entry in SECOND.manifest.entries}


def failing_at(path: str) -> MemorySource:
    """A source that loses the connection for good at one file."""
    source = MemorySource(SECOND)
    source.fail(DIGESTS[path], *[unreachable()] * 20)
    return source


@pytest.fixture
def stopped(updater: DeltaUpdater) -> DeltaUpdater:
    """The first release is current; four files of the second are staged."""
    updater.update(MemorySource(FIRST))
    with pytest.raises(SourceUnreachable):
        updater.update(failing_at("f4"))
    return updater


def test_the_earlier_release_is_current_and_whole_meanwhile(stopped: DeltaUpdater) -> None:
    Invariants(stopped.root.path).check(TOOL_ID, FIRST.manifest)
    assert tool_status(stopped.tree, None).state == ToolState.CURRENT


def test_only_what_is_missing_is_fetched(stopped: DeltaUpdater) -> None:
    again = MemorySource(SECOND)

    stats = stopped.update(again)

    assert again.fetched == [DIGESTS["f4"], DIGESTS["f5"]]
    assert stats.files_downloaded == 6, "each of these needed bytes from a source"
    assert stats.bytes_downloaded == len(FILES["f4"]) + len(FILES["f5"]), (
        "but in this run only these"
    )
    assert wrong_files(stopped.tree.release("1.1.0"), SECOND.manifest) == []
    check_settled(stopped.tree)


def test_a_resumed_run_says_so(stopped: DeltaUpdater, make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    make_updater(listeners=(told.append,)).update(MemorySource(SECOND))
    assert [event.resumed for event in told if isinstance(event, RunStarted)] == [True]
    kept = [event.path for event in told if isinstance(event, EntryPlaced) and event.how == "kept"]
    assert kept == ["f0", "f1", "f2", "f3"]


@pytest.mark.parametrize("damage", ["rot", "gone", "folder"])
def test_what_was_staged_is_believed_only_after_reading_it(
    stopped: DeltaUpdater, damage: str
) -> None:
    path = stopped.tree.staging("1.1.0") / "f1"
    path.write_bytes(b"CONTENT 1") if damage == "rot" else path.unlink()
    if damage == "folder":
        path.mkdir()
        (path / "x").write_bytes(b"x")
    again = MemorySource(SECOND)

    stopped.update(again)

    assert again.fetched == [DIGESTS["f1"], DIGESTS["f4"], DIGESTS["f5"]]
    assert wrong_files(stopped.tree.release("1.1.0"), SECOND.manifest) == []
    assert not (stopped.tree.release("1.1.0") / "f1/x").exists()


def test_what_was_put_into_staging_by_others_does_not_ship(stopped: DeltaUpdater) -> None:
    (stopped.tree.staging("1.1.0") / "evil.py").write_bytes(b"evil")
    stopped.update(MemorySource(SECOND))
    assert not (stopped.tree.release("1.1.0") / "evil.py").exists()


@pytest.mark.parametrize("lost", ["journal", "plan", "half a journal line", "garbage"])
def test_lost_notes_cost_only_the_fetching(stopped: DeltaUpdater, lost: str) -> None:
    journal = stopped.tree.journal
    if lost == "journal":
        journal.unlink()
    elif lost == "plan":
        stopped.tree.plan.unlink()
    elif lost == "garbage":
        journal.write_bytes(b"\x00" * 1000)
    else:
        journal.write_bytes(journal.read_bytes()[:-7])
    again = MemorySource(SECOND)

    stopped.update(again)

    assert len(again.fetched) == (3 if lost == "half a journal line" else 6)
    assert wrong_files(stopped.tree.release("1.1.0"), SECOND.manifest) == []
    check_settled(stopped.tree)


def test_it_may_be_stopped_again_and_again(stopped: DeltaUpdater) -> None:
    """Each stop leaves a journal that the next one reads to its end."""
    with pytest.raises(SourceUnreachable):
        stopped.update(failing_at("f5"))
    again = MemorySource(SECOND)
    stopped.update(again)
    assert again.fetched == [DIGESTS["f5"]]


def test_the_models_are_still_shared_after_a_resumption(stopped: DeltaUpdater) -> None:
    stats = stopped.update(MemorySource(SECOND))
    assert stats.bytes_reused >= len(MODEL)
    answer = stopped.get_network_eligibility("1.1.0", SECOND.manifest.manifest_hash)
    assert answer == "ELIGIBLE"


def test_another_release_does_not_go_on_from_it(stopped: DeltaUpdater) -> None:
    third = make_release({"f0": b"content 0", "new": b"new"}, "1.2.0")
    source = MemorySource(third)

    stopped.update(source)

    assert len(source.fetched) == 2, "staged files of another release are not believed"
    check_settled(stopped.tree)


def test_a_rollback_in_between_does_not_lose_it(updater: DeltaUpdater) -> None:
    zero = make_release({"a": b"0"}, "0.9.0")
    for release in (zero, FIRST):
        updater.update(MemorySource(release))
    with pytest.raises(SourceUnreachable):
        updater.update(failing_at("f4"))

    updater.rollback()
    again = MemorySource(SECOND)
    stats = updater.update(again)

    assert again.fetched == [DIGESTS["f4"], DIGESTS["f5"]]
    assert (stats.from_version, stats.files_deleted) == ("0.9.0", 1)


def test_nothing_to_do_clears_what_an_update_left_that_is_wanted_no_more(
    stopped: DeltaUpdater,
) -> None:
    stopped.update(MemorySource(FIRST))
    check_settled(stopped.tree)


def test_a_wrong_content_is_fetched_once_more_then_given_up(updater: DeltaUpdater) -> None:
    source = MemorySource(SECOND)
    lies = [other_bytes]
    source.lie(DIGESTS["f2"], lambda data: lies.pop()(data) if lies else data)
    assert updater.update(source).files_downloaded == 7

    liar = MemorySource(make_release({"x": b"x"}, "1.2.0"))
    digest = next(iter(make_release({"x": b"x"}).blobs))
    liar.lie(digest, other_bytes)
    with pytest.raises(DigestMismatch):
        updater.update(liar)
    assert [asked.digest for asked in liar.asked] == [digest, digest]
    check_settled(updater.tree)


def test_a_source_that_fails_now_and_then_is_asked_again_from_where_it_was(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_whole, "BLOCK_BYTES", 1000)
    data = bytes(range(250)) * 40
    release = make_release({"x": data}, "1.0.0")
    source = Flaky(release)

    stats = updater.update(source)

    assert stats.bytes_downloaded == len(data)
    assert [asked.offset for asked in source.asked] == list(range(0, len(data), 1000))


class Flaky(MemorySource):
    """Loses the connection after each block of 1,000 bytes."""

    def _open(self, digest, offset, length):  # type: ignore[no-untyped-def]
        reader = super()._open(digest, offset, length)
        reader._left = reader._left[:1000]
        return reader


def test_what_a_source_does_not_have_is_not_asked_for_again(updater: DeltaUpdater) -> None:
    source = MemorySource(SECOND)
    source.drop(DIGESTS["f3"])
    with pytest.raises(NotFound):
        updater.update(source)
    assert [asked.digest for asked in source.asked].count(DIGESTS["f3"]) == 1


def test_what_was_verified_and_then_damaged_is_not_activated_by_recovery(
    make_updater: MakeUpdater,
) -> None:
    """Killed between verification and the commit, and the disk rots before the next run."""
    make_updater().update(MemorySource(FIRST))
    full = FaultyDisk()
    make_updater(disk=full).update(MemorySource(SECOND))
    moment = 1 + full.calls.index("replace v1.1.0 v1.1.0")
    make_updater().rollback()
    make_updater(options=Options(allow_unsigned=True, keep=0)).gc()
    with pytest.raises(Stopped):
        make_updater(disk=FaultyDisk(stop_after=moment)).update(MemorySource(SECOND))
    (make_updater().tree.release("1.1.0") / "f2").write_bytes(b"rot")

    assert make_updater().verify().damaged == ()
    assert make_updater().tree.current_version() == "1.0.0"

    again = MemorySource(SECOND)
    make_updater().update(again)
    assert again.fetched == [DIGESTS["f2"]]
    Invariants(make_updater().root.path).check(TOOL_ID, SECOND.manifest)


# --- being told to stop ------------------------------------------------------------------------


def stopping_at(path: str, stop: Stop) -> MemorySource:
    source = MemorySource(SECOND)

    def tell(asked: Asked) -> None:
        if asked.digest == DIGESTS[path]:
            stop.set()

    source.before_open = tell
    return source


def test_a_cancelled_update_changes_nothing_and_is_gone_on_with(
    make_updater: MakeUpdater,
) -> None:
    make_updater().update(MemorySource(FIRST))
    stop, told = Stop(), []
    updater = make_updater(stop=stop, listeners=(told.append,))

    with pytest.raises(UpdateCancelled) as failure:
        updater.update(stopping_at("f3", stop))

    assert failure.value.exit_code == 130
    Invariants(updater.root.path).check(TOOL_ID, FIRST.manifest)
    ends = [event for event in told if isinstance(event, RunFinished)]
    assert [(event.outcome, event.activated) for event in ends] == [("cancelled", False)]
    again = MemorySource(SECOND)
    make_updater().update(again)
    assert again.fetched == [DIGESTS[path] for path in ("f3", "f4", "f5")]


def test_a_cancelled_first_install_leaves_a_tool_that_says_it_is_interrupted(
    make_updater: MakeUpdater,
) -> None:
    stop = Stop()
    updater = make_updater(stop=stop)
    with pytest.raises(UpdateCancelled):
        updater.update(stopping_at("f3", stop))
    assert tool_status(updater.tree, None).state == ToolState.INTERRUPTED
    assert [tree.tool_id for tree in updater.root.tools()] == [TOOL_ID]
    make_updater().gc()
    assert not updater.tree.path.exists()


def test_a_stop_before_the_start_stops_it_before_the_first_byte(make_updater: MakeUpdater) -> None:
    stop, source = Stop(), MemorySource(SECOND)
    stop.set()
    with pytest.raises(UpdateCancelled):
        make_updater(stop=stop).update(source)
    assert source.asked == [] or len(source.asked) == 1


def test_keeping_more_releases_is_remembered_by_recovery(
    make_updater: MakeUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(allow_unsigned=True, keep=3)
    for number in range(3):
        release = make_release({"x": b"%d" % number}, f"0.{number}.0")
        make_updater(options=options).update(MemorySource(release))
    with monkeypatch.context() as patched:

        def die(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("bitstation.worker.update.append_history", die)
        with pytest.raises(KeyboardInterrupt):
            make_updater(options=options).update(MemorySource(FIRST))

    make_updater().verify()

    assert len(make_updater().tree.kept_versions()) == 4
    history = [row.to_version for row in make_updater().history() if row.command == "update"]
    assert history == ["0.0.0", "0.1.0", "0.2.0", "1.0.0"]
