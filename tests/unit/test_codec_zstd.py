"""zstd frames and patches: right, bounded, and refused when they are not what they say."""

from __future__ import annotations

import random
import struct
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.codec import zstd as codec
from bitstation.codec.zstd import ZstdFault, apply_patch, compress, decompress, patch_from

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1 << 20
# Made by zstd 1.5.7: what is published now must be read by every later version.
GOLDEN_FRAME = bytes.fromhex("28b52ffd20c88d00005042697453746174696f6e0100bb520509")
GOLDEN_PATCH = bytes.fromhex("28b52ffd6003038d0000186e657703008003fd06449df801750101")


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def edited(data: bytes) -> bytes:
    """The same with three insertions and a hole."""
    third = len(data) // 3
    return (
        b"start"
        + data[:third]
        + b"middle"
        + data[third + 9 : 2 * third]
        + b"end"
        + data[2 * third :]
    )


@given(st.binary(max_size=4000))
def test_a_frame_gives_back_what_it_was_made_of(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data
    assert decompress(bytearray(compress(memoryview(data), 19)), len(data)) == data


@given(st.lists(st.binary(max_size=900), max_size=5))
def test_a_frame_of_parts_gives_them_one_after_the_other(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert decompress(codec.compress_parts(parts), len(data)) == data


def test_parts_do_not_share_a_block() -> None:
    # One table of frequencies for both would leave each byte its 8 bits.
    parts = [bytes([value & 15 for value in noise(40_000)]), noise(40_000)]
    assert len(codec.compress_parts(parts)) < 61_000 < len(compress(b"".join(parts), 1))


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_patch_gives_the_content_from_its_base(base: bytes, data: bytes) -> None:
    assert apply_patch(base, patch_from(base, data), len(data)) == data


@pytest.mark.parametrize("size", [100_000, 5 * MIB, 20 * MIB, 40 * MIB])
def test_a_patch_refers_to_all_of_its_base(size: int) -> None:
    base = noise(size)
    data = edited(base)
    patch = patch_from(base, data, 3)
    assert len(patch) < 400 + size // 500
    assert apply_patch(memoryview(base), patch, len(data)) == data


def test_another_base_never_gives_the_content_unnoticed() -> None:
    base, data = noise(100_000), edited(noise(100_000))
    patch = patch_from(base, data)
    assert apply_patch(noise(100_000, 2), patch, len(data)) != data
    with pytest.raises(ZstdFault):
        apply_patch(base[:10], patch, len(data))
    with pytest.raises(ZstdFault):
        decompress(patch, len(data))


@pytest.mark.parametrize("size", [0, 9, 1023, 1025, 2**40, -1])
def test_a_frame_that_states_another_size_is_refused(size: int) -> None:
    frame = compress(bytes(1024))
    with pytest.raises(ZstdFault):
        decompress(frame, size)


def test_a_bomb_is_refused_before_it_is_opened() -> None:
    bomb = compress(bytes(64 * MIB))
    tracemalloc.start()
    with pytest.raises(ZstdFault, match="states"):
        decompress(bomb, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bomb) < 10_000
    assert peak < 100_000


def test_a_bomb_that_states_no_size_or_a_small_one_is_refused() -> None:
    compressor = zstd.ZstdCompressor()
    unsized = compressor.compress(bytes(MIB), zstd.ZstdCompressor.FLUSH_BLOCK) + compressor.flush()
    with pytest.raises(ZstdFault, match="states None"):
        decompress(unsized, MIB)
    # Another size in the header, in front of the same blocks.
    frame = compress(bytes(10 * MIB))
    assert frame[6:10] == struct.pack("<I", 10 * MIB)
    lying = frame[:6] + struct.pack("<I", 70_000) + frame[10:]
    with pytest.raises(ZstdFault):
        decompress(lying, 70_000)


def test_a_window_of_gigabytes_is_refused() -> None:
    frame = bytearray(compress(bytes(10 * MIB)))
    assert frame[5] == 0x58  # 2 MiB; RFC 8878, 3.1.1.1.2
    frame[5] = 0xA8
    with pytest.raises(ZstdFault, match="too much memory"):
        decompress(frame, 10 * MIB)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x28\xb5\x2f\xfd",
        b"not a frame at all",
        struct.pack("<II", 0x184D2A50, 4) + b"skip",
        compress(b"x" * 100) + b"y",
        compress(b"x" * 100) * 2,
        compress(noise(100))[:-1],
        compress(noise(100))[:20],
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    for size in (0, 100):
        with pytest.raises(ZstdFault):
            decompress(frame, size)
        with pytest.raises(ZstdFault):
            apply_patch(b"some base bytes", frame, size)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_damaged_frame_is_refused_or_gives_as_many_bytes(
    data: bytes, draws: st.DataObject
) -> None:
    base = b"a base that is there " * 9
    frame = bytearray(patch_from(base, base[:90] + data))
    at = draws.draw(st.integers(0, len(frame) - 1))
    frame[at : at + 1] = draws.draw(st.binary(max_size=3))
    try:
        assert len(apply_patch(base, frame, 90 + len(data))) == 90 + len(data)
    except ZstdFault:
        pass


def test_sizes_beyond_the_bounds_are_refused() -> None:
    longest = bytes(codec.MAX_SIZE_BYTES)
    for base, data in ((longest + b"x", b""), (b"", longest + b"x"), (longest, longest)):
        with pytest.raises(ZstdFault, match="beyond"):
            patch_from(base, data)
        with pytest.raises(ZstdFault, match="beyond"):
            apply_patch(base, b"", len(data))
    with pytest.raises(ZstdFault, match="beyond"):
        compress(longest + b"x")


def test_a_golden_frame_and_a_golden_patch() -> None:
    assert decompress(GOLDEN_FRAME, 200) == b"BitStation" * 20
    base = bytes(range(256)) * 4
    assert apply_patch(base, GOLDEN_PATCH, 1027) == base[:500] + b"new" + base[500:]
