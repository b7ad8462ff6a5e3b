"""What is to be reached for each workload at full size, of what the same run measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from peers.outcome import Outcome, Workload

_MB = 1_000_000


class Target(NamedTuple):
    """What is to be reached at full size."""

    words: str
    met: Callable[[Workload, Outcome], bool]


def _at_most(size_bytes: int) -> Callable[[Workload, Outcome], bool]:
    return lambda _workload, ours: ours.wire_bytes <= size_bytes


def _no_worse(workload: Workload, ours: Outcome) -> bool:
    peers = [workload.of("zstd -3"), workload.of("casync")]
    sizes = [peer.wire_bytes for peer in peers if peer]
    return bool(sizes) and ours.wire_bytes <= min(sizes)


def _nothing(_workload: Workload, ours: Outcome) -> bool:
    return ours.wire_bytes <= 2_000 and ours.worker.median_s <= 0.4


_NO_WORSE = Target("no more than the better of zstd -3 whole and casync", _no_worse)
TARGETS = {
    "A": Target("<= 2 KB, <= 0.4 s", _nothing),
    "B": Target("<= 0.57 MB", _at_most(570_000)),
    "C": Target("<= 20 KB", _at_most(20_000)),
    "D": Target("<= 103 MB", _at_most(103 * _MB)),
    "E": _NO_WORSE,
    "E2": _NO_WORSE,
    "Em": _NO_WORSE,
    "Ef": _NO_WORSE,
    "F": Target("<= 2 KB in all", _at_most(2_000)),
    "G": Target("<= 51 MB", _at_most(51 * _MB)),
    "H": Target("<= 121 MB", _at_most(121 * _MB)),
}
