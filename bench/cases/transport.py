"""The workloads A to H, by BitStation and by the programs beside it, in one run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import corpus
import peers
import timing
import workshop
from peers import table
from peers.ours import Ours
from peers.outcome import Absent, Outcome, Workload
from peers.room import Room, opened
from report import Row


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """A row a workload, and for RESULTS.md a table and plots of everything."""
    found: list[Workload] = []
    for letter in shop.sizes.workloads or tuple(corpus.TITLES):
        try:
            pair = corpus.have(letter, shop.sizes.scale, shop.sizes.corpus)
        except corpus.Missing as missing:
            title = f"{letter}: {corpus.TITLES[letter]}"
            yield Row(title, "", "", f"not built: {missing}", "", None)
            continue
        measured, absent = compare(shop, pair)
        found.append(Workload(pair, measured, absent))
        yield table.row(found[-1], judged=shop.sizes.scale == 1)
        workshop.settle(shop.folder / letter)
    if found:
        yield table.memory(found, judged=shop.sizes.scale == 1)
        shop.attach(table.details(found))
        shop.draw(table.pictures(found))


def compare(shop: workshop.Workshop, pair: corpus.Pair) -> tuple[list[Outcome], list[Absent]]:
    """Every way: published once, counted once over the proxy, then timed in turn without it."""
    rooms: list[Room] = []
    absent: list[Absent] = []
    with contextlib.ExitStack() as stack:
        for peer in (Ours(shop), *peers.everyone()):
            if lacking := peer.missing():
                absent.append(Absent(peer.figure, f"not installed: {', '.join(lacking)}"))
                continue
            try:
                rooms.append(stack.enter_context(opened(shop, peer, pair)))
            except timing.Failed as failure:
                absent.append(Absent(peer.figure, reason(failure)))
        for _round in range(shop.rounds):
            for room in list(rooms):
                try:
                    room.time()
                except timing.Failed as failure:
                    rooms.remove(room)
                    absent.append(Absent(room.way, reason(failure)))
        return [room.outcome() for room in rooms], absent


def reason(failure: timing.Failed) -> str:
    """A failure in a cell of a table."""
    return " ".join(str(failure).replace("|", "/").split())[-300:]
