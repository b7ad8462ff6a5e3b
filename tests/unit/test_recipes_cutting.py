"""Maps of files: the blocks of models and of all others, with their true digests."""

from __future__ import annotations

import hashlib
import random
import sys

import pytest

from bitstation.codec.chunking import chunk_lengths
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import digest_of
from bitstation.core.manifest import Entry
from bitstation.errors import MissingExtra, SourceBroken, UpdateCancelled
from bitstation.recipes.cutting import map_file
from bitstation.recipes.reading import BlobReader
from bitstation.storage.hashing import Stop
from bitstation.testing.memory_source import MemorySource
from tests.unit.model_files import STRING, Tensor, gguf, key_value, safetensors

MIB = 1 << 20


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def cut(data: bytes, path: str = "file.bin", stop: Stop | None = None) -> BlockMap:
    source = MemorySource()
    digest = source.add_blob(data)
    reader = BlobReader(source, digest, len(data))
    told: list[int] = []
    found = map_file(Entry(path, digest, len(data)), reader, stop or Stop(), told.append)
    reader.close()
    assert sum(told) == len(data)
    assert found.file_digest == digest
    assert found.size_bytes == len(data)
    for block in found.blocks():
        part = data[block.offset : block.offset + block.length]
        assert hashlib.sha256(part).digest() == block.digest
    assert sum(found.lengths) == len(data)
    return found


def weights(*sizes: int) -> list[Tensor]:
    return [
        Tensor(f"t{number}", 24, (size,), noise(size, number)) for number, size in enumerate(sizes)
    ]


def test_an_opaque_file_is_cut_by_content_across_windows() -> None:
    data = noise(37 * MIB)
    found = cut(data)
    assert found.cut is Cut.CONTENT
    assert list(found.lengths) == chunk_lengths(data)
    assert found.groups == ()


def test_a_gguf_is_cut_at_tensors_across_windows() -> None:
    sizes = (70_000, 20 * MIB + 5, 3 * MIB, 1_000_000)
    data = gguf(weights(*sizes), [key_value("general.name", STRING, "x")])
    found = cut(data, "blob-without-name")
    assert found.cut is Cut.TENSORS
    assert [group.count for group in found.groups] == [21, 3]
    for group in found.groups:
        digests = found.digests[32 * group.first : 32 * (group.first + group.count)]
        assert digest_of(digests) == group.digest


def test_equal_tensors_have_equal_groups_in_other_files() -> None:
    tensor = noise(2 * MIB + 7, 9)
    one = cut(gguf([Tensor("a", 24, (len(tensor),), tensor)], []), "a.gguf")
    shape = [len(tensor)]
    other = cut(safetensors([("first", "U8", [9_000], noise(9_000)), ("b", "U8", shape, tensor)]))
    assert one.groups[0].digest == other.groups[0].digest


@pytest.mark.parametrize(
    "data",
    [
        b"GGUF" + noise(200_000),
        gguf(weights(300_000))[:-5_000],
        noise(100_000) + b"GGUF",
    ],
)
def test_what_only_says_that_it_is_a_model_is_cut_by_content(data: bytes) -> None:
    assert cut(data, "model.gguf").cut is Cut.CONTENT


def test_a_model_of_crumbs_is_cut_by_content() -> None:
    crumbs = [(f"t{number}", "U8", [40], noise(40, number)) for number in range(3_000)]
    assert cut(safetensors(crumbs), "model.safetensors").cut is Cut.CONTENT


def test_it_stops_when_told() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(UpdateCancelled):
        cut(noise(100_000), stop=stop)


def test_an_early_end_is_an_error() -> None:
    source = MemorySource()
    digest = source.add_blob(noise(100_000))
    reader = BlobReader(source, digest, 100_001)
    with pytest.raises(SourceBroken):
        map_file(Entry("x", digest, 100_001), reader, Stop(), lambda _count: None)
    reader.close()


def test_without_the_extra_only_models_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyfastcdc", None)
    with pytest.raises(MissingExtra, match="pyfastcdc"):
        cut(noise(100_000))
    assert cut(gguf(weights(300_000)), "x.gguf").cut is Cut.TENSORS


def test_a_reader_goes_on_where_it_stands_and_opens_anew_to_go_back() -> None:
    source = MemorySource()
    data = noise(300_000)
    reader = BlobReader(source, source.add_blob(data), len(data))
    assert reader.read(5, 100) == data[5:105]
    assert reader.read(2_000, 7) == data[2_000:2_007]
    assert len(source.asked) == 1
    assert reader.read_at(299_990, 100) == data[299_990:]
    assert reader.read_at(300_000, 5) == b""
    assert reader.read(0, 10) == data[:10]
    assert [asked.offset for asked in source.asked] == [5, 0]
    reader.close()
