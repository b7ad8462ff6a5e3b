"""Moves within one file: whatever the order they are given in, no byte is lost that need not be."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.moves import Move, order_moves


def done(data: bytes, moves: list[Move], size: int) -> bytes:
    file = bytearray(data.ljust(size, b"\0"))
    for move in moves:
        file[move.target : move.target + move.length] = file[
            move.source : move.source + move.length
        ]
    return bytes(file)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.randoms(), st.integers(0, 20))
def test_blocks_in_any_other_order_arrive_whole(
    lengths: list[int], chance: random.Random, shift: int
) -> None:
    blocks = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    offsets = [sum(lengths[:number]) for number in range(len(lengths))]
    turned = list(range(len(blocks)))
    chance.shuffle(turned)
    moves, at = [], shift
    for block in turned:
        if offsets[block] != at:
            moves.append(Move(offsets[block], at, lengths[block], block))
        at += lengths[block]

    order = order_moves(moves)

    assert sorted(order.moves + order.lost) == sorted(moves)
    file = done(b"".join(blocks), order.moves, at)
    for move in order.moves:
        assert file[move.target : move.target + move.length] == blocks[move.block]


def test_a_shift_of_everything_loses_nothing() -> None:
    for shift in (-3, 3):
        moves = [Move(10 * number + 5, 10 * number + 5 + shift, 10, number) for number in range(50)]
        assert order_moves(moves).lost == []


def test_two_that_change_places_cost_one_of_them() -> None:
    order = order_moves([Move(0, 10, 10, 0), Move(10, 0, 10, 1)])
    assert len(order.lost) == len(order.moves) == 1
