"""First install of a large file from HQ on loopback, against curl from the same HQ and a sync."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import timing
import workshop
from report import Row, speed

# curl writes and `sync FILE` makes that one file durable: what both sides owe a user, no more.
# (`sync -f` would bill curl for whatever else is being written on that file system.)
_PEER = 'curl -sSf -o "$1" "$2" && sync "$1"'


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """One row."""
    if shutil.which("curl") is None:
        raise timing.Failed("curl is not installed: there is nothing to compare with")
    size = shop.of(1_000_000_000, 200_000_000)
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0", small_files=4)
    workshop.write_dense(tool / workshop.MODEL, size)
    root, target = shop.folder / "root", shop.folder / "curled"
    with shop.hq() as hq:
        hq.publish(tool)
        url = hq.file_url("1.0.0", workshop.MODEL)

        def ours(_round: int) -> timing.Measured:
            workshop.settle(root, target)
            words = ("update", workshop.TOOL_ID, "--allow-unsigned", "--hq", hq.url, "--root", root)
            return shop.bitstation(*words, "-q")

        def peer(_round: int) -> timing.Measured:
            workshop.settle(root, target)
            return timing.measure(["sh", "-c", _PEER, "sh", target, url])

        peer(0)  # warms the page cache of what HQ reads
        mine, theirs = timing.interleaved(shop.rounds, ours, peer)
    part = timing.ratio(mine, theirs)
    yield Row(
        f"first install of a file of {size / 1e6:.0f} MB from HQ, verified and synced",
        f"{mine.seconds()}, {speed(size, mine.median_s)}, {mine.cpu_s:.2f} s CPU",
        f"curl + sync FILE, unverified: {theirs.seconds()}, {speed(size, theirs.median_s)}, "
        f"{theirs.cpu_s:.2f} s CPU",
        f"{part:.2f} of its speed",
        ">= 0.7",
        shop.judged(part >= 0.7),
    )
