"""The numbers are a fold over the events, and the report says them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitstation.core import events
from bitstation.core.events import Event
from bitstation.core.stats import UpdateStats


def event(kind: type[Event], **fields: Any) -> Event:
    return kind(run_id="r", seq=0, at_s=0.0, tool_id="t", **fields)


def started(**fields: Any) -> Event:
    given = {"command": "update", "from_version": "1.0.0", "to_version": "1.1.0", **fields}
    return event(events.RunStarted, manifest_hash="0" * 64, **given)


def placed(how: str, source: str = "", size: int = 10) -> Event:
    return event(events.EntryPlaced, path="p", size_bytes=size, how=how, source=source)


def folded(*told: Event) -> UpdateStats:
    stats = UpdateStats()
    for each in told:
        stats.apply(each)
    return stats


def test_each_event_is_counted_where_it_belongs() -> None:
    stats = folded(
        started(),
        event(events.BodyReceived, source="hq", body_bytes=7),
        event(events.BodyReceived, source="usb", body_bytes=5),
        event(events.BodyReceived, source="hq", body_bytes=1),
        placed("fetched", "hq"),
        placed("linked"),
        placed("kept", "hq"),
        placed("kept"),
        event(events.EntryVerified, path="p", by_hash=True),
        event(events.EntryVerified, path="p", by_hash=False),
        event(events.ReleaseActivated, version="1.1.0", manifest_hash="0" * 64, deleted_files=3),
        event(events.FilesCarried, files=2, size_bytes=9),
        event(events.ReleaseRetired, version="0.9.0", set_aside=4, destroyed=0),
        event(events.RunFinished, outcome="done", activated=True, seconds=1.5),
    )
    assert stats.as_json() == {
        "tool_id": "t",
        "from_version": "1.0.0",
        "to_version": "1.1.0",
        "manifest_hash": "0" * 64,
        "files_downloaded": 2,
        "files_verified": 2,
        "files_verified_by_hash": 1,
        "files_deleted": 3,
        "files_unchanged": 2,
        "files_carried": 2,
        "files_set_aside": 4,
        "bytes_downloaded": 13,
        "bytes_reused": 20,
        "bytes_total": 40,
        "seconds": 1.5,
        "sources": {"hq": 8, "usb": 5},
    }
    assert (stats.activated, stats.outcome, stats.files_skipped) == (True, "done", 2)
    json.dumps(stats.as_json())


def test_what_recovery_did_before_is_not_of_this_run() -> None:
    stats = folded(
        event(events.ReleaseActivated, version="1.0.0", manifest_hash="0" * 64, deleted_files=9),
        event(events.BodyReceived, source="hq", body_bytes=7),
        started(),
    )
    assert (stats.activated, stats.files_deleted, stats.sources) == (False, 0, {})


def test_two_stats_share_nothing() -> None:
    one, other = UpdateStats(), UpdateStats()
    one.apply(event(events.BodyReceived, source="hq", body_bytes=7))
    assert other.sources == {}


@pytest.mark.parametrize("lang", ["en", "es"])
def test_further_lines_follow_the_five(lang: str) -> None:
    stats = folded(
        started(),
        event(events.BodyReceived, source="hq", body_bytes=2_500_000),
        placed("fetched", "hq", 2_500_000),
        placed("linked", size=7_500_000),
        event(events.FilesCarried, files=2, size_bytes=9),
        event(events.ReleaseRetired, version="0.9.0", set_aside=4, destroyed=0),
        event(events.RunFinished, outcome="done", activated=True, seconds=61.25),
    )
    lines = stats.report(lang).splitlines()
    assert lines[0] == lines[2] == lines[-1] == "═" * 55
    values = [line.rpartition(":")[2].strip() for line in lines[3:-1]]
    assert values == ["1", "0", "0", "1", "2.50 MB", "7.50 MB", "75.0 %", "2", "4", "61.2 s"]
    # A sign takes two columns, whatever its length: what follows it is aligned.
    labels = [line.split(maxsplit=1)[1] for line in lines[3:-1]]
    columns = {len(label) - len(label.rpartition(":")[2].lstrip()) for label in labels}
    assert len(columns) == 1, "the values stand in one column"
