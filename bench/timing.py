"""Whole processes measured by the kernel's own counters, and series of them compared.

Linux only: file reads and peak memory come from /proc and wait4.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """One process from its start to its end. ``read_bytes``: by read calls, cached or not.

    ``private_bytes``: most anonymous memory seen in one process, sampled; 0 where not asked for.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    read_bytes: int
    stdout: bytes
    private_bytes: int = 0


class Failed(Exception):
    """A measured command did not end with 0; the message holds what it said."""


def measure(
    command: Sequence[str | Path],
    environment: Mapping[str, str] = {},
    *,
    private: bool = False,
    cwd: Path | None = None,
) -> Measured:
    """Run a command and measure it, with what its children did. Raises Failed.

    Peak memory is the high-water mark of the largest single process; it is never below what this
    process had when it forked, so whoever measures stays small.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began_s = time.perf_counter()
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **environment},
            cwd=cwd,
        )
        watch = _PrivateWatch(child.pid) if private else None
        # Its counters can still be read when it has ended and nobody has waited for it yet.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - began_s
        read_bytes = _read_bytes(child.pid)
        private_bytes = watch.end() if watch else 0
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout = out.read()
        if child.returncode:
            said = (err.read() + stdout).decode("utf-8", "replace").strip()
            raise Failed(f"{' '.join(words)} ended with {child.returncode}: {said[-2000:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Measured(wall_s, cpu_s, usage.ru_maxrss * 1024, read_bytes, stdout, private_bytes)


def _read_bytes(pid: int) -> int:
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def peak_rss_bytes(pid: int) -> int:
    """High-water mark of a process that still runs."""
    return _status_bytes(pid, "VmHWM:")


def cpu_s(pid: int) -> float:
    """Processor seconds of a process that still runs, and of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def together(*runs: Measured) -> Measured:
    """Several runs, one after the other, as one: times add up, peaks do not."""
    return Measured(
        sum(run.wall_s for run in runs),
        sum(run.cpu_s for run in runs),
        max((run.peak_rss_bytes for run in runs), default=0),
        sum(run.read_bytes for run in runs),
        runs[-1].stdout if runs else b"",
        max((run.private_bytes for run in runs), default=0),
    )


class _PrivateWatch:
    """Looks every few milliseconds how much anonymous memory a process and its children hold.

    Mapped files are shared with the page cache and not counted; what came and went between two
    looks is missed, which the kernel's high-water mark beside it is not.
    """

    _PAUSE_S = 0.01

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._most = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """Most that one process held."""
        self._over.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._over.wait(self._PAUSE_S):
            for pid in (self._pid, *_children(self._pid)):
                self._most = max(self._most, _status_bytes(pid, "RssAnon:"))


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _status_bytes(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


class Series(NamedTuple):
    """Several runs of the same thing, in the order in which they ran."""

    runs: tuple[Measured, ...]

    @property
    def median_s(self) -> float:
        """Median of the wall times."""
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """Median of the processor times."""
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_rss_bytes(self) -> int:
        """Highest peak of all runs."""
        return max(run.peak_rss_bytes for run in self.runs)

    @property
    def read_bytes(self) -> int:
        """Most that one run read."""
        return max(run.read_bytes for run in self.runs)

    def seconds(self) -> str:
        """Median, and the span in which all runs lie."""
        walls = [run.wall_s for run in self.runs]
        digits = 2 if self.median_s >= 1 else 3
        return f"{self.median_s:.{digits}f} s ({min(walls):.{digits}f}-{max(walls):.{digits}f})"


def ratio(ours: Series, peer: Series) -> float:
    """Our speed as a part of the peer's: median over the pairs that ran one after the other."""
    pairs = zip(ours.runs, peer.runs, strict=True)
    return statistics.median(b.wall_s / a.wall_s for a, b in pairs)


def interleaved(rounds: int, *things: Callable[[int], Measured]) -> tuple[Series, ...]:
    """Run things in turn, A B A B, so that what drifts on the machine meets all of them."""
    runs: list[list[Measured]] = [[] for _thing in things]
    for number in range(rounds):
        for thing, done in zip(things, runs, strict=True):
            done.append(thing(number))
    return tuple(Series(tuple(done)) for done in runs)
