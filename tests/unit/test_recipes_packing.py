"""Forms of blocks: fillings named, text in frames, weights in planes, noise left alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.codec.chunking import MAX_BYTES
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.digest import Digest, digest_of
from bitstation.core.recipe import Codec, Fetch, Fill, Segment
from bitstation.recipes.frames import FRAME_BYTES, Blocks, choose, pack_blocks
from bitstation.recipes.kinds import OPAQUE, RAW, Kind, filling
from bitstation.recipes.known import Forms
from bitstation.recipes.packing import Packer
from bitstation.recipes.packs import PENDING, PackWriter, settled
from bitstation.recipes.reading import BlobReader
from bitstation.storage.hashing import Stop
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from tests.unit.rebuilding import output

KIB = 1 << 10


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def text(length: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    return b" ".join(b"word%d" % rng.randrange(300) for _ in range(length // 5))[:length]


def weights(length: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    raw = struct.pack(f"<{length // 4}f", *(rng.gauss(0, 0.02) for _ in range(length // 4)))
    return raw


class Press:
    """Packs files given as blocks, one after the other, into one pack."""

    def __init__(self, work: Path, forms: Forms | None = None) -> None:
        self.forms = forms or Forms()
        self.pack = PackWriter(work / "pack", QuickDisk())
        self.packer = Packer(self.forms, self.pack, Stop())

    def add(self, *blocks: bytes, kinds: list[Kind] | None = None) -> list[Segment]:
        data = b"".join(blocks)
        digests = b"".join(bytes.fromhex(digest_of(block)) for block in blocks)
        blockmap = BlockMap(
            digest_of(data), len(data), Cut.TENSORS, tuple(map(len, blocks)), digests
        )
        source = MemorySource()
        reader = BlobReader(source, source.add_blob(data), len(data))
        found = self.packer.recipe(blockmap, kinds or [OPAQUE] * len(blocks), reader)
        reader.close()
        self.reads = len(source.asked)
        return list(settled(found, PENDING))

    def finish(self) -> dict[Digest, bytes]:
        made = self.pack.finish()
        return {PENDING: made.path.read_bytes()} if made else {}


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    made = Press(tmp_path)
    yield made
    made.pack.discard()


def steps(segments: list[Segment]) -> list[object]:
    return [segment.step for segment in segments]


def test_neighbouring_text_is_one_frame_up_to_a_mebibyte(press: Press) -> None:
    blocks = [text(100 * KIB, seed) for seed in range(25)]
    found = press.add(*blocks)
    assert [segment.first for segment in found] == [0, 10, 20]
    packs = press.finish()
    for segment in found:
        content = b"".join(blocks[segment.first : segment.end])
        assert len(content) <= FRAME_BYTES
        assert output(segment, len(content), packs) == content


def test_raw_weights_have_a_frame_for_each_block(press: Press) -> None:
    blocks = [weights(80 * KIB, seed) for seed in range(3)]
    found = press.add(*blocks)
    assert [segment.count for segment in found] == [1, 1, 1]
    packs = press.finish()
    for segment, block in zip(found, blocks, strict=True):
        assert isinstance(segment.step, Fetch)
        assert segment.step.codec is Codec.PLANES_4
        assert segment.step.length < len(block) * 87 // 100
        assert output(segment, len(block), packs) == block


def test_noise_has_no_form_and_makes_no_pack(press: Press, tmp_path: Path) -> None:
    assert press.add(noise(90 * KIB), noise(5_000, 2)) == []
    assert press.finish() == {}
    assert list(tmp_path.iterdir()) == []


def test_what_saves_little_is_left_as_it_is() -> None:
    assert pack_blocks(alone(noise(98_000) + bytes(2_000)), OPAQUE.codecs) == []
    assert pack_blocks(alone(b"a" * 80), OPAQUE.codecs) == []
    assert pack_blocks(alone(b"a" * 200), OPAQUE.codecs) != []


def test_blocks_that_are_not_what_the_map_says_have_no_form() -> None:
    for data in (text(5_000), weights(90_000)):
        other = data[:-1] + b"x"
        assert pack_blocks(alone(data), OPAQUE.codecs)
        assert pack_blocks(alone(data)._replace(data=other), OPAQUE.codecs) == []


def alone(data: bytes) -> Blocks:
    return Blocks(data, [len(data)], [bytes.fromhex(digest_of(data))])


def test_fillings_are_named_and_not_read(press: Press) -> None:
    zeroes, spaces = bytes(FRAME_BYTES), b" " * 31
    found = press.add(*[zeroes] * 70, spaces, zeroes)
    assert steps(found) == [Fill(0), Fill(0), Fill(0x20), Fill(0)]
    # A segment gives at most 64 MiB.
    assert [segment.count for segment in found] == [64, 6, 1, 1]
    assert press.reads == 0


def test_only_the_longest_chunks_are_looked_at_for_fillings() -> None:
    lengths = (MAX_BYTES, 70_000)
    digests = b"".join(bytes.fromhex(digest_of(bytes(length))) for length in lengths)
    blockmap = BlockMap(Digest("0" * 64), sum(lengths), Cut.CONTENT, lengths, digests)
    assert [filling(blockmap, number) for number in range(2)] == [0, None]


def test_quantised_weights_are_not_even_read(press: Press) -> None:
    assert press.add(text(80 * KIB), kinds=[RAW]) == []
    assert press.reads == 0


def test_a_tensor_keeps_the_choice_of_its_first_block(press: Press) -> None:
    kind = Kind((Codec.ZSTD, Codec.PLANES_4), 5)
    other = Kind((Codec.ZSTD, Codec.PLANES_4), 6)
    blocks = [weights(FRAME_BYTES, 1), text(FRAME_BYTES), noise(90_000), text(90_000)]
    found = press.add(*blocks, kinds=[kind, kind, other, other])
    assert [(each.first, each.count) for each in found] == [(0, 1), (1, 1)]
    assert all(isinstance(step, Fetch) and step.codec is Codec.PLANES_4 for step in steps(found))


def test_a_block_that_stands_twice_is_packed_once(press: Press) -> None:
    one, other = text(70_000, 1), text(70_000, 2)
    first = press.add(one, noise(70_000), one, other, kinds=[OPAQUE, RAW, OPAQUE, OPAQUE])
    assert [(each.first, each.count) for each in first] == [(0, 1), (2, 1), (3, 1)]
    assert first[0].step == first[1].step
    again = press.add(noise(9_000, 3), one, other, kinds=[RAW, OPAQUE, OPAQUE])
    assert [each.step for each in again] == [first[0].step, first[2].step]
    assert press.pack.size_bytes == sum(
        step.length for step in {first[0].step, first[2].step} if isinstance(step, Fetch)
    )


def test_a_run_is_taken_over_whole_or_packed_anew(press: Press) -> None:
    blocks = [text(70_000, seed) for seed in range(6)]
    whole = press.add(*blocks)
    assert len(whole) == 1
    size = press.pack.size_bytes
    # In the same release a part of it needs no form: who fetched the first file has it.
    assert press.add(*blocks[2:4]) == []
    assert press.add(noise(9_000), *blocks)[0].step == whole[0].step
    assert press.pack.size_bytes == size


def test_a_sample_tells_the_formats_apart() -> None:
    codecs = (Codec.ZSTD, Codec.PLANES_2, Codec.PLANES_4)
    full = weights(200_000)
    halves = b"".join(full[at + 2 : at + 4] for at in range(0, len(full), 4))
    assert choose(text(300_000), codecs) is Codec.ZSTD
    assert choose(halves, codecs) is Codec.PLANES_2
    assert choose(weights(300_000), codecs) is Codec.PLANES_4
    assert choose(noise(300_000), codecs) is Codec.RAW
