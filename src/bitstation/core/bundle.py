"""What a bundle must hold: a whole release, or only what a machine with another one lacks.

A bundle is a ZIP whose members are stored; docs/formats.md says under which names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from bitstation.core.atlas import Atlas
from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.core.mirror import MAX_OFFER_BYTES, METADATA, OFFER_NAME, is_metadata_name
from bitstation.core.plan import How
from bitstation.core.planning import Ground, Knowledge, plan_update
from bitstation.core.ranges import GAP_BYTES
from bitstation.core.recipe import INLINE, Fetch, Patch
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


MAX_METADATA = 300
"""Files of signed metadata in a bundle: every root, and those of one release."""


def needs_of_all(target: Manifest) -> Needs:
    """Every blob of a release."""
    return Needs({entry.sha256: entry.size for entry in target.entries})


def needs_beyond(base: Manifest, base_atlas: Atlas, target: Manifest, known: Knowledge) -> Needs:
    """What a machine lacks that has exactly the base: what its own plan would ask a source for."""
    places = {
        block.digest: (blockmap.file_digest, block.offset)
        for entry in base.entries
        if (blockmap := base_atlas.maps.get(entry.sha256))
        for block in blockmap.blocks()
    }
    ground = Ground(frozenset(entry.sha256 for entry in base.entries), places)
    plan = plan_update(base, target, ground, known)
    whole = {entry.sha256: entry.size_bytes for entry in plan.entries if entry.how is How.FETCH}
    spans: dict[Digest, list[Span]] = {}
    for entry in plan.entries:
        for step in (segment.step for segment in entry.fetched()):
            if isinstance(step, Fetch | Patch) and step.blob != INLINE:
                spans.setdefault(step.blob, []).append(Span(step.offset, step.length))
    return joined([Needs(whole, {digest: tuple(found) for digest, found in spans.items()})])


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


def parse_metadata_member(name: str) -> str | None:
    """Name of the file of signed metadata that a member is; None for any other."""
    folder, _, file = name.partition("/")
    return file if folder == METADATA and is_metadata_name(file) else None


def parse_bundle_offer(data: bytes, *, what: str) -> BundleOffer:
    """Checked offer of a bundle. Raises ManifestError."""
    faults = [f"{OFFER_NAME} is larger than {MAX_OFFER_BYTES} bytes"]
    if len(data) <= MAX_OFFER_BYTES:
        try:
            offer = msgspec.json.decode(data, type=BundleOffer)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ManifestError.of(what, [str(error)]) from error
        if len(offer.bases) <= MAX_BASES:
            return offer
        faults = [f"names {len(offer.bases)} bases; at most {MAX_BASES} are allowed"]
    raise ManifestError.of(what, faults)


def _united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans that hold these, and the gaps between them that a worker reads over.

    Wider gaps are taken in too where there are too many spans.
    """
    ordered, gap = sorted(spans), GAP_BYTES
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
        ordered, gap = found, gap * 2
