"""Manifest of four large models, page cache warm, against two threads of hashlib over them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import timing
import workshop
from report import Row, speed

# Files are dealt to two threads as each becomes free, in the blocks that suit hashlib best here.
_PEER = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
def digest(path):
    hasher, block = hashlib.sha256(), memoryview(bytearray(8 << 20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            hasher.update(block[:count])
    return hasher.hexdigest()
with ThreadPoolExecutor(2) as pool:
    print(*pool.map(digest, sys.argv[1:]), sep="\\n")
"""


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """Two rows: the first run, and the second with nothing changed."""
    size = shop.of(500_000_000, 100_000_000)
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0")
    models = [workshop.write_dense(tool / f"models/{n}.bin", size) for n in range(4)]
    workshop.settle()

    def first(_round: int) -> timing.Measured:
        workshop.settle(shop.cache, tool / "manifest.json")
        return shop.bitstation("manifest", tool, "-q")

    def peer(_round: int) -> timing.Measured:
        return timing.measure([sys.executable, "-c", _PEER, *models])

    peer(0)  # warms the page cache
    ours, theirs = timing.interleaved(shop.rounds, first, peer)
    part = timing.ratio(ours, theirs)
    total = 4 * size
    yield Row(
        f"manifest of 4 models of {size / 1e6:.0f} MB, page cache warm",
        f"{ours.seconds()}, {speed(total, ours.median_s)}",
        f"hashlib.sha256, 2 threads: {theirs.seconds()}, {speed(total, theirs.median_s)}",
        f"{part:.2f} of its speed",
        ">= 0.8",
        shop.judged(part >= 0.8),
    )
    (again,) = timing.interleaved(
        2 * shop.rounds + 1, lambda _round: shop.bitstation("manifest", tool, "-q")
    )
    yield Row(
        "manifest again, nothing changed",
        again.seconds(),
        "",
        f"{again.read_bytes / 1e6:.1f} MB read",
        "< 0.3 s",
        again.median_s < 0.3,
    )
