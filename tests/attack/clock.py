"""A machine's clock that tests can set."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from bitstation import host
from bitstation.host import StatFacts

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
        # Windows makes no date of a moment before 1970 by itself.
        return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=self.now_s())).astimezone(zone)

    def stat_facts(self, path: Path | int) -> StatFacts:
        """Facts of a file, with the stamps that it had by this clock."""
        facts = self._stat_facts(path)
        mtime_ns, change_ns = map(self._shown_ns, (facts.mtime_ns, facts.change_ns))
        return facts._replace(mtime_ns=mtime_ns, change_ns=change_ns)

    def _shown_ns(self, real_ns: int) -> int:
        return real_ns + next(shift for at, shift in reversed(self._shifts_ns) if at <= real_ns)
