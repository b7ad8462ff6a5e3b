"""Block maps: what is written is read again, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core import blockmap as module
from bitstation.core.blockmap import (
    MAX_BLOCK_BYTES,
    Block,
    BlockMap,
    Cut,
    Group,
    encode_blockmap,
    parse_blockmap,
    whole_map,
)
from bitstation.core.digest import EMPTY, Digest
from bitstation.core.varint import BinaryFault, BinaryReader, encode_varint
from bitstation.errors import ManifestError


def digest(number: int) -> Digest:
    return Digest(hashlib.sha256(str(number).encode()).hexdigest())


def block_map(*lengths: int, groups: tuple[Group, ...] = ()) -> BlockMap:
    digests = b"".join(bytes.fromhex(digest(number)) for number in range(len(lengths)))
    return BlockMap(digest(-1), sum(lengths), Cut.TENSORS, lengths, digests, groups)


SMALL = block_map(5, MAX_BLOCK_BYTES, 7, 8, groups=(Group(1, 2, digest(9)),))


@given(
    st.lists(st.integers(1, MAX_BLOCK_BYTES), max_size=50).flatmap(
        lambda lengths: st.tuples(
            st.just(lengths), st.lists(st.integers(0, len(lengths)), max_size=6)
        )
    )
)
def test_a_map_is_read_as_it_was_written(drawn: tuple[list[int], list[int]]) -> None:
    lengths, borders = drawn
    pairs = zip(sorted(borders), sorted(borders)[1:], strict=False)
    groups = tuple(Group(a, b - a, digest(a)) for a, b in pairs if b - a >= 2)
    made = block_map(*lengths, groups=groups)

    data = encode_blockmap(made)

    assert parse_blockmap(data) == made
    assert len(data) <= 50 + 35 * len(lengths) + 38 * len(groups)


def test_the_golden_map_is_read_and_written_byte_for_byte() -> None:
    golden = Path(__file__).parents[1] / "golden" / "blockmap-v1.hex"
    data = bytes.fromhex(golden.read_text("ascii"))

    assert parse_blockmap(data) == SMALL
    assert encode_blockmap(SMALL) == data


def test_blocks_follow_each_other() -> None:
    found = [(block.offset, block.length) for block in SMALL.blocks()]
    assert found == [
        (0, 5),
        (5, MAX_BLOCK_BYTES),
        (5 + MAX_BLOCK_BYTES, 7),
        (MAX_BLOCK_BYTES + 12, 8),
    ]


def test_a_map_cut_short_anywhere_is_refused() -> None:
    data = encode_blockmap(SMALL)
    for length in range(len(data)):
        with pytest.raises(ManifestError):
            parse_blockmap(data[:length])


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ManifestError, match="follow the end"):
        parse_blockmap(encode_blockmap(SMALL) + b"\0")


@given(st.integers(0, len(encode_blockmap(SMALL)) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_another_map_or_none(position: int, flip: int) -> None:
    data = bytearray(encode_blockmap(SMALL))
    data[position] ^= flip
    try:
        assert parse_blockmap(bytes(data)) != SMALL
    except ManifestError:
        return


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": (1, 2, 3, 4)},
        {"lengths": (0, MAX_BLOCK_BYTES, 12, 8)},
        {"size_bytes": SMALL.size_bytes + 1},
        {"groups": (Group(2, 1, digest(1)),)},
        {"groups": (Group(0, 9, digest(1)),)},
        {"groups": (Group(0, 3, digest(1)), Group(3, 2, digest(2)))},
    ],
    ids=["sum", "empty block", "size", "group of one", "group too long", "group past the end"],
)
def test_a_map_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    fields = {name: getattr(SMALL, name) for name in SMALL.__struct_fields__}
    with pytest.raises(ManifestError):
        parse_blockmap(encode_blockmap(BlockMap(**{**fields, **change})))


@pytest.mark.parametrize(("place", "value"), [(0, 0), (4, 2), (5, 9)])
def test_what_a_later_version_may_write_is_refused(place: int, value: int) -> None:
    data = bytearray(encode_blockmap(SMALL))
    data[place] = value
    with pytest.raises(ManifestError, match="is not known" if place else "does not begin"):
        parse_blockmap(bytes(data))


def test_a_map_beyond_the_limit_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode_blockmap(SMALL)
    monkeypatch.setattr(module, "MAX_MAP_BYTES", len(data))
    assert parse_blockmap(data) == SMALL
    with pytest.raises(ManifestError, match="larger than"):
        parse_blockmap(data + b"\0")


def test_a_file_that_is_one_block_has_a_map_without_being_cut() -> None:
    whole = whole_map(digest(1), 7)
    assert list(whole.blocks()) == [Block(0, 7, bytes.fromhex(digest(1)))]
    assert whole.cut is Cut.WHOLE
    empty = whole_map(EMPTY, 0)
    assert (len(empty), empty.digests) == (0, b"")
    assert parse_blockmap(encode_blockmap(empty)) == empty


def test_a_lying_count_costs_no_memory() -> None:
    head = encode_blockmap(SMALL)[: 4 + 2 + 32] + encode_varint(10**15) + encode_varint(10**6)
    with pytest.raises(ManifestError):
        parse_blockmap(head + bytes(1000))


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    reader = BinaryReader(encode_varint(number))
    assert reader.varint(2**63 - 1) == number
    reader.end()


@pytest.mark.parametrize("data", [b"\x80\x00", b"\x80" * 9 + b"\x01", b"\x80", b""])
def test_a_number_has_one_spelling(data: bytes) -> None:
    with pytest.raises(BinaryFault):
        BinaryReader(data).varint(2**63 - 1)
