"""Pauses between attempts: longer each time, by chance, as the source wishes, and never endless."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.backoff import (
    MAX_RETRY_AFTER_S,
    Backoff,
    Retries,
    parse_http_date,
    parse_retry_after,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def most() -> float:
    return 1.0


def test_pauses_grow_and_end():
    backoff = Backoff(first_s=1, factor=2, longest_s=5, attempts=6)
    pauses = [backoff.pause_s(failures, most) for failures in range(1, 7)]
    assert pauses == [1, 2, 4, 5, 5, None]


def test_chance_decides_from_nothing_to_the_whole_pause():
    backoff = Backoff(first_s=8)
    assert [backoff.pause_s(1, lambda share=share: share) for share in (0.0, 0.25, 1.0)] == [
        0,
        2,
        8,
    ]


def test_what_the_source_asks_for_is_the_least():
    backoff = Backoff(first_s=1)
    assert backoff.pause_s(1, lambda: 0.5, 10) == 10.5
    assert backoff.pause_s(1, lambda: 0.5, 1e9) == MAX_RETRY_AFTER_S + 0.5
    assert backoff.pause_s(1, lambda: 0.5, -5) == 0.5


@given(
    st.builds(Backoff, st.floats(0, 1e3), st.floats(1, 10), st.floats(0, 1e3), st.just(10**9)),
    st.integers(1, 10**6),
    st.floats(0, 1),
    st.none() | st.floats(allow_nan=False),
)
def test_every_pause_is_bounded(
    backoff: Backoff, failures: int, share: float, asked_s: float | None
):
    pause_s = backoff.pause_s(failures, lambda: share, asked_s)
    assert pause_s is not None
    assert 0 <= pause_s <= backoff.longest_s + MAX_RETRY_AFTER_S


def test_progress_forgets_the_failures_and_patience_ends():
    now_s = [0.0]
    retries = Retries(Backoff(first_s=1, attempts=3, patience_s=100), most, lambda: now_s[0])
    assert [retries.failed(), retries.failed()] == [1, 4]
    retries.moved_on()
    assert [retries.failed(), retries.failed(), retries.failed()] == [1, 4, None]
    retries.moved_on()
    assert retries.failed(50) == 51
    now_s[0] = 60
    assert retries.failed(50) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("3600", MAX_RETRY_AFTER_S),
        ("9" * 10, MAX_RETRY_AFTER_S),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0),
        ("Sat, 03 Jan 2026 03:04:05 GMT", MAX_RETRY_AFTER_S),
        *(
            (text, None)
            for text in (
                *("", "soon", "-1", "1.5", "+5", "٣", "9" * 5000, "Fri, 02 Jan 2026 03:04:35 CET"),
                *("Fri, 99 Jan 2026 03:04:35 GMT", "Fri, 02 Foo 2026 03:04:35 GMT"),
                *("Fri, 02 Jan 0000 03:04:35 GMT", "Fri, 02 Jan 2026 25:04:35 GMT"),
                *("Fri, 02 Jan 2026 03:04:61 GMT", "Fri, 02 Jan 2026 03:04:99 GMT"),
            )
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(text: str, seconds: float | None):
    assert parse_retry_after(text, NOW) == seconds


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_http_date_is_read(moment: datetime):
    moment = moment.replace(microsecond=0)
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = "JanFebMarAprMayJunJulAugSepOctNovDec"
    day, month = days[moment.weekday()], months[moment.month * 3 - 3 : moment.month * 3]
    text = (
        f"{day}, {moment.day:02} {month} {moment.year:04}"
        f" {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )
    assert parse_http_date(text) == moment
    assert parse_http_date(text.replace(" GMT", " GMT" + " " * 5)) == moment
    assert parse_http_date(text + "x") is None


def test_a_leap_second_is_no_fault():
    last = datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == last
