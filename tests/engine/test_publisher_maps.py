"""The publisher's cache of maps: whole or not there, and never too large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bitstation import host
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry
from bitstation.errors import UpdateCancelled
from bitstation.publisher.maps import MapCache
from bitstation.recipes.cutting import map_file
from bitstation.recipes.reading import BlobReader
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.memory_source import MemorySource
from tests.unit.model_files import STRING, Tensor, gguf, key_value

# Its header and one tensor are of several blocks, so that both could be groups.
MODEL = gguf(
    [Tensor("a", 24, (3 << 20,), bytes(3 << 20)), Tensor("b", 24, (40,), bytes(40))],
    [key_value("note", STRING, "x" * (2 << 20))],
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger")
    yield opened
    opened.close()


def mapped_alone(data: bytes) -> BlockMap:
    source = MemorySource()
    digest = source.add_blob(data)
    reader = BlobReader(source, digest, len(data))
    return map_file(Entry("m.gguf", digest, len(data)), reader, Stop(), lambda _count: None)


def test_one_read_proves_a_model_and_gives_the_map_that_any_publisher_makes(
    tmp_path: Path, ledger: Ledger
) -> None:
    model, other = tmp_path / "model.gguf", tmp_path / "opaque.bin"
    model.write_bytes(MODEL)
    other.write_bytes(b"o" * 300_000)
    cut_short = tmp_path / "short.gguf"
    cut_short.write_bytes(MODEL[:400_000])
    cache, totals, counts = MapCache(QuickDisk(), folder=tmp_path / "maps"), [], []

    def told(total_bytes: int) -> OnBytes:
        totals.append(total_bytes)
        return counts.append

    paths = [model, other, cut_short, tmp_path / "absent"]
    cache.map_new(paths, ledger, told)
    assert ledger.proof(host.stat_facts(model)) == digest_of(MODEL)
    assert cache.load(digest_of(MODEL)) == mapped_alone(MODEL)
    assert sum(counts) == sum(totals) == len(MODEL)
    assert ledger.proof(host.stat_facts(other)) is None
    cache.map_new(paths, ledger, told)
    assert len(totals) == 1


def test_a_stop_leaves_no_proof_of_what_was_not_read(tmp_path: Path, ledger: Ledger) -> None:
    model, stop = tmp_path / "model.gguf", Stop()
    model.write_bytes(MODEL)
    stop.set()
    cache = MapCache(QuickDisk(), folder=tmp_path / "maps")
    with pytest.raises(UpdateCancelled):
        cache.map_new([model], ledger, lambda _total: lambda _count: None, stop)
    assert ledger.proof(host.stat_facts(model)) is None


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
