"""Chunks cut by content: the same from everywhere, and with every version of the library."""

from __future__ import annotations

import hashlib
import io
import random
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstation.codec.chunking import (
    MAX_BYTES,
    MIN_BYTES,
    SMALL_BYTES,
    WINDOW_BYTES,
    chunk_lengths,
    cut_stream,
)
from bitstation.errors import MissingExtra


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that are the same on every Python: SHA-256 of a counter."""
    counters = range(-(-length // 32))
    return b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in counters)[:length]


class Trickle(io.RawIOBase):
    """A stream that gives fewer bytes than asked for, as pipes do."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._sizes = random.Random(1)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._data.readinto(buffer[: self._sizes.randint(1, 3_000_000)])


def lengths_of(stream: io.RawIOBase | io.BytesIO) -> list[int]:
    return [length for window in cut_stream(stream) for length in window.lengths]


# Cuts of noise, of text with a period, and of zeroes. A library that gives others is another format
# for every release published: the map of a file that did not change would change.
GOLDEN = {
    "noise": (
        noise(1_000_000),
        [
            *(91486, 47580, 103659, 76898, 65615, 67211, 67704),
            *(66961, 32625, 77326, 116563, 76255, 71806, 38311),
        ],
    ),
    "text": (
        b"".join(b"line %d of a file\n" % n for n in range(30_000)),
        [83766, 73256, 60008, 65587, 106109, 81634, 74772, 66385, 7373],
    ),
    "zeroes": (bytes(600_000), [262144, 262144, 75712]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cuts(name: str) -> None:
    data, lengths = GOLDEN[name]
    assert chunk_lengths(data) == lengths


def test_stream_file_and_memory_are_cut_alike(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = noise(2 * WINDOW_BYTES + 300_000)
    lengths = chunk_lengths(data)
    assert sum(lengths) == len(data)
    assert lengths_of(io.BytesIO(data)) == lengths
    assert lengths_of(Trickle(data)) == lengths
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        assert lengths_of(file) == lengths


@pytest.mark.parametrize("offset", [-MAX_BYTES, -1, 0, 1, MIN_BYTES, MAX_BYTES])
@pytest.mark.parametrize("zeroes", [False, True])
def test_the_end_of_a_window_is_no_cut(offset: int, zeroes: bool) -> None:
    length = WINDOW_BYTES + offset
    data = bytes(length) if zeroes else noise(length)
    assert lengths_of(io.BytesIO(data)) == chunk_lengths(data)


def test_windows_hold_the_bytes_of_the_file() -> None:
    data = noise(WINDOW_BYTES + 5_000_000)
    joined = b""
    for window in cut_stream(io.BytesIO(data)):
        assert len(window.data) == sum(window.lengths)
        joined += window.data
    assert joined == data


def test_lengths_stay_within_bounds() -> None:
    lengths = chunk_lengths(noise(8_000_000))
    assert all(MIN_BYTES <= length <= MAX_BYTES for length in lengths[:-1])
    assert 60_000 < sum(lengths) / len(lengths) < 90_000


@pytest.mark.parametrize("length", [0, 1, MIN_BYTES, SMALL_BYTES])
def test_a_small_file_is_one_chunk(length: int) -> None:
    lengths = chunk_lengths(noise(length, seed=5))
    assert lengths == ([length] if length else [])
    assert lengths_of(io.BytesIO(noise(length, seed=5))) == lengths


def _chunks(data: bytes) -> Iterator[bytes]:
    at = 0
    for length in chunk_lengths(data):
        yield data[at : at + length]
        at += length


BODY = noise(2_000_000)


@settings(max_examples=20)
@given(st.integers(0, len(BODY)), st.binary(min_size=1, max_size=3000))
def test_an_insertion_changes_few_chunks(at: int, inserted: bytes) -> None:
    data = BODY
    before = set(_chunks(data))
    after = list(_chunks(data[:at] + inserted + data[at:]))
    assert sum(len(chunk) for chunk in after if chunk not in before) < 3 * MAX_BYTES


def test_memory_does_not_follow_the_file() -> None:
    class Endless(io.RawIOBase):
        left = 200_000_000
        block = noise(1_000_000)

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            count = min(len(buffer), len(self.block), self.left)
            buffer[:count] = self.block[:count]
            self.left -= count
            return count

    tracemalloc.start()
    total = sum(len(window.data) for window in cut_stream(Endless()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 200_000_000
    assert peak < WINDOW_BYTES + 1_000_000


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyfastcdc", None)
    with pytest.raises(MissingExtra, match="pyfastcdc"):
        chunk_lengths(b"")
    with pytest.raises(MissingExtra):
        next(cut_stream(io.BytesIO(b"")))
