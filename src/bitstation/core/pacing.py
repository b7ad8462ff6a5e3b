"""How fast may be downloaded at a time of day: limits as people write them, the one that counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from bitstation.errors import UsageError

DAY_S = 24 * 60 * 60
MAX_LIMITS = 100

_UNITS = {
    "B": 1,
    **{"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
}
_BITS = {"kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_LIMIT = re.compile(
    r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?:(?P<unit>[A-Za-z]+)/s)?"
    r"(?:@(?P<start>[0-9]{1,2}:[0-9]{2})-(?P<end>[0-9]{1,2}:[0-9]{2}))?"
)
_FORMS = "write 50MiB/s, 20MB/s@08:00-18:00 or 0@08:00-12:00"


class Limit(msgspec.Struct, frozen=True):
    """At most so many bytes a second from a time of day to another (seconds since midnight).

    An end before the start is on the next day; start and end of the day are 0 and DAY_S.
    """

    bytes_per_s: int
    start_s: int = 0
    end_s: int = DAY_S

    def applies(self, time_s: float) -> bool:
        """Say whether it counts at a time of day; at its end it does not any more."""
        if self.start_s < self.end_s:
            return self.start_s <= time_s < self.end_s
        return time_s >= self.start_s or time_s < self.end_s


def parse_limit(text: str) -> Limit:
    """Limit as somebody wrote it. Raises UsageError.

    kB, MB and GB are powers of 1000, KiB, MiB and GiB of 1024, kbit, Mbit and Gbit bits.
    """
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise UsageError(detail=f"{text!r} is no limit: {_FORMS}")
    bytes_per_s = _bytes_per_s(text, Decimal(found["number"]), found["unit"])
    if found["start"] is None:
        if bytes_per_s == 0:
            raise UsageError(detail=f"{text!r} would never let anything through: give it hours")
        return Limit(bytes_per_s)
    start_s, end_s = _time_s(text, found["start"]), _time_s(text, found["end"])
    if start_s in (DAY_S, end_s):
        raise UsageError(detail=f"{text!r} names no hours: {_FORMS}")
    return Limit(bytes_per_s, start_s, end_s)


def parse_limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Limits as somebody wrote them. Raises UsageError, also where no byte ever gets through."""
    limits = tuple(map(parse_limit, texts))
    if len(limits) > MAX_LIMITS:
        raise UsageError(detail=f"more than {MAX_LIMITS} limits")
    moments = {0, *(limit.end_s % DAY_S for limit in limits)}
    if all(rate_at(limits, moment) == 0 for moment in moments):
        raise UsageError(detail="these limits together never let anything through")
    return limits


def rate_at(limits: Iterable[Limit], time_s: float) -> int | None:
    """Bytes a second allowed at a time of day: the strictest limit; None where there is none."""
    return min((each.bytes_per_s for each in limits if each.applies(time_s)), default=None)


def seconds_to_change(limits: Iterable[Limit], time_s: float) -> float:
    """Seconds until the next time of day at which another limit may count, at most a day."""
    edges = {edge % DAY_S for each in limits for edge in (each.start_s, each.end_s)}
    return min(((edge - time_s) % DAY_S or DAY_S for edge in edges), default=DAY_S)


def _bytes_per_s(text: str, number: Decimal, unit: str | None) -> int:
    if unit is None:
        if number:
            raise UsageError(detail=f"{text!r} has no unit: {_FORMS}")
        return 0
    if unit in _BITS:
        found = int(number * _BITS[unit] / 8)
    elif unit in _UNITS:
        found = int(number * _UNITS[unit])
    else:
        known = ", ".join([*_UNITS, *_BITS])
        raise UsageError(detail=f"{text!r} has an unknown unit; there are {known}, each with /s")
    if number and not found:
        raise UsageError(detail=f"{text!r} is less than a byte a second")
    return found


def _time_s(text: str, clock: str) -> int:
    hour, _, minute = clock.partition(":")
    seconds = int(hour) * 3600 + int(minute) * 60
    if int(minute) > 59 or seconds > DAY_S:
        raise UsageError(detail=f"{text!r}: {clock} is no time of day")
    return seconds
