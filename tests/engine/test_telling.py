"""What a run tells: one stream of events from start to end, a plan before, a history after."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from bitstation import BitStationError, DeltaUpdater, UpdateStats
from bitstation.core.events import (
    BodyReceived,
    EntryPlaced,
    EntryVerified,
    Event,
    IntegrityFailed,
    PhaseChanged,
    PlanReady,
    ReleaseActivated,
    RunFinished,
    RunStarted,
    SourceFailed,
    TransferProgress,
    UnsignedAllowed,
)
from bitstation.core.plan import parse_plan
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.invariants import look_at
from bitstation.testing.memory_source import MemorySource, other_bytes, unreachable
from bitstation.testing.releases import UNSIGNED, make_release
from bitstation.worker import history
from bitstation.worker.narrate import Narrator
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FIRST = make_release({"a": b"1", "b": b"gone", "model": MODEL}, "1.0.0")
SECOND = make_release({"a": b"2", "c": b"new", "model": MODEL}, "1.1.0")
DIGEST = SECOND.manifest.entries[0].sha256


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def installed(make_updater: MakeUpdater, told: list[Event]) -> DeltaUpdater:
    updater = make_updater(listeners=(told.append,))
    updater.update(MemorySource(FIRST))
    told.clear()
    return updater


def of(kind: type[Event], told: list[Event]) -> list[Event]:
    return [event for event in told if type(event) is kind]


def test_events_tell_an_update_from_its_start_to_its_end(
    installed: DeltaUpdater, told: list[Event]
) -> None:
    stats = installed.update(MemorySource(SECOND))

    assert [event.seq for event in told] == list(range(len(told)))
    assert len({event.run_id for event in told}) == 1
    assert [event.at_s for event in told] == sorted(event.at_s for event in told)
    assert (type(told[0]), type(told[1]), type(told[-1])) == (
        RunStarted,
        UnsignedAllowed,
        RunFinished,
    )
    phases = [event.phase for event in told if isinstance(event, PhaseChanged)]
    assert [phase for phase in phases if phase != "hash"] == [
        *("diff", "fetch", "reuse", "verify", "activate", "collect"),
    ]
    assert [len(of(kind, told)) for kind in (PlanReady, ReleaseActivated)] == [1, 1]
    assert {len(of(EntryPlaced, told)), len(of(EntryVerified, told))} == {3}
    assert sum(event.body_bytes for event in told if isinstance(event, BodyReceived)) == 4
    assert stats.outcome == told[-1].outcome == "done"  # type: ignore[attr-defined]


def test_the_plan_says_what_then_happens(installed: DeltaUpdater, told: list[Event]) -> None:
    before = look_at(installed.root.path / "sample-tool" / "releases")
    source = MemorySource(SECOND)

    plan = installed.plan(source)
    assert look_at(installed.root.path / "sample-tool" / "releases") == before
    assert (source.asked, installed.tree.current_version()) == ([], "1.0.0")
    stats = installed.update(source)

    assert parse_plan(plan.encode(), "plan.json") == plan
    assert (plan.from_version, plan.to_version) == ("1.0.0", "1.1.0")
    assert plan.download_files == stats.files_downloaded == 2
    assert plan.unchanged_files == stats.files_unchanged == 1
    assert len(plan.deleted) == stats.files_deleted == 1
    assert plan.download_bytes == stats.bytes_downloaded == 4
    assert plan.total_bytes == stats.bytes_total
    ready = of(PlanReady, told)[0]
    assert (ready.download_files, ready.delete_files) == (2, 1)  # type: ignore[attr-defined]


def test_a_plan_for_a_tool_that_is_not_there_leaves_nothing(updater: DeltaUpdater) -> None:
    assert updater.plan(MemorySource(SECOND)).download_files == 3
    assert not updater.tree.path.exists()


def test_every_event_is_a_line_of_json_with_its_name(
    installed: DeltaUpdater, told: list[Event]
) -> None:
    installed.update(MemorySource(SECOND))
    for event in told:
        line = msgspec.json.encode(event)
        assert json.loads(line)["event"] == type(event).__name__
        assert b"\n" not in line


def test_the_numbers_are_a_fold_over_the_events(installed: DeltaUpdater, told: list[Event]) -> None:
    stats = installed.update(MemorySource(SECOND))
    again = UpdateStats()
    for event in told:
        again.apply(event)
    assert again.as_json() == stats.as_json()


@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (lambda source: source.drop(DIGEST), "not-found"),
        (lambda source: source.lie(DIGEST, other_bytes), "digest-mismatch"),
        (lambda source: source.fail(DIGEST, *[unreachable()] * 9), "source-unreachable"),
    ],
    ids=["not there", "wrong", "unreachable"],
)
def test_a_failed_run_ends_with_its_reason_and_says_that_nothing_was_activated(
    installed: DeltaUpdater,
    told: list[Event],
    spoil: Callable[[MemorySource], None],
    outcome: str,
) -> None:
    source = MemorySource(SECOND)
    spoil(source)
    lines: list[str] = []
    updater = DeltaUpdater(
        installed.tree.path, listeners=(told.append, Narrator(lines.append, "en")), options=UNSIGNED
    )

    with pytest.raises(BitStationError) as failure:
        updater.update(source)

    assert failure.value.code == outcome
    assert (told[-1].outcome, told[-1].activated) == (outcome, False)  # type: ignore[attr-defined]
    assert f"[updater] ✗ Failed ({outcome}): nothing was activated" in lines
    assert installed.tree.current_version() == "1.0.0"


def test_trouble_on_the_way_is_told(installed: DeltaUpdater, told: list[Event]) -> None:
    source = MemorySource(SECOND)
    source.fail(DIGEST, unreachable())
    lies = [other_bytes]
    source.lie(DIGEST, lambda data: lies.pop()(data) if lies else data)

    installed.update(source)

    assert [(event.code, event.attempt) for event in of(SourceFailed, told)] == [  # type: ignore[attr-defined]
        ("source-unreachable", 1)
    ]
    failed = of(IntegrityFailed, told)
    assert [(event.path, event.healed) for event in failed] == [("a", True)]  # type: ignore[attr-defined]


def test_progress_moves_forward_and_arrives(installed: DeltaUpdater, told: list[Event]) -> None:
    installed.update(MemorySource(make_release({"x": MODEL[::-1] * 20}, "1.1.0")))
    total = next(e.total_bytes for e in told if isinstance(e, PhaseChanged) and e.phase == "fetch")
    done = [e.done_bytes for e in told if isinstance(e, TransferProgress) and e.phase == "fetch"]
    assert done == sorted(done)
    assert done[-1] == total == len(MODEL) * 20
    assert len(done) > 2


def test_a_first_install_and_a_rollback_are_told_in_words(make_updater: MakeUpdater) -> None:
    lines: list[str] = []
    updater = make_updater(listeners=(Narrator(lines.append, "en"),))
    updater.update(MemorySource(FIRST))
    assert "[updater] Current version: none" in lines
    assert "[updater]   ✓ 3 files downloaded" in lines
    assert "[updater]   ✓ Nothing to clean up" in lines
    updater.update(MemorySource(SECOND))
    lines.clear()

    updater.rollback()

    text = "\n".join(lines)
    assert "[updater] Starting: rollback" in text
    assert "[updater]   ✓ Release activated: v1.0.0" in text
    assert f"manifest_hash verified: {FIRST.manifest.manifest_hash[:8]}..." in text


def test_each_run_has_an_id_and_the_history_keeps_it(
    installed: DeltaUpdater, told: list[Event]
) -> None:
    installed.update(MemorySource(SECOND))
    record = installed.history()[-1]
    assert record.run_id == told[0].run_id
    assert (record.command, record.from_version, record.to_version) == ("update", "1.0.0", "1.1.0")
    assert (record.downloaded, record.unchanged, record.deleted, record.verified) == (2, 1, 1, 3)
    assert record.manifest_hash == SECOND.manifest.manifest_hash
    assert record.at.endswith("+00:00")


def test_the_history_is_bounded_and_survives_damage(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = installed.tree.history
    path.write_bytes(b"garbage\n" + path.read_bytes() + b'{"half": ')
    assert [record.to_version for record in installed.history()] == ["1.0.0"]
    monkeypatch.setattr(history, "MAX_RECORDS", 3)
    for _ in range(5):
        installed.verify()
    assert [record.command for record in installed.history()] == ["verify"] * 3


def test_a_release_that_was_verified_by_itself_says_when(installed: DeltaUpdater) -> None:
    assert installed.verify(deep=True).by_hash == 3
    assert installed.history()[-1].command == "verify"
    (installed.tree.release("1.0.0") / "a").write_bytes(b"?")
    installed.verify()
    assert len(installed.history()) == 2, "damage is no verification"
