"""K1-K5 and K8: the machine's clock is wrong, jumps, or is another one after each boot."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.core.digest import digest_of
from bitstation.core.events import Event, RunFinished
from bitstation.storage.blobs import BlobFolder
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.worker.run import Options
from tests.attack.clock import DAY_S, YEAR_S, Clock
from tests.attack.updates import FIRST, SECOND, source_of, updates


def eligibility(updater: DeltaUpdater, release: object = FIRST) -> Eligibility:
    manifest = release.release.manifest  # type: ignore[attr-defined]
    return updater.get_network_eligibility(manifest.tool_version, manifest.manifest_hash)


def lives(updater: DeltaUpdater, between: Callable[[], None] = lambda: None) -> None:
    """Everything that is done to a tool, in its order; nothing is read again for the clock."""
    updates(updater, source_of(FIRST), FIRST)
    between()
    updates(updater, source_of(SECOND, FIRST), SECOND)
    between()
    assert updater.verify().by_hash == 0
    assert updater.rollback().to_version == "1.0.0"
    between()
    assert eligibility(updater) == Eligibility.ELIGIBLE
    assert updater.rollback().to_version == "1.1.0"
    updater.gc()
    between()
    assert updater.tree.kept_versions() == ["1.1.0", "1.0.0"]
    assert eligibility(updater, SECOND) == Eligibility.ELIGIBLE
    assert updater.verify().by_hash == 0
    commands = [record.command for record in updater.history()]
    assert commands == ["update", "update", "verify", "rollback", "rollback", "verify"]


def edit_is_seen(updater: DeltaUpdater) -> None:
    """A change of one byte by somebody else, now: nobody takes the file for what it was."""
    path = updater.tree.release("1.1.0") / "run.py"
    path.write_bytes(path.read_bytes()[::-1])
    assert eligibility(updater, SECOND) == Eligibility.OUTDATED


def test_k01_1970(updater: DeltaUpdater, clock: Clock) -> None:
    clock.set(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
    lives(updater)
    assert updater.history()[0].at.startswith("1970-01-01T00:00:")
    edit_is_seen(updater)


@pytest.mark.parametrize("year", [2038, 2107, 2261])
def test_k02_2038_and_later(updater: DeltaUpdater, clock: Clock, year: int) -> None:
    """Beyond 31 and 32 bits of seconds, up to what 63 bits of nanoseconds can tell."""
    clock.set(datetime(year, 2, 7, tzinfo=UTC))
    lives(updater)
    assert updater.history()[0].at.startswith(f"{year}-02-07T")
    edit_is_seen(updater)


def test_k03_a_day_ahead(updater: DeltaUpdater, clock: Clock) -> None:
    lives(updater, lambda: clock.jump(DAY_S))
    edit_is_seen(updater)


def test_k04_a_day_back(updater: DeltaUpdater, clock: Clock) -> None:
    lives(updater, lambda: clock.jump(-DAY_S))
    edit_is_seen(updater)


def test_k04_a_day_back_does_not_mix_up_what_was_before(root: Path, clock: Clock) -> None:
    """A rollback returns from where one came, not to what has the latest date."""
    releases = [make_release({"a": b"%d" % number}, f"1.{number}.0") for number in range(3)]
    source, options = (
        MemorySource(*releases),
        Options(allow_unsigned=True, keep=3, allow_downgrade=True),
    )
    updater = DeltaUpdater(root / TOOL_ID, disk=QuickDisk(), options=options)
    for release in releases:
        updater.update(source, release.version)
    clock.jump(-DAY_S)
    updater.update(source, "1.1.0")
    assert updater.rollback().to_version == "1.2.0"


def test_k04_a_second_back_between_writing_and_remembering(
    updater: DeltaUpdater, clock: Clock
) -> None:
    """The stamps may come a second time soon: no proof is kept that a later change could share."""

    class SetBack(QuickDisk):
        def sync_dir(self, path: Path) -> None:
            if path.name == "v1.0.0":
                clock.jump(-1)

    DeltaUpdater(updater.tree.path, disk=SetBack(), options=UNSIGNED).update(source_of(FIRST))
    assert updater.verify().by_hash >= 1
    assert eligibility(updater) == Eligibility.ELIGIBLE


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S, 20 * YEAR_S, -20 * YEAR_S])
def test_k05_jump_during_an_update(updater: DeltaUpdater, clock: Clock, seconds: int) -> None:
    """Its length is told by another clock, and what came before it in time comes before it."""
    told: list[Event] = []
    updates(updater, source_of(FIRST), FIRST)
    source = source_of(SECOND, FIRST)
    source.before_open = lambda _asked: clock.jump(seconds)
    watched = DeltaUpdater(
        updater.tree.path, disk=QuickDisk(), listeners=(told.append,), options=UNSIGNED
    )
    updates(watched, source, SECOND)
    (end,) = [event for event in told if isinstance(event, RunFinished)]
    assert 0 < end.seconds < 600
    assert all(0 <= record.seconds < 600 for record in updater.history())
    assert updater.rollback().to_version == "1.0.0"
    assert eligibility(updater) == Eligibility.ELIGIBLE


def test_k08_no_clock_between_boots(updater: DeltaUpdater, clock: Clock) -> None:
    """Each boot begins in 1970 again: order is told by what follows what, not by when."""
    boot = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    lives(updater, lambda: clock.set(boot))
    edit_is_seen(updater)


def test_k08_uploads_at_an_hq_without_a_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the future by its clock stays; what seems old is given up, and sent again."""
    data = b"x" * 1000
    folder = BlobFolder(tmp_path, QuickDisk())
    with folder.upload(digest_of(data), len(data)) as upload:  # type: ignore[union-attr]
        upload.write(data[:500])
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: 60.0)
        assert folder.sweep_incoming(DAY_S) == 0
    assert folder.received(digest_of(data)) == 500
    later_s = time.time() + YEAR_S
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert BlobFolder(tmp_path, QuickDisk()).sweep_incoming(DAY_S) == 1
    with BlobFolder(tmp_path).upload(digest_of(data), len(data)) as upload:  # type: ignore[union-attr]
        assert upload.received == 0
        upload.write(data)
        upload.finish()
    assert folder.has(digest_of(data))
