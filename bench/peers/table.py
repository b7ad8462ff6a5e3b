"""What a comparison shows: a row a workload, one table of all ways, and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plots
import timing
from report import Row, markdown

from peers.outcome import OURS, Outcome, Workload
from peers.targets import TARGETS

_MB = 1_000_000
_HEADS = ("workload", "way", "to worker", "from worker", "worker", "CPU", "peak RSS (private)",
          "server CPU", "publisher", "CPU", "peak RSS (private)")  # fmt: skip


def row(workload: Workload, *, judged: bool) -> Row:
    """Ours beside the most frugal and the fastest of the others."""
    pair, ours, target = workload.pair, workload.of(OURS), TARGETS[workload.pair.letter]
    case = f"{pair.letter}: {pair.title} ({pair.new_bytes / _MB:.0f} MB)"
    others = [each for each in workload.measured if each.way != OURS]
    peer = "none"
    if others:
        frugal = min(others, key=lambda each: each.wire_bytes)
        fast = min(others, key=lambda each: each.worker.median_s)
        peer = f"fewest bytes: {_brief(frugal)}; fastest: {_brief(fast)}"
    if ours is None:
        why = next(each.reason for each in workload.absent if each.way == OURS)
        return Row(case, f"not measured: {why}", peer, "", target.words, False)
    told = f" ({wire_text(ours.told_bytes)} of bodies by its own count)" if ours.told_bytes else ""
    text = f"{wire_text(ours.wire_bytes)} in all{told}"
    met = target.met(workload, ours) if judged else None
    return Row(case, text, peer, _figure(ours), target.words, met)


def _figure(ours: Outcome) -> str:
    worker = f"worker {_cost(ours.worker)}"
    return f"{worker}; publisher {_cost(timing.Series((ours.publisher,)))}"


def _brief(outcome: Outcome) -> str:
    return f"{outcome.way} {wire_text(outcome.wire_bytes)}, {outcome.worker.median_s:.2f} s"


def _cost(series: timing.Series) -> str:
    private = max(run.private_bytes for run in series.runs)
    wall = series.seconds() if len(series.runs) > 1 else f"{series.median_s:.2f} s"
    return f"{wall}, {series.peak_rss_bytes / _MB:.0f} MB RSS ({private / _MB:.0f} private)"


def memory(found: Sequence[Workload], *, judged: bool) -> Row:
    """Most that publisher and worker held, of ours in all workloads."""

    def most(way: str, of: Callable[[Outcome], int]) -> tuple[int, str]:
        all_of = [(of(each), one.pair.letter) for one in found if (each := one.of(way))]
        return max(all_of, default=(0, "-"))

    def publisher(each: Outcome) -> int:
        return each.publisher.private_bytes

    def worker(each: Outcome) -> int:
        return each.worker_private_bytes

    def both(way: str) -> str:
        sides = {"publisher": most(way, publisher), "worker": most(way, worker)}
        return ", ".join(f"{name} {size / _MB:.0f} MB ({at})" for name, (size, at) in sides.items())

    top = max(most(OURS, publisher)[0], most(OURS, worker)[0])
    patches = f"zstd patch: {both('zstd patch')}; xdelta3: {both('xdelta3')}"
    target = "<= 150 MB, <= 300 MB with patches"
    met = top <= 300 * _MB if judged and top else None
    return Row("most private memory, all workloads", both(OURS), patches, "", target, met)


def details(found: Sequence[Workload]) -> str:
    """A line for each workload and way."""
    lines: list[tuple[str, ...]] = []
    for workload in found:
        name = f"{workload.pair.letter} {workload.pair.title}"
        lines += [(name, each.way, *_figures(each)) for each in workload.measured]
        lines += [(name, each.way, each.reason, *[""] * 8) for each in workload.absent]
    return "Everything that was measured:\n\n" + markdown(_HEADS, lines)


def _figures(each: Outcome) -> tuple[str, ...]:
    return (
        wire_text(each.down_bytes),
        wire_text(each.up_bytes),
        each.worker.seconds(),
        f"{each.worker.cpu_s:.2f} s",
        _memory(each.worker.peak_rss_bytes, each.worker_private_bytes),
        f"{each.server_cpu_s:.2f} s",
        f"{each.publisher.wall_s:.2f} s",
        f"{each.publisher.cpu_s:.2f} s",
        _memory(each.publisher.peak_rss_bytes, each.publisher.private_bytes),
    )


def _memory(peak: int, private: int) -> str:
    return f"{peak / _MB:.0f} ({private / _MB:.0f}) MB" if peak else "-"


def pictures(found: Sequence[Workload]) -> dict[str, str]:
    """What goes over the wire, the seconds of worker and publisher, and their memory."""
    figures: dict[str, tuple[str, Callable[[float], str], Callable[[Outcome], float]]] = {
        "wire": ("Bytes between worker and server", _size, lambda o: o.wire_bytes),
        "worker-seconds": ("Seconds of the worker", _seconds, lambda o: o.worker.median_s),
        "publisher-seconds": ("Seconds of the publisher", _seconds, lambda o: o.publisher.wall_s),
        # Not the kernel's mark: for a small program that is the mark of the bench, which began it.
        "worker-memory": ("Most private memory of the worker", _size,
                          lambda o: o.worker_private_bytes),
        "publisher-memory": ("Most private memory of the publisher", _size,
                             lambda o: o.publisher.private_bytes),
    }  # fmt: skip
    return {
        f"{name}.svg": plots.bars(title, [_panel(each, of) for each in found], label)
        for name, (title, label, of) in figures.items()
    }


def _panel(workload: Workload, of: Callable[[Outcome], float]) -> plots.Panel:
    pair = workload.pair
    title = f"{pair.letter}  {pair.title}, {pair.new_bytes / _MB:.0f} MB"
    values: list[tuple[str, float | None]] = [(each.way, of(each)) for each in workload.measured]
    return plots.Panel(title, [*values, *((each.way, None) for each in workload.absent)])


def wire_text(size_bytes: int) -> str:
    """Bytes with three figures, in the unit that fits."""
    for unit, size in (("MB", _MB), ("KB", 1000)):
        if size_bytes >= size:
            value = size_bytes / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{size_bytes} B"


def _size(value: float) -> str:
    return wire_text(round(value))


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
