"""Blocks packed for the wire: each codec gives back what it was given, of no other size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.codec.blocks import pack_block, unpack_block
from bitstation.codec.zstd import ZstdFault, compress, decompress
from bitstation.core.recipe import Codec

DATA = bytes(range(256)) * 5


@given(st.binary(max_size=300), st.sampled_from(Codec))
def test_what_was_packed_comes_back(data: bytes, codec: Codec) -> None:
    assert unpack_block(pack_block(data, codec), codec, len(data)) == data


def test_raw_is_the_bytes_themselves() -> None:
    assert pack_block(DATA, Codec.RAW) == DATA
    assert unpack_block(DATA, Codec.RAW, len(DATA)) == DATA
    # Nor is it taken for a frame where it looks like one.
    frame = compress(DATA)
    assert unpack_block(frame, Codec.RAW, len(frame)) == frame


def test_planes_lie_one_after_the_other() -> None:
    packed = pack_block(b"aAbBcCd", Codec.PLANES_2)
    assert decompress(packed, 7) == b"abcdABC"
    assert decompress(pack_block(b"aAxXbBy", Codec.PLANES_4), 7) == b"abABxyX"
    assert decompress(pack_block(b"aAbB", Codec.ZSTD), 4) == b"aAbB"


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("ahead", [-1, 1])
def test_another_size_is_refused(codec: Codec, ahead: int) -> None:
    with pytest.raises(ZstdFault):
        unpack_block(pack_block(DATA, codec), codec, len(DATA) + ahead)
