"""A machine with several tools: each kept at what its HQ requires, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation import PCWorker
from bitstation.core.wire import Requirement
from bitstation.errors import DigestMismatch, UpdateCancelled
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import UNSIGNED, Release, make_release
from bitstation.transport.hq import HqClient, HqSource

NAMES = ("one", "three", "two")
RELEASES = {name: make_release({"main.py": name.encode()}, "1.0.0", tool_id=name) for name in NAMES}


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> MemorySource:
    """An HQ that lives in memory and requires all of the releases."""
    source = MemorySource(*RELEASES.values())
    demands = [
        Requirement(name, "stable", "1.0.0", release.manifest.manifest_hash)
        for name, release in RELEASES.items()
    ]
    monkeypatch.setattr(HqClient, "requirements", lambda _client, _channel: demands)
    for name in ("_resolve", "_open"):
        monkeypatch.setattr(
            HqSource, name, lambda _self, *given, at=name: getattr(source, at)(*given)
        )
    return source


@pytest.fixture
def worker(tmp_path: Path, source: MemorySource) -> Iterator[PCWorker]:
    with PCWorker(tmp_path / "tools", "http://127.0.0.1:1", options=UNSIGNED) as worker:
        yield worker


def digest(release: Release) -> str:
    return release.manifest.entries[0].sha256


def test_every_tool_is_brought_to_what_is_required(worker: PCWorker) -> None:
    assert {str(each.eligibility) for each in worker.standing()} == {"NO_INSTALLATION"}

    stats = worker.update_all()

    assert [each.tool_id for each in stats] == list(NAMES)
    standing = worker.standing()
    assert [(each.installed, str(each.eligibility)) for each in standing] == [
        ("1.0.0", "ELIGIBLE")
    ] * 3
    assert [each.outcome for each in worker.update_all()] == ["nothing-to-do"] * 3


def test_a_tool_that_fails_does_not_keep_the_others_from_theirs(
    worker: PCWorker, source: MemorySource
) -> None:
    source.lie(digest(RELEASES["one"]), other_bytes)

    with pytest.raises(DigestMismatch):
        worker.update_all()

    standing = {each.requirement.tool_id: each.installed for each in worker.standing()}
    assert standing == {"one": None, "three": "1.0.0", "two": "1.0.0"}


def test_being_told_to_stop_ends_all_of_it(worker: PCWorker, source: MemorySource) -> None:
    def stop(_asked: object) -> None:
        raise UpdateCancelled

    source.before_open = stop
    with pytest.raises(UpdateCancelled):
        worker.update_all()
    assert [each.installed for each in worker.standing()] == [None] * 3
    assert len(source.asked) == 1
