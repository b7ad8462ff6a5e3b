"""How long to wait before a source is asked again: by chance, longer each time, as it wishes.

Pure: chance and time are the caller's. Full jitter, because workers that were thrown out together
would otherwise come back together (it spreads 10,000 workers over the whole pause).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

MAX_RETRY_AFTER_S = 120.0

_SECONDS = re.compile(r"[0-9]{1,10}")
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Backoff(msgspec.Struct, frozen=True):
    """Pauses between attempts that got nowhere, in seconds.

    The n-th is anything up to ``first_s * factor ** (n - 1)``, at most ``longest_s``; after
    ``attempts`` failures in a row, or ``patience_s`` without progress, there is no other.
    """

    first_s: float = 0.25
    factor: float = 4.0
    longest_s: float = 30.0
    attempts: int = 4
    patience_s: float = 600.0

    def pause_s(
        self, failures: int, draw: Callable[[], float], retry_after_s: float | None = None
    ) -> float | None:
        """Pause after so many failures in a row; None when it is time to give up.

        ``draw`` gives a number from 0 to 1. What the source asked for is the least, and the
        jitter comes on top of it, bounded too.
        """
        if failures >= self.attempts:
            return None
        # The exponent is bounded, for the power of a large one is no float any more.
        most_s = min(self.longest_s, self.first_s * self.factor ** min(failures - 1, 64))
        asked_s = min(max(retry_after_s or 0.0, 0.0), MAX_RETRY_AFTER_S)
        return asked_s + draw() * most_s


class Retries:
    """Counts failures in a row against a Backoff."""

    def __init__(
        self, backoff: Backoff, draw: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._backoff = backoff
        self._draw = draw
        self._clock = clock
        self._since_s = 0.0
        self.failures = 0

    def moved_on(self) -> None:
        """Forget the failures: something was received."""
        self.failures = 0

    def failed(self, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait before the next attempt; None when there should be none."""
        if self.failures == 0:
            self._since_s = self._clock()
        self.failures += 1
        pause_s = self._backoff.pause_s(self.failures, self._draw, retry_after_s)
        waited_s = self._clock() - self._since_s
        if pause_s is None or waited_s + pause_s > self._backoff.patience_s:
            return None
        return pause_s


def parse_http_date(text: str) -> datetime | None:
    """Moment of an HTTP date; None for what is none. Source: RFC 9110, section 5.6.7.

    Of the obsolete forms, which a sender may not use, none is read.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[number]) for number in (1, 3, 4, 5, 6))
    if second > 60:
        return None
    try:
        return datetime(
            year, _MONTHS.index(found[2]) + 1, day, hour, minute, min(second, 59), tzinfo=UTC
        )
    except ValueError:
        return None


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for, 0 to MAX_RETRY_AFTER_S; None for what says nothing.

    ``now`` is best the answer's own Date, so that a wrong clock here does no harm.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    moment = parse_http_date(text)
    if moment is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
