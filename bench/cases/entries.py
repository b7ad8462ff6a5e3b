"""A release of very many small files: no target, but a figure to watch."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import timing
import workshop
from report import Row

_PARSE = """
import sys, time
from pathlib import Path
from bitstation.core.manifest import parse_manifest
data = Path(sys.argv[1]).read_bytes()
began = time.perf_counter()
parse_manifest(data)
print(time.perf_counter() - began)
"""


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """Manifest, parsing, install from a folder, an update of three files, the no-op update."""
    count = shop.of(99_990, 5_000)
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0", small_files=count)
    root = shop.folder / "root"
    update = ("update", workshop.TOOL_ID, "--allow-unsigned", "--from", tool, "--root", root, "-q")
    making = shop.bitstation("manifest", tool, "-q")
    again = shop.bitstation("manifest", tool, "-q")
    parsing = timing.measure([sys.executable, "-c", _PARSE, tool / "manifest.json"])
    install = shop.bitstation(*update)
    (idle,) = timing.interleaved(3, lambda _round: shop.bitstation(*update))
    workshop.next_release(tool, "1.0.1")
    shop.bitstation("manifest", tool, "-q")
    change = shop.bitstation(*update)
    subject = f"{count + 2:,} small files"
    for title, run in (
        ("manifest", making),
        ("manifest again", again),
        ("install from a folder, synced", install),
        ("update of 3 files", change),
        ("update when there is nothing to do", idle.runs[0]),
    ):
        wall = idle.seconds() if run is idle.runs[0] else f"{run.wall_s:.2f} s"
        yield _row(f"{subject}: {title}", wall, run)
    parse_s = float(parsing.stdout)
    yield _row(f"{subject}: parsing and checking the manifest", f"{parse_s:.2f} s", parsing)


def _row(case: str, wall: str, run: timing.Measured) -> Row:
    return Row(case, wall, "", f"peak RSS {run.peak_rss_bytes / 1e6:.0f} MB", "", None)
