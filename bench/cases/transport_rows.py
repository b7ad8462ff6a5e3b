"""What the transport case shows: a row a workload, one table of all ways, and plots."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import corpus
import plots as drawing
import timing
import workshop
from report import Row, markdown

if TYPE_CHECKING:
    from cases.transport import Absent, Outcome

OURS = "BitStation"
_MB = 1_000_000
_HASH = """
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    hashlib.file_digest(file, "sha256")
"""


class Yardsticks(NamedTuple):
    """What the largest new file costs to hash, and to copy and then hash."""

    hash_s: float
    copy_s: float


class Workload(NamedTuple):
    """All outcomes of one pair of trees."""

    pair: corpus.Pair
    outcomes: Sequence[Outcome | Absent]
    yardsticks: Yardsticks

    @property
    def measured(self) -> list[Outcome]:
        """Those that gave figures."""
        return [each for each in self.outcomes if hasattr(each, "worker")]

    def of(self, way: str) -> Outcome | None:
        """One of them."""
        return next((each for each in self.measured if each.way == way), None)


class Target(NamedTuple):
    """What is to be reached at full size."""

    words: str
    met: Callable[[Workload, Outcome], bool]


def hash_command(path: Path) -> list[str | Path]:
    """One pass of SHA-256 as a process."""
    return [sys.executable, "-c", _HASH, path]


def copy_command(path: Path, target: Path) -> list[str | Path]:
    """cp, then one pass of SHA-256 over the copy."""
    script = 'cp "$1" "$2" && "$3" -c "$4" "$2"'
    return ["sh", "-c", script, "sh", path, target, sys.executable, _HASH]


def _at_most(size_bytes: int) -> Callable[[Workload, Outcome], bool]:
    return lambda _workload, ours: ours.wire_bytes <= size_bytes


def _no_worse(workload: Workload, ours: Outcome) -> bool:
    peers = [workload.of("zstd -3"), workload.of("casync")]
    sizes = [peer.wire_bytes for peer in peers if peer]
    return bool(sizes) and ours.wire_bytes <= min(sizes)


def _metadata(workload: Workload, ours: Outcome) -> bool:
    rulers = workload.yardsticks
    quick = ours.worker.median_s <= 1.3 * rulers.copy_s
    return quick and ours.publisher.wall_s <= 3 * rulers.hash_s and ours.wire_bytes <= 20_000


def _nothing(_workload: Workload, ours: Outcome) -> bool:
    return ours.wire_bytes <= 2_000 and ours.worker.median_s <= 0.4


_NO_WORSE = Target("no more than the better of zstd -3 whole and casync", _no_worse)
TARGETS = {
    "A": Target("<= 2 KB, <= 0.4 s", _nothing),
    "B": Target("<= 0.57 MB", _at_most(570_000)),
    "C": Target("<= 20 KB; worker <= 1.3 x (cp + SHA-256); publisher <= 3 x SHA-256", _metadata),
    "D": Target("<= 103 MB", _at_most(103 * _MB)),
    "E": _NO_WORSE,
    "E2": _NO_WORSE,
    "Em": _NO_WORSE,
    "Ef": _NO_WORSE,
    "F": Target("<= 2 KB in all", _at_most(2_000)),
    "G": Target("<= 51 MB", _at_most(51 * _MB)),
    "H": Target("<= 121 MB", _at_most(121 * _MB)),
}


def row(shop: workshop.Workshop, workload: Workload) -> Row:
    """Ours beside the most frugal and the fastest of the others; judged at full size only."""
    pair, ours, target = workload.pair, workload.of(OURS), TARGETS[workload.pair.letter]
    case = f"{pair.letter}: {pair.title} ({pair.new_bytes / _MB:.0f} MB)"
    others = [each for each in workload.measured if each.way != OURS]
    peer = "none"
    if others:
        frugal = min(others, key=lambda each: each.wire_bytes)
        fast = min(others, key=lambda each: each.worker.median_s)
        peer = f"fewest bytes: {_brief(frugal)}; fastest: {_brief(fast)}"
    if ours is None:
        reasons = [each.reason for each in workload.outcomes if each.way == OURS]  # type: ignore[union-attr]
        return Row(case, f"not measured: {reasons[0]}", peer, "", target.words, False)
    figure = f"worker {_cost(ours.worker)}; publisher {_cost(timing.Series((ours.publisher,)))}"
    if pair.letter == "C":
        rulers = workload.yardsticks
        figure += f"; cp + SHA-256 {rulers.copy_s:.2f} s, SHA-256 {rulers.hash_s:.2f} s"
    met = target.met(workload, ours) if shop.sizes.scale == 1 else None
    return Row(case, f"{wire_text(ours.wire_bytes)} in all", peer, figure, target.words, met)


def _brief(outcome: Outcome) -> str:
    return f"{outcome.way} {wire_text(outcome.wire_bytes)}, {outcome.worker.median_s:.2f} s"


def _cost(series: timing.Series) -> str:
    peak = max(run.private_bytes for run in series.runs)
    return (
        f"{series.seconds()}, {series.peak_rss_bytes / _MB:.0f} MB RSS ({peak / _MB:.0f} private)"
    )


def wire_text(size_bytes: int) -> str:
    """Bytes with three figures, in the unit that fits."""
    for unit, size in (("MB", _MB), ("KB", 1000)):
        if size_bytes >= size:
            value = size_bytes / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{size_bytes} B"


_HEADS = ("workload", "way", "to worker", "from worker", "worker", "CPU", "peak RSS (private)",
          "server CPU", "publisher", "CPU", "peak RSS (private)")  # fmt: skip


def details(found: Sequence[Workload]) -> str:
    """A line for each workload and way."""
    lines = []
    for workload in found:
        for each in workload.outcomes:
            name = f"{workload.pair.letter} {workload.pair.title}"
            if not hasattr(each, "worker"):
                lines.append((name, each.way, each.reason, *[""] * 8))
                continue
            lines.append((name, each.way, *_figures(each)))
    return "Everything that was measured:\n\n" + markdown(_HEADS, lines)


def _figures(each: Outcome) -> tuple[str, ...]:
    private = max(run.private_bytes for run in each.worker.runs)
    return (
        wire_text(each.down_bytes),
        wire_text(each.up_bytes),
        each.worker.seconds(),
        f"{each.worker.cpu_s:.2f} s",
        _memory(each.worker.peak_rss_bytes, private),
        f"{each.server_cpu_s:.2f} s",
        f"{each.publisher.wall_s:.2f} s",
        f"{each.publisher.cpu_s:.2f} s",
        _memory(each.publisher.peak_rss_bytes, each.publisher.private_bytes),
    )


def _memory(peak: int, private: int) -> str:
    return f"{peak / _MB:.0f} ({private / _MB:.0f}) MB" if peak else "-"


def plots(found: Sequence[Workload]) -> dict[str, str]:
    """What goes over the wire, the seconds of worker and publisher, and their memory."""
    figures: dict[str, tuple[str, Callable[[float], str], Callable[[Outcome], float]]] = {
        "wire": ("Bytes between worker and server", _wire_label, lambda o: o.wire_bytes),
        "worker-seconds": ("Seconds of the worker", _seconds, lambda o: o.worker.median_s),
        "publisher-seconds": ("Seconds of the publisher", _seconds, lambda o: o.publisher.wall_s),
        "worker-memory": ("Peak memory of the worker", _wire_label,
                          lambda o: o.worker.peak_rss_bytes),
        "publisher-memory": ("Peak memory of the publisher", _wire_label,
                             lambda o: o.publisher.peak_rss_bytes),
    }  # fmt: skip
    return {
        f"{name}.svg": drawing.bars(title, [_panel(each, of) for each in found], label)
        for name, (title, label, of) in figures.items()
        if found
    }


def _panel(workload: Workload, of: Callable[[Outcome], float]) -> drawing.Panel:
    pair = workload.pair
    title = f"{pair.letter}  {pair.title}, {pair.new_bytes / _MB:.0f} MB"
    values: list[tuple[str, float | None]] = [(each.way, of(each)) for each in workload.measured]
    missing = [each.way for each in workload.outcomes if each not in workload.measured]
    return drawing.Panel(title, [*values, *((way, None) for way in missing)])


def _wire_label(value: float) -> str:
    return wire_text(round(value))


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
