"""What a bundle must hold: a whole release, or only what a machine with another one lacks.

A bundle is a ZIP whose members are stored; docs/formats.md says under which names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bitstation.core.atlas import Atlas
from bitstation.core.blockmap import BlockMap, whole_map
from bitstation.core.digest import EMPTY, Digest
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.mirror import MAX_OFFER_BYTES, OFFER_NAME
from bitstation.core.recipe import INLINE, Fetch, Patch, Recipe, Recipes, Segment
from bitstation.core.wire import BaseRef, ReleaseOffer
from bitstation.errors import ManifestError

MAX_BASES = 8
MAX_SPANS = 2000
"""Of one blob: nearby spans are joined until there are no more, so that a ZIP can list them."""
DEFAULT_MAX_ASSET_BYTES = 4_000_000_000
"""FAT32 takes no file of 4 GiB."""

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z", re.ASCII)
_RANGE = re.compile(r"ranges/([0-9a-f]{64})/(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,15})\Z", re.ASCII)


class Span(NamedTuple):
    """``length`` bytes of a blob from ``offset`` on."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.length


class BundleOffer(ReleaseOffer, frozen=True, omit_defaults=True):
    """offer.json of a bundle; one of ``bases`` must be there, unless there are none."""

    bases: tuple[BaseRef, ...] = ()


class Needs(msgspec.Struct, frozen=True):
    """Blobs that a bundle holds whole, with their sizes in bytes, and spans of others."""

    whole: dict[Digest, int] = {}
    spans: dict[Digest, tuple[Span, ...]] = {}

    @property
    def total_bytes(self) -> int:
        """Bytes of all of them."""
        spans = (span.length for each in self.spans.values() for span in each)
        return sum(self.whole.values()) + sum(spans)


class Inside(NamedTuple):
    """What a member of a bundle is by its name; ``span`` None: the whole blob."""

    digest: Digest
    span: Span | None


def needs_of_all(target: Manifest) -> Needs:
    """Every blob of a release."""
    return Needs({entry.sha256: entry.size for entry in target.entries})


def needs_beyond(
    base: Manifest, base_atlas: Atlas, target: Manifest, atlas: Atlas, recipes: Recipes
) -> Needs:
    """What a machine lacks that has exactly the base; ``recipes`` are of the guide from there.

    A block is needed as it is where neither the base has it nor a recipe makes it; of a recipe
    the span that it reads is needed. A file without a map is one block.
    """
    known = set(_blocks_of(base, base_atlas))
    here = {entry.sha256 for entry in base.entries} | {EMPTY}
    lacking = {entry.sha256: entry for entry in target.entries if entry.sha256 not in here}
    spans: dict[Digest, list[Span]] = {}
    for digest, entry in lacking.items():
        blockmap = _map_of(entry, atlas)
        segments = _by_block(recipes.get(digest, ())) | _missing_in(
            recipes.get(digest, ()), atlas.recipes.get(digest, ())
        )
        for blob, span in _lacked(blockmap, digest, known, segments):
            spans.setdefault(blob, []).append(span)
    return _settled({digest: entry.size for digest, entry in lacking.items()}, spans)


def joined(each: Sequence[Needs]) -> Needs:
    """What is needed for any of several purposes."""
    whole = {digest: size for needs in each for digest, size in needs.whole.items()}
    spans: dict[Digest, list[Span]] = {}
    for needs in each:
        for digest, found in needs.spans.items():
            if digest not in whole:
                spans.setdefault(digest, []).extend(found)
    return Needs(whole, {digest: _united(found) for digest, found in spans.items()})


def blob_member(digest: Digest) -> str:
    """Name of the member that holds a whole blob."""
    return f"blobs/sha256/{digest}"


def span_member(digest: Digest, span: Span) -> str:
    """Name of the member that holds a span of a blob."""
    return f"ranges/{digest}/{span.offset}-{span.length}"


def parse_member(name: str) -> Inside | None:
    """What a name means; None for any other than the names of blobs and spans."""
    if match := _BLOB.match(name):
        return Inside(Digest(match[1]), None)
    if match := _RANGE.match(name):
        return Inside(Digest(match[1]), Span(int(match[2]), int(match[3])))
    return None


def parse_bundle_offer(data: bytes, *, what: str) -> BundleOffer:
    """Checked offer of a bundle. Raises ManifestError."""
    faults = [f"{OFFER_NAME} is larger than {MAX_OFFER_BYTES} bytes"]
    if len(data) <= MAX_OFFER_BYTES:
        try:
            offer = msgspec.json.decode(data, type=BundleOffer)
        except msgspec.MsgspecError as error:
            raise ManifestError.of(what, [str(error)]) from error
        if len(offer.bases) <= MAX_BASES:
            return offer
        faults = [f"names {len(offer.bases)} bases; at most {MAX_BASES} are allowed"]
    raise ManifestError.of(what, faults)


def _blocks_of(manifest: Manifest, atlas: Atlas) -> Iterator[bytes]:
    for entry in manifest.entries:
        blockmap = _map_of(entry, atlas)
        yield from (blockmap.digest(number) for number in range(len(blockmap)))


def _map_of(entry: Entry, atlas: Atlas) -> BlockMap:
    return atlas.maps.get(entry.sha256) or whole_map(entry.sha256, entry.size)


def _by_block(recipe: Recipe) -> dict[int, Segment]:
    return {
        number: segment for segment in recipe for number in range(segment.first, segment.end)
    }


def _missing_in(first: Recipe, second: Recipe) -> dict[int, Segment]:
    """Segments by block of the second recipe, for the blocks that the first does not make."""
    made = _by_block(first).keys()
    return {number: found for number, found in _by_block(second).items() if number not in made}


def _lacked(
    blockmap: BlockMap, digest: Digest, known: set[bytes], segments: Mapping[int, Segment]
) -> Iterator[tuple[Digest, Span]]:
    """Spans, of the file or of packs, that the blocks of a file need which are not known."""
    offset = 0
    for number, length in enumerate(blockmap.lengths):
        if blockmap.digest(number) not in known:
            segment = segments.get(number)
            if segment is None:
                yield digest, Span(offset, length)
            elif isinstance(segment.step, Fetch | Patch) and segment.step.blob != INLINE:
                yield segment.step.blob, Span(segment.step.offset, segment.step.length)
        offset += length


def _settled(sizes: Mapping[Digest, int], spans: Mapping[Digest, Sequence[Span]]) -> Needs:
    """Spans united; what is needed from its first byte to its last is a whole blob."""
    united = {digest: _united(found) for digest, found in spans.items()}
    whole = {
        digest: sizes[digest]
        for digest, found in united.items()
        if digest in sizes and found == (Span(0, sizes[digest]),)
    }
    return Needs(whole, {digest: found for digest, found in united.items() if digest not in whole})


def _united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same bytes in spans that do not touch; a few bytes more where there are too many."""
    ordered, gap = sorted(spans), 0
    while True:
        found: list[Span] = []
        for span in ordered:
            if found and span.offset - found[-1].end <= gap:
                end = max(found[-1].end, span.end)
                found[-1] = Span(found[-1].offset, end - found[-1].offset)
            else:
                found.append(span)
        if len(found) <= MAX_SPANS:
            return tuple(found)
        ordered, gap = found, max(64 * 1024, gap * 2)
