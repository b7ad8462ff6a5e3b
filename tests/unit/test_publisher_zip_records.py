"""Records of archives: what is written is read back, at the edges of Zip64 too."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.codec.zip_layout import (
    CENTRAL,
    DEFLATED,
    DESCRIPTOR_SIGNATURE,
    MAX32,
    SIZES_FOLLOW,
    STORED,
    UTF8_NAME,
    End,
    Member,
)
from bitstation.codec.zip_reading import (
    TAIL_BYTES,
    ZipFault,
    check_descriptor,
    check_local,
    local_bytes,
    parse_directory,
    parse_end,
)
from bitstation.codec.zip_writing import encode_central, encode_end, encode_local

EDGES = [0, 1, MAX32 - 1, MAX32, MAX32 + 1, 2**40, 2**53]
SIZES = st.sampled_from(EDGES) | st.integers(0, 2**53)


@st.composite
def members(draw: st.DrawFn) -> Member:
    size = draw(SIZES)
    method = draw(st.sampled_from([STORED, DEFLATED]))
    return Member(
        name=draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)),
        method=method,
        crc=draw(st.integers(0, MAX32)),
        packed_size=size if method == STORED else draw(SIZES),
        size=size,
        offset=draw(SIZES),
        mode=draw(st.sampled_from([0o100644, 0o100755])),
    )


@given(st.lists(members(), max_size=4))
def test_a_directory_reads_back(written: list[Member]) -> None:
    data = b"".join(encode_central(member) for member in written)
    assert list(parse_directory(data, len(written))) == written
    for wrong in (len(written) + 1, max(0, len(written) - 1)):
        if wrong != len(written):
            with pytest.raises(ZipFault):
                list(parse_directory(data, wrong))


@given(members())
def test_a_local_header_agrees_with_its_row(member: Member) -> None:
    header = encode_local(member)
    assert local_bytes(header) == len(header)
    check_local(header, member)
    for other in (
        member._replace(name=member.name + "x"),
        member._replace(crc=member.crc ^ 1),
        member._replace(size=member.size + 1),
        member._replace(packed_size=member.packed_size + 1),
        member._replace(method=DEFLATED - member.method),
    ):
        with pytest.raises(ZipFault):
            check_local(header, other)


@given(st.integers(0, 100_001), SIZES, st.integers(0, 2**26))
def test_the_end_reads_back(count: int, offset: int, size: int) -> None:
    end = End(count, offset, size)
    data = encode_end(end)
    assert len(data) == TAIL_BYTES
    assert parse_end(data, offset + size + len(data)) == end
    with pytest.raises(ZipFault):
        parse_end(data, offset + size + len(data) + 1)


@pytest.mark.parametrize("size", EDGES)
def test_rows_without_zip64_are_read_where_they_suffice(size: int) -> None:
    name = b"m.bin"
    row = CENTRAL.pack(
        b"PK\1\2", 45, 45, UTF8_NAME, STORED, 0, 33, 7, min(size, MAX32), min(size, MAX32),
        len(name), 0, 0, 0, 0, 0, 0,
    ) + name  # fmt: skip
    if size < MAX32:
        assert next(parse_directory(row, 1)).size == size
    else:
        with pytest.raises(ZipFault, match="lacks its Zip64 sizes"):
            next(parse_directory(row, 1))


@pytest.mark.parametrize("signature", [b"", DESCRIPTOR_SIGNATURE])
@pytest.mark.parametrize("layout", ["<3I", "<I2Q"])
def test_records_after_the_data(signature: bytes, layout: str) -> None:
    member = Member("m", DEFLATED, 5, 6, 7, 0, 0, UTF8_NAME | SIZES_FOLLOW)
    check_descriptor(signature + struct.pack(layout, 5, 6, 7), member)
    with pytest.raises(ZipFault):
        check_descriptor(signature + struct.pack(layout, 5, 6, 8), member)


@given(st.binary(max_size=300))
def test_any_bytes_give_records_or_a_fault(data: bytes) -> None:
    for read in (
        lambda: parse_end(data[-TAIL_BYTES:], len(data)),
        lambda: list(parse_directory(data, 3)),
        lambda: check_local(data[: local_bytes(data)], Member("m", 0, 0, 0, 0, 0, 0)),
    ):
        try:
            read()
        except ZipFault:
            pass


@given(st.lists(members(), min_size=1, max_size=3), st.data())
def test_a_damaged_directory_gives_records_or_a_fault(
    written: list[Member], data: st.DataObject
) -> None:
    whole = bytearray(b"".join(encode_central(member) for member in written))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    try:
        list(parse_directory(bytes(whole), len(written)))
    except ZipFault:
        pass
