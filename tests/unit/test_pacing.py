"""Limits as people write them, which one counts, and a pacer that holds to it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.pacing import (
    DAY_S,
    MAX_LIMITS,
    Limit,
    parse_limit,
    parse_limits,
    rate_at,
    seconds_to_change,
)
from bitstation.errors import UpdateCancelled, UsageError
from bitstation.storage.hashing import Stop
from bitstation.transport.pacing import Pacer, local_time_s

HOUR_S = 3600


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("50MiB/s", Limit(50 * 2**20)),
        ("20MB/s@08:00-18:00", Limit(20_000_000, 8 * HOUR_S, 18 * HOUR_S)),
        ("0@08:00-12:00", Limit(0, 8 * HOUR_S, 12 * HOUR_S)),
        ("0B/s@8:00-24:00", Limit(0, 8 * HOUR_S, DAY_S)),
        ("1.5kB/s@22:30-06:00", Limit(1500, 22 * HOUR_S + 1800, 6 * HOUR_S)),
        ("100Mbit/s", Limit(12_500_000)),
        (" 1B/s ", Limit(1)),
    ],
)
def test_a_limit_is_read_as_people_write_it(text: str, limit: Limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        *("", "fast", "50", "50MiB", "50 MiB/s", "-1MB/s", "1e3MB/s", "50mb/s", "50XB/s", "0"),
        *("0B/s", "1MB/s@", "1MB/s@8-9", "1MB/s@08:00-08:00", "1MB/s@24:00-08:00"),
        *("1MB/s@08:60-09:00", "1MB/s@25:00-26:00", "0.001B/s", "1MB/s@08:00-18:00x", "٥MB/s"),
        "9" * 5000 + "MB/s",
    ],
)
def test_what_is_no_limit_is_refused(text: str):
    with pytest.raises(UsageError):
        parse_limit(text)


def test_limits_that_together_never_let_anything_through_are_refused():
    assert len(parse_limits(["0@08:00-20:00", "1MB/s@20:00-08:00"])) == 2
    with pytest.raises(UsageError, match="never"):
        parse_limits(["0@08:00-20:00", "0@20:00-08:00"])
    with pytest.raises(UsageError, match="never"):
        parse_limits(["0@00:00-12:00", "0@11:00-24:00"])
    with pytest.raises(UsageError):
        parse_limits(["1MB/s"] * (MAX_LIMITS + 1))


def test_the_strictest_limit_counts_and_midnight_is_no_end():
    limits = parse_limits(["9MB/s", "5MB/s@22:00-06:00", "0@23:00-01:00"])
    rates = {hour: rate_at(limits, hour * HOUR_S) for hour in (0, 1, 5, 6, 12, 21, 22, 23)}
    assert rates == {
        **{0: 0, 1: 5_000_000, 5: 5_000_000, 6: 9_000_000},
        **{12: 9_000_000, 21: 9_000_000, 22: 5_000_000, 23: 0},
    }
    assert rate_at(limits, DAY_S - 1) == 0
    assert rate_at(limits[1:2], 12 * HOUR_S) is None
    assert seconds_to_change(limits, 23.5 * HOUR_S) == 0.5 * HOUR_S
    assert seconds_to_change(limits, 12 * HOUR_S) == 10 * HOUR_S
    assert seconds_to_change([], 0) == DAY_S


_TIMES = st.integers(0, DAY_S - 1)
_LIMITS = st.builds(Limit, st.integers(0, 1000), _TIMES, _TIMES).filter(
    lambda limit: limit.start_s != limit.end_s
)


@given(st.lists(_LIMITS, max_size=4), _TIMES, st.floats(0, 0.999))
def test_no_rate_changes_before_it_is_said_to(limits: list[Limit], time_s: int, part: float):
    later_s = (time_s + part * seconds_to_change(limits, time_s)) % DAY_S
    assert rate_at(limits, later_s) == rate_at(limits, time_s)


class Clock(Stop):
    """A time that passes only when somebody waits."""

    def __init__(self, day_s: float = 0.0) -> None:
        super().__init__()
        self.now_s = 0.0
        self.late_s = 0.0
        self._day_s = day_s

    def monotonic(self) -> float:
        return self.now_s

    def time_of_day(self) -> float:
        return (self._day_s + self.now_s) % DAY_S

    def wait(self, seconds: float) -> None:
        self.check()
        self.now_s += seconds + self.late_s

    def pacer(self, *limits: str) -> Pacer:
        return Pacer(parse_limits(limits), self.monotonic, self.time_of_day)


def received(clock: Clock, pacer: Pacer, block: int, until_s: float) -> int:
    """Bytes that a receiver who is never kept waiting by its source gets until then."""
    total = 0
    while clock.now_s < until_s:
        pacer.take(block, clock)
        total += block
    return total


@pytest.mark.parametrize("block", [1, 999, 65_536, 2_000_000])
@pytest.mark.parametrize("late_s", [0.0, 0.016])
def test_a_limit_holds_within_a_tenth_over_ten_seconds(block: int, late_s: float):
    clock = Clock()
    clock.late_s = late_s
    rate = 1_000_000 if block > 1000 else 1000 * block
    if block == 1:
        clock.late_s = 0.0
    total = received(clock, clock.pacer(f"{rate}B/s"), block, 10.0)
    assert abs(total - rate * clock.now_s) <= rate
    assert abs(total / clock.now_s - rate) <= 0.1 * rate


def test_threads_share_one_limit():
    pacer_clock = Clock()
    lock = threading.Lock()

    class Shared(Clock):
        def wait(self, seconds: float) -> None:
            with lock:
                pacer_clock.now_s += seconds

    pacer = pacer_clock.pacer("1MB/s")
    threads = [
        threading.Thread(target=lambda: [pacer.take(10_000, Shared()) for _ in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Four million bytes are four seconds; waits of several threads may run side by side.
    assert pacer_clock.now_s >= 3.6


def test_without_a_limit_nobody_waits():
    clock = Clock()
    Pacer(()).take(10**12, clock)
    clock.pacer("1MB/s@08:00-09:00").take(10**12, clock)
    assert clock.now_s == 0


def test_forbidden_hours_are_waited_for_and_over_midnight_too():
    clock = Clock(day_s=22 * HOUR_S)
    clock.pacer("0@21:00-06:00").take(1, clock)
    assert clock.now_s == pytest.approx(8 * HOUR_S, abs=61)


def test_a_block_begun_under_one_limit_ends_under_the_next():
    clock = Clock(day_s=9 * HOUR_S - 10)
    clock.pacer("1KB/s@08:00-09:00").take(10**9, clock)
    assert clock.now_s == pytest.approx(10, abs=1)


def test_idle_time_is_not_saved_up():
    clock = Clock()
    pacer = clock.pacer("1MB/s")
    clock.now_s = 1000.0
    pacer.take(5_000_000, clock)
    assert clock.now_s >= 1004.8


@pytest.mark.parametrize("limit", ["1B/s", "0@00:00-23:59"])
def test_waiting_ends_when_stopping_is_asked_for(limit: str):
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(UpdateCancelled):
        Pacer(parse_limits([limit]), time_of_day=lambda: 0.0).take(10**9, stop)


def test_a_real_pacer_takes_its_time():
    import time

    start_s = time.monotonic()
    Pacer(parse_limits(["1MB/s"])).take(300_000, Stop())
    assert time.monotonic() - start_s >= 0.19
    assert 0 <= local_time_s() < DAY_S
