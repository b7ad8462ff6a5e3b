"""Peak memory of publisher, HQ and worker while one very large file goes all the way."""

from __future__ import annotations

from collections.abc import Iterator

import timing
import workshop
from report import Row

_BOUND_BYTES = 150_000_000


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """One row a room. The file is sparse at its source only: every copy of it is written."""
    size = shop.sizes.big_bytes
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0", small_files=4)
    workshop.write_sparse(tool / workshop.MODEL, size)
    root, dist = shop.folder / "root", shop.folder / "dist"
    update = ("update", workshop.TOOL_ID, "--allow-unsigned", "--root", root, "-q")
    subject = f"a file of {size / 1e9:.0f} GB"
    making = shop.bitstation("manifest", tool, "-q")
    packing = shop.bitstation("pack", tool, "--out", dist, "-q")
    workshop.settle(dist)
    with shop.hq() as hq:
        idle = timing.peak_rss_bytes(hq.pid)
        publishing = hq.publish(tool)
        install = shop.bitstation(*update, "--hq", hq.url)
        workshop.next_release(tool, "1.0.1")
        hq.publish(tool)
        change = shop.bitstation(*update, "--hq", hq.url)
        busy = timing.peak_rss_bytes(hq.pid)
    deep = shop.bitstation("verify", workshop.TOOL_ID, "--root", root, "--deep")
    publisher = {"manifest": making, "pack": packing, "publish": publishing}
    worker = {"install": install, "update": change, "verify --deep": deep}
    yield _row(f"peak RSS of the publisher, {subject}", _named(publisher))
    yield _row(f"peak RSS of HQ, {subject} in and out", {"at rest": idle, "all in all": busy})
    yield _row(f"peak RSS of the worker, {subject}", _named(worker))


def _named(runs: dict[str, timing.Measured]) -> dict[str, int]:
    return {f"{name} ({run.wall_s:.1f} s)": run.peak_rss_bytes for name, run in runs.items()}


def _row(case: str, peaks: dict[str, int]) -> Row:
    ours = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in peaks.items())
    top = max(peaks.values())
    return Row(case, ours, "", f"{top / 1e6:.0f} MB", "< 150 MB", top < _BOUND_BYTES)
