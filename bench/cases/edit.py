"""An edit of a GGUF's metadata (workload C): seconds beside what its bytes cost anybody.

Pages of memory that the kernel has not given out for a while cost a virtual machine several times
the copying itself, so yardsticks and commands run in turn, and ratios are taken within a round.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import corpus
import timing
import workshop
from peers.ours import become
from peers.peer import link_tree
from releases import Releases
from report import Row

_HASH = """
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    hashlib.file_digest(file, "sha256")
"""
_COPY = 'cp "$1" "$2" && "$3" -c "$4" "$2"'


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """A row for the publisher and one for the worker."""
    try:
        pair = corpus.have("C", shop.sizes.scale, shop.sizes.corpus)
    except corpus.Missing as missing:
        raise timing.Failed(str(missing)) from missing
    edit = _Edit(shop, pair)
    hashing, publishing, copying, updating = timing.interleaved(
        shop.rounds, edit.hash, edit.publish, edit.copy, edit.update
    )
    size = f"{pair.new_bytes / 1e6:.0f} MB"
    yield _row(shop, f"publisher of an edit of {size}", publishing, "SHA-256", hashing, 3)
    yield _row(shop, f"worker of an edit of {size}", updating, "cp + SHA-256", copying, 1.3)


def _row(
    shop: workshop.Workshop,
    case: str,
    ours: timing.Series,
    name: str,
    ruler: timing.Series,
    most: float,
) -> Row:
    pairs = zip(ours.runs, ruler.runs, strict=True)
    found = statistics.median(a.wall_s / b.wall_s for a, b in pairs)
    return Row(
        case,
        f"{ours.seconds()}, {ours.cpu_s:.2f} s CPU",
        f"{name}: {ruler.seconds()}",
        f"{found:.2f} x",
        f"<= {most} x",
        shop.judged(found <= most),
    )


class _Edit:
    """One tool, published old and new in every round, and a worker that follows."""

    def __init__(self, shop: workshop.Workshop, pair: corpus.Pair) -> None:
        self._shop = shop
        self._pair = pair
        self._tool = shop.folder / workshop.TOOL_ID
        self._root = shop.folder / "root"
        self._copied = shop.folder / "copy"
        self._shelf = shop.folder / "shelf"
        sizes = {path: (pair.new / path).stat().st_size for path in pair.new_digests}
        self._model = pair.new / max(sizes, key=lambda path: sizes[path])

    def hash(self, _round: int) -> timing.Measured:
        """One pass over the model, which then lies in the page cache."""
        return timing.measure([sys.executable, "-c", _HASH, self._model])

    def publish(self, _round: int) -> timing.Measured:
        """Old is published; then the folder becomes the new tree, and that is measured."""
        for path in (self._shelf, self._shop.cache, self._tool):
            shutil.rmtree(path, ignore_errors=True)
        self._releases = Releases(self._shop, self._shelf)
        link_tree(self._pair.old, self._tool)
        with self._releases.serve():
            self._releases.publish(self._tool)
            become(self._pair, self._tool)
            workshop.settle()
            return self._releases.publish(self._tool)

    def copy(self, _round: int) -> timing.Measured:
        """The model copied, not synced, and the copy hashed."""
        words: list[str | Path] = ["sh", "-c", _COPY, "sh", self._model, self._copied]
        try:
            return timing.measure([*words, sys.executable, _HASH])
        finally:
            workshop.settle(self._copied)

    def update(self, _round: int) -> timing.Measured:
        """The worker, who has the old release, brings the new one and syncs it."""
        workshop.settle(self._root)
        with self._releases.serve() as server:
            words = (
                "update",
                workshop.TOOL_ID,
                "--allow-unsigned",
                "--hq",
                server.url,
                "--root",
                self._root,
            )
            self._shop.bitstation(*words, "--version", "1.0.0", "-q")
            workshop.settle()
            done = self._shop.bitstation(*words, "-q", "--json")
        if json.loads(done.stdout)["to_version"] != self._pair.version:
            raise timing.Failed(f"not the release that was published: {done.stdout!r}")
        return done
