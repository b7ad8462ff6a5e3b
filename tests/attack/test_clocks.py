"""K1-K5 and K8-K10: the machine's clock is wrong, jumps, or is another one after each boot."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

import bitstation
from bitstation import DeltaUpdater, Eligibility, host
from bitstation.core.digest import digest_of
from bitstation.core.events import Event, RunFinished
from bitstation.core.pacing import parse_limits
from bitstation.errors import SourceUnreachable
from bitstation.host import StatFacts
from bitstation.storage.blobs import BlobFolder
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.transport.hq import _retry_after_s
from bitstation.transport.pacing import Pacer
from bitstation.worker import history, intake, run
from bitstation.worker.run import Options
from tests.attack.updates import FIRST, NEW_MODEL, SECOND, source_of, updates

SECOND_NS = 1_000_000_000
DAY_S = 86_400
YEAR_S = 365 * DAY_S


class Clock:
    """The machine's clock: what programs are told, and what the volume writes on files."""

    def __init__(self) -> None:
        self._shifts_ns = [(0, 0)]
        self._stat_facts = host.stat_facts

    def jump(self, seconds: float) -> None:
        """Set it forward, or back."""
        # Volumes count in ticks of up to 10 ms: what was written before stays before.
        time.sleep(0.02)
        shift_ns = self._shifts_ns[-1][1] + int(seconds * SECOND_NS)
        self._shifts_ns.append((time.time_ns(), shift_ns))
        time.sleep(0.02)

    def set(self, moment: datetime) -> None:
        """Set it to a moment."""
        self.jump(moment.timestamp() - self.now_s())

    def now_s(self) -> float:
        """What it shows."""
        return self._shown_ns(time.time_ns()) / SECOND_NS

    def now(self, zone: tzinfo | None = None) -> datetime:
        """The same, as programs ask for it."""
        return datetime.fromtimestamp(self.now_s(), zone)

    def stat_facts(self, path: Path | int) -> StatFacts:
        """Facts of a file, with the stamps that it had by this clock."""
        facts = self._stat_facts(path)
        mtime_ns, change_ns = map(self._shown_ns, (facts.mtime_ns, facts.change_ns))
        return facts._replace(mtime_ns=mtime_ns, change_ns=change_ns)

    def _shown_ns(self, real_ns: int) -> int:
        return real_ns + next(shift for at, shift in reversed(self._shifts_ns) if at <= real_ns)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that can be set, in place of the machine's."""
    clock = Clock()
    for module in (history, run):
        monkeypatch.setattr(module, "datetime", clock)
    monkeypatch.setattr(host, "stat_facts", clock.stat_facts)
    return clock


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
    source, options = MemorySource(*releases), Options(keep=3, allow_downgrade=True)
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

    DeltaUpdater(updater.tree.path, disk=SetBack()).update(source_of(FIRST))
    assert updater.verify().by_hash >= 1
    assert eligibility(updater) == Eligibility.ELIGIBLE


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S, 20 * YEAR_S, -20 * YEAR_S])
def test_k05_jump_during_an_update(updater: DeltaUpdater, clock: Clock, seconds: int) -> None:
    """Its length is told by another clock, and what came before it in time comes before it."""
    told: list[Event] = []
    updates(updater, source_of(FIRST), FIRST)
    source = source_of(SECOND, FIRST)
    source.before_open = lambda _asked: clock.jump(seconds)
    watched = DeltaUpdater(updater.tree.path, disk=QuickDisk(), listeners=(told.append,))
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


class Waiting:
    """Stands for the run and for both of its clocks: a wait moves them, and takes no time."""

    def __init__(self, utc_s: float) -> None:
        self.utc_s = utc_s
        self.waited_s = 0.0

    def check(self) -> None:
        return

    def wait(self, seconds: float) -> None:
        self.waited_s += seconds
        self.utc_s += seconds

    def monotonic(self) -> float:
        return self.waited_s


@pytest.fixture
def madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone with a summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: the zone of a process")
@pytest.mark.usefixtures("madrid")
@pytest.mark.parametrize(
    ("begin", "waited_s"),
    [
        # 02:30 in summer, half an hour before it is 02:00 again.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 5400),
        # 01:59:30 in winter: the hour from 02:00 on there is not.
        (datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC), 0),
        (datetime(2026, 7, 1, 0, 30, tzinfo=UTC), 1800),
    ],
    ids=["back", "forward", "summer"],
)
def test_k09_daylight_saving_time(
    monkeypatch: pytest.MonkeyPatch, begin: datetime, waited_s: int
) -> None:
    """Hours without downloads are those on the wall: one of them may be two, or none."""
    waiting, real = Waiting(begin.timestamp()), time.localtime
    monkeypatch.setattr(time, "localtime", lambda: real(waiting.utc_s))
    pacer = Pacer(parse_limits(["0@02:00-03:00"]), waiting.monotonic)
    for _ in range(3):
        pacer.take(1000, waiting)
        waiting.wait(0)
    assert waited_s <= waiting.waited_s <= waited_s + 60


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: the zone of a process")
@pytest.mark.usefixtures("madrid")
def test_k09_history_is_told_in_utc(updater: DeltaUpdater, clock: Clock) -> None:
    clock.set(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    updates(updater, source_of(FIRST), FIRST)
    clock.jump(3600)
    updates(updater, source_of(SECOND, FIRST), SECOND)
    first, second = (datetime.fromisoformat(record.at) for record in updater.history())
    assert first.utcoffset() == second.utcoffset() == UTC.utcoffset(None)
    assert 3590 < (second - first).total_seconds() < 3700


def test_k10_pauses_do_not_hear_of_the_clock(
    updater: DeltaUpdater, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that fails is asked as often as ever, and waited for as long."""
    monkeypatch.setattr(intake, "FIRST_PAUSE_S", 0.01)
    for jump_s in (DAY_S, -DAY_S):
        source = source_of(SECOND)
        failure = SourceUnreachable(source="memory", detail="gone")
        source.fail(NEW_MODEL, *[failure] * 20)
        source.before_open = lambda _asked, jump_s=jump_s: clock.jump(jump_s)  # type: ignore[misc]
        begin_s = time.monotonic()
        with pytest.raises(SourceUnreachable):
            updater.update(source)
        assert len([each for each in source.asked if each.digest == NEW_MODEL]) == intake.ATTEMPTS
        assert time.monotonic() - begin_s < 30


def test_k10_a_rate_does_not_hear_of_the_clock() -> None:
    waiting = Waiting(0.0)
    moments = iter(range(0, 86_400 * 1000, 7_919))
    pacer = Pacer(parse_limits(["1000B/s"]), waiting.monotonic, lambda: next(moments) % 86_400)
    for _ in range(20):
        pacer.take(500, waiting)
    assert 9.8 <= waiting.waited_s <= 10


@pytest.mark.parametrize("year", [1970, 2026, 2100])
def test_k10_retry_after_is_told_by_the_clock_of_who_said_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    clock.set(datetime(year, 1, 1, tzinfo=UTC))
    monkeypatch.setattr("bitstation.transport.hq.datetime", clock)
    said = {"date": "Fri, 13 Feb 2026 23:59:50 GMT", "retry-after": "Sat, 14 Feb 2026 00:00:20 GMT"}
    assert _retry_after_s(said) == 30


MOMENTS = {
    # What is written down for people, and of a server that gave no clock of its own.
    *("worker/history.py", "worker/run.py", "transport/hq.py"),
    # How long nobody has gone on with an upload, across restarts.
    "storage/blobs.py",
}


def test_k10_nothing_that_waits_reads_the_clock() -> None:
    """Of the rooms that wait, only these files ask for the time of day, and none waits by it."""
    top = Path(bitstation.__file__).parent
    asking = {
        path.relative_to(top).as_posix()
        for room in ("core", "host", "storage", "transport", "worker")
        for path in (top / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr)
        in {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}
    }
    assert asking == MOMENTS
