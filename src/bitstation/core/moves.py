"""In which order spans of one file move within it, so that none is overwritten before it moved."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class Move(NamedTuple):
    """``length`` bytes from ``source`` to ``target``, offsets in the same file, of one block."""

    source: int
    target: int
    length: int
    block: int


class Order(NamedTuple):
    """Moves in an order that loses nothing, and those that no order can save."""

    moves: list[Move]
    lost: list[Move]


def order_moves(moves: Sequence[Move]) -> Order:
    """Order in which each source is read before anything is written over it.

    Spans that wait for each other in a ring are broken up: one of them is lost and has to come from
    elsewhere, after all moves. A move may overlap itself: it is read whole before it is written.
    Cost: n log n, for spans whose sources do not overlap each other much. Source: Kahn 1962.
    """
    ordered, lost = [], []
    blocked_by, blocks = _dependencies(moves)
    waiting = {number: len(blocked_by[number]) for number in range(len(moves))}
    free = deque(number for number, count in waiting.items() if count == 0)
    ring = deque(range(len(moves)))
    while waiting:
        if free:
            number = free.popleft()
            ordered.append(moves[number])
        else:
            number = ring.popleft()
            if number not in waiting:
                continue
            lost.append(moves[number])
        del waiting[number]
        for other in blocks[number]:
            if other in waiting:
                waiting[other] -= 1
                if waiting[other] == 0:
                    free.append(other)
    return Order(ordered, lost)


def _dependencies(moves: Sequence[Move]) -> tuple[list[set[int]], list[set[int]]]:
    """By move: those that must go before it, for it writes over what they read; and the reverse."""
    by_source = sorted(range(len(moves)), key=lambda number: moves[number].source)
    starts = [moves[number].source for number in by_source]
    longest = max((move.length for move in moves), default=0)
    blocked_by: list[set[int]] = [set() for _ in moves]
    blocks: list[set[int]] = [set() for _ in moves]
    for number, move in enumerate(moves):
        at = bisect_left(starts, move.target - longest + 1)
        while at < len(starts) and starts[at] < move.target + move.length:
            other = by_source[at]
            reads_there = moves[other].source + moves[other].length > move.target
            if other != number and reads_there:
                blocked_by[number].add(other)
                blocks[other].add(number)
            at += 1
    return blocked_by, blocks
