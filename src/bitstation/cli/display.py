"""Progress that tells the truth: bytes done, rate, time left; a bar on a terminal, else lines.

Rates are of the last seconds and the time left follows from them, so a stall shows as a stall.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from bitstation.core import events
from bitstation.core.events import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WINDOW_S = 5.0
LINE_EVERY_S = 5.0
# Work that ends sooner than this needs no display at all.
QUIET_S = 0.4


class Display:
    """A listener that shows the bytes of the phase under way, on stderr."""

    def __init__(self, gettext: Callable[[str], str]) -> None:
        self._ = gettext
        self._titles = {
            "hash": gettext("Proving"),
            "fetch": gettext("Downloading"),
            "reuse": gettext("Reusing"),
        }
        self._bar: _Bar | _Lines | None = None
        self._phase = ""

    def line(self, text: str) -> None:
        """Write a line; a bar moves below it."""
        if isinstance(self._bar, _Bar) and self._bar.is_shown:
            self._bar.line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def begin(self, title: str, total_bytes: int) -> Callable[[int], None]:
        """Show work of ``total_bytes``; the answer takes the count of each bit of it done."""
        self.close()
        fancy = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._bar = _Bar(title, total_bytes) if fancy else _Lines(title, total_bytes, self._)
        return self._bar.add

    def __call__(self, event: Event) -> None:
        """Follow the engine's phases."""
        match event:
            case events.PhaseChanged():
                self.close()
                self._phase = event.phase
                if event.total_bytes and event.phase in self._titles:
                    self.begin(self._titles[event.phase], event.total_bytes)
            case events.TransferProgress() if self._bar and event.phase == self._phase:
                self._bar.reach(event.done_bytes)
            case events.RunFinished():
                self.close()

    def close(self) -> None:
        """End what is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Meter:
    """Rate (bytes/s) over the last seconds and the time left at that rate (s)."""

    def __init__(self, total_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self._clock = clock
        self.started_s = clock()
        self._marks: deque[tuple[float, int]] = deque([(self.started_s, 0)])

    def reach(self, done_bytes: int) -> None:
        """Note how much is done by now."""
        now = self._clock()
        self.done_bytes = done_bytes
        self._marks.append((now, done_bytes))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()

    @property
    def elapsed_s(self) -> float:
        """Time since the work began."""
        return self._clock() - self.started_s

    @property
    def rate(self) -> float:
        """Bytes a second over the window, up to now: a stall counts."""
        first_s, first_bytes = self._marks[0]
        span_s = self._clock() - first_s
        return (self.done_bytes - first_bytes) / span_s if span_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Time left at the present rate; None while nothing moves."""
        rate = self.rate
        return (self.total_bytes - self.done_bytes) / rate if rate > 0 else None


class _Lines:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, title: str, total_bytes: int, gettext: Callable[[str], str]) -> None:
        self._title = title
        self._meter = Meter(total_bytes)
        self._last_s = self._meter.started_s
        self._ = gettext

    def add(self, count: int) -> None:
        self.reach(self._meter.done_bytes + count)

    def reach(self, done_bytes: int) -> None:
        self._meter.reach(done_bytes)
        if self._meter.elapsed_s + self._meter.started_s - self._last_s >= LINE_EVERY_S:
            self._last_s = self._meter.started_s + self._meter.elapsed_s
            print(f"  {self._title}: {self._words()}", file=sys.stderr, flush=True)

    def _words(self) -> str:
        meter = self._meter
        left = meter.left_s
        return self._("{} of {}, {}/s, {} left").format(
            size_text(meter.done_bytes),
            size_text(meter.total_bytes),
            size_text(meter.rate),
            "?" if left is None else duration_text(left),
        )

    def close(self) -> None:
        return


class _Bar:
    """A bar of the library rich, which is imported only once one is worth showing."""

    def __init__(self, title: str, total_bytes: int) -> None:
        self._title = title
        self._meter = Meter(total_bytes)
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @property
    def is_shown(self) -> bool:
        return self._progress is not None

    def add(self, count: int) -> None:
        self.reach(self._meter.done_bytes + count)

    def reach(self, done_bytes: int) -> None:
        self._meter.reach(done_bytes)
        if self._progress is None and self._meter.elapsed_s > QUIET_S:
            self._show()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done_bytes, words=self._words())

    def line(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _words(self) -> str:
        left = self._meter.left_s
        return (
            f"{size_text(self._meter.done_bytes)} / {size_text(self._meter.total_bytes)}"
            f"  {size_text(self._meter.rate)}/s"
            f"  {'?' if left is None else duration_text(left)}"
        )

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[words]}"),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(
            self._title, total=self._meter.total_bytes, words=self._words()
        )
        self._progress.start()


def size_text(size_bytes: float) -> str:
    """Size for people; MB = 10^6 bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.2f} {unit}"
    return f"{size_bytes:.0f} B"


def duration_text(seconds: float) -> str:
    """Duration for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
