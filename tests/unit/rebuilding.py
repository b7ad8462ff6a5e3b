"""Releases made small, and built again by a reader of recipes that shares no code with makers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bitstation.codec.guiding import Papers, unfold
from bitstation.core.atlas import parse_atlas
from bitstation.core.blockmap import BlockMap, whole_map
from bitstation.core.digest import Digest, digest_of
from bitstation.core.guide import parse_guide
from bitstation.core.recipe import INLINE, Codec, Fetch, Fill, Patch, Segment, parse_recipes
from bitstation.recipes.made import Maps
from bitstation.recipes.release import Known, Made, make_release
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release
from bitstation.transport.source import Source

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Published(NamedTuple):
    """A release, what was made of it, and the blobs that lie beside its files."""

    release: Release
    made: Made
    packs: dict[Digest, bytes]

    def known(self, blobs: Source | None = None) -> Known:
        atlas_bytes = self.made.atlas_bytes
        return Known(
            manifest=self.release.manifest,
            papers=Papers(self.release.manifest.encode(), atlas_bytes),
            atlas=parse_atlas(atlas_bytes),
            blobs=blobs or MemorySource(self.release),
        )

    def guide_from(self, base: Release | None) -> bytes | None:
        wanted = base.manifest.manifest_hash if base else None
        return next((each.data for each in self.made.guides if each.base == wanted), None)


def silent(_kind: str, _subject: str, _total_bytes: int) -> OnBytes:
    return lambda _count: None


def make(
    release: Release,
    work: Path,
    *bases: Known,
    source: Source | None = None,
    cache: Maps | None = None,
    stop: Stop | None = None,
) -> Published:
    made = make_release(
        release.manifest,
        release.manifest.encode(),
        source or MemorySource(release),
        bases,
        work=work,
        cache=cache,
        disk=QuickDisk(),
        stop=stop or Stop(),
        progress=silent,
    )
    packs = {}
    for pack in made.packs:
        data = pack.path.read_bytes()
        assert digest_of(data) == pack.digest
        assert len(data) == pack.size_bytes
        packs[pack.digest] = data
        pack.path.unlink()
    assert list(work.iterdir()) == []
    return Published(release, made, packs)


class Cost(NamedTuple):
    """Bytes on the wire, by what they were fetched for."""

    guide: int
    patches: int
    forms: int
    raw: int

    @property
    def total(self) -> int:
        return sum(self)


def rebuild(target: Published, *bases: Published) -> Cost:
    """Build every file of a release from the guide over the last base, or from nothing.

    Every segment of the guide and of the atlas is tried, needed or not; the cost is that of a
    worker that takes patches first, then its own blocks, then forms, then plain bytes.
    """
    base = bases[-1] if bases else None
    data = target.guide_from(base.release if base else None)
    assert data is not None
    guide = parse_guide(data)
    papers = Papers(base.release.manifest.encode(), base.made.atlas_bytes) if base else None
    found = unfold(guide, papers)
    assert found.papers.manifest == target.release.manifest.encode()
    assert found.papers.atlas == target.made.atlas_bytes
    atlas = parse_atlas(found.papers.atlas)
    counts = {digest: len(each) for digest, each in atlas.maps.items()}
    blobs = {**target.packs, INLINE: found.inline}
    for each in bases:
        blobs |= each.packs | (each.release.blobs if each is base else {})
    held = _blocks(base) if base else set()
    contents = target.release.blobs
    cost = Cost(len(data), 0, 0, 0)
    recipes = parse_recipes(found.recipes, counts)
    assert set(recipes) | set(atlas.recipes) <= set(contents)
    for digest, content in contents.items():
        blockmap = atlas.maps.get(digest) or whole_map(digest, len(content))
        _check_map(blockmap, content)
        segments = recipes.get(digest, ()), atlas.recipes.get(digest, ())
        for segment in (*segments[0], *segments[1]):
            _check_segment(segment, blockmap, content, blobs)
        cost = _add(cost, _cost(blockmap, segments, held))
        held |= _digests(blockmap)
    return cost


def _check_map(blockmap: BlockMap, content: bytes) -> None:
    assert blockmap.size_bytes == len(content)
    for block in blockmap.blocks():
        assert digest_of(content[block.offset : block.offset + block.length]) == block.digest.hex()


def _check_segment(
    segment: Segment, blockmap: BlockMap, content: bytes, blobs: Mapping[Digest, bytes]
) -> None:
    starts = [0, *accumulate(blockmap.lengths)]
    wanted = content[starts[segment.first] : starts[segment.end]]
    assert wanted
    assert len(wanted) <= 64 << 20
    assert output(segment, len(wanted), blobs) == wanted


def output(segment: Segment, size_bytes: int, blobs: Mapping[Digest, bytes]) -> bytes:
    step = segment.step
    if isinstance(step, Fill):
        return bytes([step.value]) * size_bytes
    assert isinstance(step, Fetch | Patch)
    frame = blobs[step.blob][step.offset : step.offset + step.length]
    assert len(frame) == step.length
    if isinstance(step, Patch):
        base = blobs[step.base][step.base_offset : step.base_offset + step.base_length]
        assert len(base) == step.base_length
        return zstd.decompress(frame, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)
    content = zstd.decompress(frame)
    width = {Codec.ZSTD: 1, Codec.PLANES_2: 2, Codec.PLANES_4: 4}[step.codec]
    planes = [len(range(start, size_bytes, width)) for start in range(width)]
    ends = [0, *accumulate(planes)]
    plane = [content[ends[number] : ends[number + 1]] for number in range(width)]
    return bytes(plane[at % width][at // width] for at in range(size_bytes))


def _digests(blockmap: BlockMap) -> set[bytes]:
    return {block.digest for block in blockmap.blocks()}


def _blocks(made: Published) -> set[bytes]:
    atlas = parse_atlas(made.made.atlas_bytes)
    held: set[bytes] = set()
    for digest, content in made.release.blobs.items():
        held |= _digests(atlas.maps.get(digest) or whole_map(digest, len(content)))
    return held


def _cost(
    blockmap: BlockMap, segments: tuple[Sequence[Segment], Sequence[Segment]], held: set[bytes]
) -> Cost:
    patches = forms = raw = 0
    done: set[int] = set()
    for segment in segments[0]:
        assert isinstance(segment.step, Patch)
        patches += segment.step.length if segment.step.blob != INLINE else 0
        done |= set(range(segment.first, segment.end))
    done |= {n for n in range(len(blockmap)) if blockmap.digest(n) in held}
    for segment in segments[1]:
        lacking = set(range(segment.first, segment.end)) - done
        if lacking and isinstance(segment.step, Fetch):
            forms += segment.step.length
        done |= lacking
    raw = sum(length for n, length in enumerate(blockmap.lengths) if n not in done)
    return Cost(0, patches, forms, raw)


def _add(one: Cost, other: Cost) -> Cost:
    return Cost(*(left + right for left, right in zip(one, other, strict=True)))
