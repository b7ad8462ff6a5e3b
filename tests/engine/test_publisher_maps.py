"""The publisher's cache of maps: whole or not there, and never too large."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest
from bitstation.publisher.maps import MapCache
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped


def test_a_damaged_cache_is_no_cache(tmp_path: Path) -> None:
    cache = MapCache(QuickDisk(), folder=tmp_path)
    blockmap = BlockMap(Digest("a" * 64), 5, Cut.CONTENT, (5,), b"d" * 32)
    assert cache.load(blockmap.file_digest) is None
    cache.save(blockmap)
    assert cache.load(blockmap.file_digest) == blockmap
    path = tmp_path / blockmap.file_digest
    data = path.read_bytes()
    for harmed in (data[:-1], data[:-1] + b"x", b"", b"x" + data[1:]):
        path.write_bytes(harmed)
        assert cache.load(blockmap.file_digest) is None
    path.rename(tmp_path / ("b" * 64))
    (tmp_path / ("b" * 64)).write_bytes(data)
    assert cache.load(Digest("b" * 64)) is None


def test_the_cache_is_bounded_and_the_oldest_maps_go(tmp_path: Path) -> None:
    import os

    cache = MapCache(QuickDisk(), folder=tmp_path, max_bytes=3_000)
    for number in range(40):
        digest = Digest(f"{number:064x}")
        cache.save(BlockMap(digest, 5, Cut.CONTENT, (5,), b"d" * 32))
        os.utime(tmp_path / digest, (number, number))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000 + 200
    assert cache.load(Digest(f"{39:064x}"))
    assert cache.load(Digest(f"{0:064x}")) is None


def test_killed_while_it_writes_a_map_the_cache_stays_whole(tmp_path: Path) -> None:
    blockmap = BlockMap(Digest("a" * 64), 5, Cut.CONTENT, (5,), b"d" * 32)
    for number in range(1, 5):
        with pytest.raises(Stopped):
            MapCache(FaultyDisk(stop_after=number), folder=tmp_path).save(blockmap)
        found = MapCache(QuickDisk(), folder=tmp_path).load(blockmap.file_digest)
        assert found in (None, blockmap)
    assert msgspec.structs.astuple(blockmap)
