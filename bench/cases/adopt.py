"""Adopting a model: file digest and block map in one reading, against one pass of hashlib."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import timing
import workshop
from report import Row, speed

_TENSORS = 64
_PEER = """
import hashlib, sys
hasher, block = hashlib.sha256(), memoryview(bytearray(8 << 20))
with open(sys.argv[1], "rb", buffering=0) as file:
    while count := file.readinto(block):
        hasher.update(block[:count])
print(hasher.hexdigest())
"""


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """Two rows: a model adopted by an empty root, and adopted again."""
    size = shop.of(1_000_000_000, 100_000_000)
    model, root = shop.folder / "mine/model.safetensors", shop.folder / "root"
    model.parent.mkdir()
    _write_model(model, size)
    workshop.settle()

    def first(_round: int) -> timing.Measured:
        workshop.settle(root)
        return shop.bitstation("adopt", model, "--root", root, "-q")

    def peer(_round: int) -> timing.Measured:
        return timing.measure([sys.executable, "-c", _PEER, model])

    peer(0)  # warms the page cache
    ours, theirs = timing.interleaved(shop.rounds, first, peer)
    times = 1 / timing.ratio(ours, theirs)
    yield Row(
        f"adopt a model of {size / 1e6:.0f} MB with its block map, page cache warm",
        f"{ours.seconds()}, {speed(size, ours.median_s)}, {ours.peak_rss_bytes / 1e6:.0f} MB",
        f"hashlib.sha256, 1 thread: {theirs.seconds()}, {speed(size, theirs.median_s)}",
        f"{times:.2f} of its time",
        "<= 1.3",
        shop.judged(times <= 1.3),
    )
    (again,) = timing.interleaved(
        2 * shop.rounds + 1, lambda _round: shop.bitstation("adopt", model, "--root", root, "-q")
    )
    yield Row(
        "adopt it again, nothing changed",
        again.seconds(),
        "",
        f"{again.read_bytes / 1e6:.1f} MB read",
        "< 0.5 s",
        again.median_s < 0.5,
    )


def _write_model(path: Path, size_bytes: int) -> None:
    """A safetensors file of equal tensors of noise."""
    each = size_bytes // _TENSORS // 2 * 2
    header = {
        f"blk.{n}": {
            "dtype": "F16",
            "shape": [each // 2],
            "data_offsets": [n * each, (n + 1) * each],
        }
        for n in range(_TENSORS)
    }
    noise = workshop.write_dense(path.with_suffix(".noise"), each * _TENSORS)
    text = json.dumps(header).encode()
    with path.open("wb") as file, noise.open("rb") as source:
        file.write(struct.pack("<Q", len(text)) + text)
        while block := source.read(1 << 20):
            file.write(block)
    noise.unlink()
