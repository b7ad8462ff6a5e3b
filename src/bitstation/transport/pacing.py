"""Downloads held to a rate: one pacer for all threads of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bitstation.core.pacing import Limit, rate_at, seconds_to_change

# What is waited for at once: so soon does another limit count, another thread get its turn.
PIECE_S = 0.5
# A wait that ended late is made up for, up to this much: on Windows a sleep is 16 ms exact.
SLACK_S = 0.1
# Nothing allowed: so often is the time of day looked at, which a user may set meanwhile.
LOOK_AGAIN_S = 60.0


def local_time_s() -> float:
    """Seconds since midnight, as the clock on the wall shows it."""
    now = time.localtime()
    return now.tm_hour * 3600.0 + now.tm_min * 60.0 + now.tm_sec


class Stoppable(Protocol):
    """Whatever may end a wait before its time."""

    def check(self) -> None:
        """Raise UpdateCancelled once it is over."""

    def wait(self, seconds: float) -> None:
        """Sleep; raise UpdateCancelled as soon as it is over."""


class Pacer:
    """Lets bytes through at the rate of the strictest limit that counts now.

    ``clock`` is monotonic, in seconds; ``time_of_day`` in seconds since local midnight.
    """

    def __init__(
        self,
        limits: Sequence[Limit],
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = local_time_s,
    ) -> None:
        self._limits = tuple(limits)
        self._clock = clock
        self._time_of_day = time_of_day
        self._lock = threading.Lock()
        self._free_s = clock()

    def take(self, count: int, stop: Stoppable) -> None:
        """Wait until ``count`` bytes are paid for; call it after receiving them, or before.

        Threads take turns in pieces of half a second, in the order in which they came.
        Raises UpdateCancelled as soon as stopping is asked for.
        """
        left = count
        while self._limits and left > 0:
            stop.check()
            time_s = self._time_of_day()
            rate = rate_at(self._limits, time_s)
            if rate is None:
                return
            if rate == 0:
                stop.wait(min(seconds_to_change(self._limits, time_s), LOOK_AGAIN_S))
                continue
            piece = min(left, max(1, int(rate * PIECE_S)))
            wait_s = self._reserve(piece / rate)
            if wait_s > 0:
                stop.wait(wait_s)
            left -= piece

    def _reserve(self, cost_s: float) -> float:
        """Book the next stretch of time; seconds until its end."""
        with self._lock:
            now_s = self._clock()
            self._free_s = max(self._free_s, now_s - SLACK_S) + cost_s
            return self._free_s - now_s
