"""Whole processes measured by the kernel's own counters, and series of them compared.

Linux only: file reads and peak memory come from /proc and wait4.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """One process from its start to its end. ``read_bytes``: by read calls, cached or not."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    read_bytes: int
    stdout: bytes


class Failed(Exception):
    """A measured command did not end with 0; the message holds what it said."""


def measure(command: Sequence[str | Path], environment: Mapping[str, str] = {}) -> Measured:
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
        )
        # Its counters can still be read when it has ended and nobody has waited for it yet.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - began_s
        read_bytes = _read_bytes(child.pid)
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout = out.read()
        if child.returncode:
            said = (err.read() + stdout).decode("utf-8", "replace").strip()
            raise Failed(f"{' '.join(words)} ended with {child.returncode}: {said[-2000:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Measured(wall_s, cpu_s, usage.ru_maxrss * 1024, read_bytes, stdout)


def _read_bytes(pid: int) -> int:
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def peak_rss_bytes(pid: int) -> int:
    """High-water mark of a process that still runs."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
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
