"""casync: the tree as chunks cut by content, in a store of compressed chunks on a web server."""

from __future__ import annotations

import shutil
from pathlib import Path

import timing
from corpus import Pair

from peers.peer import Peer

# Neither times nor owners: none of the other ways brings them.
_PLAIN = ("--without=all",)


class Casync(Peer):
    """Any tree to any tree; the worker cuts what it has again."""

    name = "casync"
    figure = "casync"
    needs: tuple[str, ...] = ("casync",)

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """Index and store."""
        words = ["casync", "make", *_PLAIN, f"--store={shelf}/store.castr", f"{shelf}/new.caidx"]
        return timing.measure([*words, pair.new], private=True)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """Extract beside the old tree, with it as the seed."""
        url = f"http://127.0.0.1:{port}"
        target = self.result(pair, worker)
        shutil.rmtree(target, ignore_errors=True)
        words = ["casync", "extract", *_PLAIN, f"--store={url}/store.castr"]
        words += [f"--seed={worker}"] if pair.old_digests else []
        return timing.measure([*words, f"{url}/new.caidx", str(target)], private=True)

    def result(self, pair: Pair, worker: Path) -> Path:
        """Beside."""
        return worker.with_name("worker-new")
