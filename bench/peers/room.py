"""One way at work on one workload: publish once, count once, time again and again."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import timing
import wire
import workshop
from corpus import Pair
from corpus.__main__ import digests

from peers.outcome import Outcome
from peers.peer import Peer, Server


class Room:
    """A peer that has published, its server, and a worker's tree beside."""

    def __init__(self, peer: Peer, pair: Pair, shelf: Path, server: Server) -> None:
        self._peer, self._pair, self._shelf, self._server = peer, pair, shelf, server
        self._worker = shelf.with_name("worker")
        self._made = peer.prepare(pair, shelf)
        self._runs: list[timing.Measured] = []
        self._server_s: list[float] = []
        self.way = peer.figure
        with wire.counted(server.port) as counted:
            told = self._once(counted.port).stdout
        self._wire = counted
        self._told: int | None = None
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self._told = int(json.loads(told)["bytes_downloaded"])

    def time(self) -> None:
        """One update from the server itself. Raises Failed."""
        before_s = timing.cpu_s(self._server.pid)
        self._runs.append(self._once(self._server.port))
        self._server_s.append(timing.cpu_s(self._server.pid) - before_s)

    def outcome(self) -> Outcome:
        """All figures."""
        return Outcome(
            self.way,
            self._made,
            timing.Series(tuple(self._runs)),
            self._wire.down_bytes,
            self._wire.up_bytes,
            min(self._server_s),
            self._told,
        )

    def _once(self, port: int) -> timing.Measured:
        self._peer.base(self._pair, self._shelf, self._worker, self._server)
        workshop.settle()
        done = self._peer.update(self._pair, self._shelf, self._worker, port)
        result = self._peer.result(self._pair, self._worker)
        if wrong := differing(self._pair, result):
            raise timing.Failed(f"missed it: {len(wrong)} files are not the new ones: {wrong[:3]}")
        leftovers = [self._shelf.with_name(name) for name in ("got", "state")]
        for each in (result, self._worker, *leftovers):
            shutil.rmtree(each, ignore_errors=True)
        return done


@contextlib.contextmanager
def opened(shop: workshop.Workshop, peer: Peer, pair: Pair) -> Iterator[Room]:
    """A room whose peer has published and brought the new tree once. Raises Failed."""
    shelf = shop.folder / pair.letter / peer.figure.replace(" ", "-") / "shelf"
    shelf.mkdir(parents=True)
    with peer.serve(pair, shelf) as server:
        workshop.settle()
        yield Room(peer, pair, shelf, server)


def differing(pair: Pair, tree: Path) -> Sequence[str]:
    """Paths at which a tree is not the new one, by SHA-256; our manifest is no part of it."""
    found = digests(tree)
    found.pop("manifest.json", None)
    paths = found.keys() | pair.new_digests.keys()
    return sorted(path for path in paths if found.get(path) != pair.new_digests.get(path))
