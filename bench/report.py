"""The table, for a terminal and for RESULTS.md, and the machine it was measured on."""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HEADS = ("case", "ours", "peer", "figure", "target", "verdict")


class Row(NamedTuple):
    """A line of the table. ``met`` is None for what has no target."""

    case: str
    ours: str
    peer: str
    figure: str
    target: str
    met: bool | None

    def cells(self) -> tuple[str, ...]:
        """What stands in the columns."""
        verdict = "-" if self.met is None else "met" if self.met else "MISSED"
        return (*self[:5], verdict)


def megabytes(size_bytes: float) -> str:
    """Bytes for people; MB = 10^6."""
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def speed(size_bytes: int, seconds: float) -> str:
    """Rate for people."""
    return f"{size_bytes / seconds / 1e9:.2f} GB/s"


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, as Markdown that can be read as it is."""
    return markdown(HEADS, [row.cells() for row in rows])


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of any columns."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def machine(folder: Path) -> str:
    """What the figures depend on: named by kind, not by whose it is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory / 1e9:.0f} GB RAM, "
        f"{platform.system()} {kernel}, {file_system(folder)}, "
        f"Python {platform.python_version()}; one thread of SHA-256 {_hash_speed():.1f} GB/s, "
        f"1 GB written and synced {_write_speed(folder):.1f} GB/s"
    )


def file_system(folder: Path) -> str:
    """Kind of the file system that holds a folder."""
    found = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        fields = line.split()
        mount, kind = fields[4], fields[fields.index("-") + 1]
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(found[0]):
            found = (mount, kind)
    return found[1]


class Load:
    """How busy the machine was with what is not ours: figures taken in company say little."""

    def __init__(self) -> None:
        self._began = self._look()

    def others(self) -> str:
        """Share of all cores that other processes and the kernel itself took since the start."""
        total, busy, ours = (
            now - then for now, then in zip(self._look(), self._began, strict=True)
        )
        return f"others took {max(0.0, busy - ours) / total:.0%} of the processor time"

    @staticmethod
    def _look() -> tuple[float, float, float]:
        """Processor seconds there were, were used, and were used by us and our children."""
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        tick = os.sysconf("SC_CLK_TCK")
        idle = fields[3] + fields[4]
        ours = sum(os.times()[:4])
        return sum(fields[:8]) / tick, (sum(fields[:8]) - idle) / tick, ours


def _hash_speed() -> float:
    # A small block: children's peak memory is never below what this process holds.
    block, rounds, hasher = os.urandom(1024 * 1024), 256, hashlib.sha256()
    began_s = time.perf_counter()
    for _round in range(rounds):
        hasher.update(block)
    return rounds * len(block) / (time.perf_counter() - began_s) / 1e9


def _write_speed(folder: Path) -> float:
    block, path, times = os.urandom(4 * 1024 * 1024), folder / "yardstick", []
    for _round in range(3):
        os.sync()
        began_s = time.perf_counter()
        with path.open("wb", buffering=0) as file:
            for _block in range(238):
                file.write(block)
            os.fsync(file.fileno())
        times.append(time.perf_counter() - began_s)
        path.unlink()
    return 238 * len(block) / statistics.median(times) / 1e9
