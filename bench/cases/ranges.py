"""Ranges of a large file from nginx into memory, each proved: the transport alone, no disk."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import timing
import webserver
import workshop
from report import Row, speed

_BLOCK_BYTES = 512 * 1024
_FETCH = """
import hashlib, sys, threading
from bitstation.transport.http import HttpClient
url, path, listed, size, threads = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])
digests = open(listed, "rb").read()
numbers, lock, wrong = iter(range(len(digests) // 32)), threading.Lock(), []
client = HttpClient(url)
def work():
    block = memoryview(bytearray(size))
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        start = number * size
        stream = client.open("GET", path, headers={"Range": f"bytes={start}-{start + size - 1}"})
        assert stream.status == 206, stream.status
        got = 0
        while got < size and (count := stream.readinto(block[got:])):
            got += count
        stream.close()
        if hashlib.sha256(block[:got]).digest() != digests[32 * number : 32 * number + 32]:
            wrong.append(number)
workers = [threading.Thread(target=work) for _ in range(threads)]
for worker in workers: worker.start()
for worker in workers: worker.join()
client.close()
sys.exit(f"blocks that differ: {wrong}" if wrong or next(numbers, None) is not None else 0)
"""


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """One row; curl reads the same file whole, in one request, and proves nothing."""
    count = shop.of(4_000, 400)
    size = count * _BLOCK_BYTES
    served = shop.folder / "served"
    model = workshop.write_dense(served / "model.bin", size)
    listed = _digests(model, shop.folder / "digests")
    with webserver.nginx(shop.folder / "nginx", root=served) as server:
        words = [sys.executable, "-c", _FETCH, server.url, "model.bin", listed, _BLOCK_BYTES]

        def peer(_round: int) -> timing.Measured:
            return timing.measure(["curl", "-sSf", "-o", "/dev/null", f"{server.url}/model.bin"])

        peer(0)  # warms the page cache
        ours, whole = timing.interleaved(
            shop.rounds,
            lambda _round: timing.measure([str(word) for word in [*words, 2]]),
            peer,
        )
    cpu_s_each_gb = ours.cpu_s / (size / 1e9)
    yield Row(
        f"{count:,} ranges of 512 KiB from nginx into memory, each block's SHA-256 checked",
        f"{ours.seconds()}, {speed(size, ours.median_s)}",
        f"curl, one request, unverified: {whole.seconds()}, {speed(size, whole.median_s)}, "
        f"{whole.cpu_s / (size / 1e9):.2f} CPU s/GB",
        f"{cpu_s_each_gb:.2f} CPU s/GB, peak RSS {ours.peak_rss_bytes / 1e6:.0f} MB",
        ">= 1 GB/s, <= 1.3 CPU s/GB",
        shop.judged(size / ours.median_s >= 1e9 and cpu_s_each_gb <= 1.3),
    )


def _digests(model: Path, listed: Path) -> Path:
    """SHA-256 of every block, one after the other."""
    with model.open("rb") as file, listed.open("wb") as out:
        while block := file.read(_BLOCK_BYTES):
            out.write(hashlib.sha256(block).digest())
    return listed
