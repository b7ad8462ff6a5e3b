"""What a comparison finds: figures of each way for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import timing
from corpus import Pair

OURS = "BitStation"


class Outcome(NamedTuple):
    """What one way cost for one workload. Wire bytes are counted between worker and server."""

    way: str
    publisher: timing.Measured
    worker: timing.Series
    down_bytes: int
    up_bytes: int
    server_cpu_s: float
    told_bytes: int | None = None

    @property
    def wire_bytes(self) -> int:
        """Both ways together: the figure of record."""
        return self.down_bytes + self.up_bytes

    @property
    def worker_private_bytes(self) -> int:
        """Most private memory of all runs."""
        return max(run.private_bytes for run in self.worker.runs)


class Absent(NamedTuple):
    """A way that gave no figures, and why."""

    way: str
    reason: str


class Workload(NamedTuple):
    """All that was found for one pair of trees."""

    pair: Pair
    measured: Sequence[Outcome]
    absent: Sequence[Absent]

    def of(self, way: str) -> Outcome | None:
        """One of those measured."""
        return next((each for each in self.measured if each.way == way), None)
