"""The workloads A to H, by BitStation and by the programs beside it, in one run."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import corpus
import peers
import timing
import wire
import workshop
from corpus.__main__ import digests
from peers.ours import Ours
from peers.peer import Peer, Server
from report import Row

from cases import transport_rows


class Outcome(NamedTuple):
    """What one way cost for one workload. Wire bytes are counted between worker and server."""

    way: str
    publisher: timing.Measured
    worker: timing.Series
    down_bytes: int
    up_bytes: int
    connections: int
    server_cpu_s: float
    told_bytes: int | None = None

    @property
    def wire_bytes(self) -> int:
        """Both ways together: the figure of record."""
        return self.down_bytes + self.up_bytes


class Absent(NamedTuple):
    """A way that gave no figures, and why."""

    way: str
    reason: str


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """A row a workload, and for RESULTS.md a table and a plot of everything."""
    found: list[transport_rows.Workload] = []
    for letter in shop.sizes.workloads or tuple(corpus.TITLES):
        try:
            pair = corpus.have(letter, shop.sizes.scale, shop.sizes.corpus)
        except corpus.Missing as missing:
            yield Row(
                f"{letter}: {corpus.TITLES[letter]}", "", "", f"not built: {missing}", "", None
            )
            continue
        outcomes = compare(shop, pair)
        workload = transport_rows.Workload(pair, outcomes, yardsticks(shop, pair))
        found.append(workload)
        yield transport_rows.row(shop, workload)
        workshop.settle(shop.folder / letter)
    shop.attach(transport_rows.details(found))
    shop.draw(transport_rows.plots(found))


def compare(shop: workshop.Workshop, pair: corpus.Pair) -> list[Outcome | Absent]:
    """Every way: published once, counted once over the proxy, then timed in turn without it."""
    everyone: list[Peer] = [Ours(shop), *peers.everyone()]
    rooms: list[_Room] = []
    absent: list[Outcome | Absent] = []
    with contextlib.ExitStack() as stack:
        for peer in everyone:
            lacking = peer.missing()
            if lacking:
                absent.append(Absent(peer.name, f"not installed: {', '.join(lacking)}"))
                continue
            try:
                rooms.append(stack.enter_context(_room(shop, peer, pair)))
            except timing.Failed as failure:
                absent.append(Absent(peer.name, str(failure)[-300:]))
        series = timing.interleaved(shop.rounds, *(room.timed for room in rooms))
        return [room.outcome(runs) for room, runs in zip(rooms, series, strict=True)] + absent


def yardsticks(shop: workshop.Workshop, pair: corpus.Pair) -> transport_rows.Yardsticks:
    """What the largest new file costs to hash, and to copy and hash, as processes."""
    sizes = {path: (pair.new / path).stat().st_size for path in pair.new_digests}
    largest = pair.new / max(sizes, key=lambda path: sizes[path])
    copy = shop.folder / pair.letter / "copy"
    hashing, copying = timing.interleaved(
        shop.rounds,
        lambda _round: timing.measure(transport_rows.hash_command(largest)),
        lambda _round: timing.measure(transport_rows.copy_command(largest, copy)),
    )
    return transport_rows.Yardsticks(hashing.median_s, copying.median_s)


@contextlib.contextmanager
def _room(shop: workshop.Workshop, peer: Peer, pair: corpus.Pair) -> Iterator[_Room]:
    """A way that has published and brought the new tree once, counted and proved."""
    folder = shop.folder / pair.letter / peer.figure.replace(" ", "-")
    shelf = folder / "shelf"
    shelf.mkdir(parents=True)
    with peer.serve(pair, shelf) as server:
        workshop.settle()
        room = _Room(peer, pair, shelf, server, peer.prepare(pair, shelf))
        room.count()
        yield room


class _Room:
    def __init__(
        self, peer: Peer, pair: corpus.Pair, shelf: Path, server: Server, made: timing.Measured
    ) -> None:
        self._peer, self._pair, self._shelf, self._server = peer, pair, shelf, server
        self._made = made
        self._worker = shelf.with_name("worker")
        self._wire: tuple[int, int, int] = (0, 0, 0)
        self._told: int | None = None
        self._cpu_s = 0.0

    def count(self) -> None:
        """One update over the proxy. Raises Failed, also when the tree is not the new one."""
        with wire.counted(self._server.port) as counted:
            done = self._once(counted.port)
        self._wire = (counted.down_bytes, counted.up_bytes, counted.connections)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self._told = int(json.loads(done.stdout)["bytes_downloaded"])

    def timed(self, _round: int) -> timing.Measured:
        """One update from the server itself."""
        before_s = timing.cpu_s(self._server.pid)
        done = self._once(self._server.port)
        self._cpu_s = timing.cpu_s(self._server.pid) - before_s
        return done

    def _once(self, port: int) -> timing.Measured:
        self._peer.base(self._pair, self._shelf, self._worker, self._server)
        workshop.settle()
        done = self._peer.update(self._pair, self._shelf, self._worker, port)
        wrong = differing(self._pair, self._peer.result(self._pair, self._worker))
        if wrong:
            raise timing.Failed(f"missed it: {len(wrong)} files are not the new ones: {wrong[:3]}")
        leftovers = [self._shelf.with_name(name) for name in ("got", "state")]
        for each in (self._peer.result(self._pair, self._worker), self._worker, *leftovers):
            shutil.rmtree(each, ignore_errors=True)
        return done

    def outcome(self, runs: timing.Series) -> Outcome:
        """All figures."""
        down, up, connections = self._wire
        name = self._peer.figure
        return Outcome(name, self._made, runs, down, up, connections, self._cpu_s, self._told)


def differing(pair: corpus.Pair, tree: Path) -> Sequence[str]:
    """Paths at which a tree is not the new one, by SHA-256; our manifest is no part of it."""
    found = digests(tree)
    found.pop("manifest.json", None)
    paths = found.keys() | pair.new_digests.keys()
    return sorted(path for path in paths if found.get(path) != pair.new_digests.get(path))
