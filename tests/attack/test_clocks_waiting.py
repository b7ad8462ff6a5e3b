"""K9 and K10: what waits, and hours of the day, while clocks are set."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import bitstation
from bitstation import DeltaUpdater
from bitstation.core.pacing import parse_limits
from bitstation.errors import SourceUnreachable
from bitstation.transport.hq import _retry_after_s
from bitstation.transport.pacing import Pacer
from bitstation.worker import intake
from tests.attack.clock import DAY_S, Clock
from tests.attack.updates import FIRST, NEW_MODEL, SECOND, source_of, updates


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
