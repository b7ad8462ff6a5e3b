"""A release of a source becomes one file to carry: a bundle, cut into parts where it is long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bitstation import host
from bitstation.codec.guiding import Papers
from bitstation.core.blockmap import BlockMap
from bitstation.core.bundle import (
    DEFAULT_MAX_ASSET_BYTES,
    MAX_BASES,
    BundleOffer,
    Needs,
    Span,
    blob_member,
    joined,
    needs_beyond,
    needs_of_all,
    span_member,
)
from bitstation.core.digest import Digest, digest_of
from bitstation.core.mirror import OFFER_NAME, metadata_path
from bitstation.core.planning import Knowledge
from bitstation.core.wire import BaseRef, BlobRef, GuideRef
from bitstation.errors import DiskFull, UsageError
from bitstation.publisher.progress import Progress, silent
from bitstation.publisher.span_proof import SpanProof
from bitstation.publisher.zip_writer import ZipWriter
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors, free_bytes
from bitstation.storage.hashing import Stop
from bitstation.storage.parts import PartsWriter, find_parts
from bitstation.transport.bundle import BundleSource
from bitstation.transport.source import Resolved, Source
from bitstation.trust.carry import metadata_of

_WORK_SUFFIX = ".bundling"


class BundleWish(NamedTuple):
    """What shall be bundled; ``bases`` are versions, none of them: the whole release."""

    tool_id: str
    version: str | None = None
    bases: tuple[str, ...] = ()


class BundlePlan(msgspec.Struct, frozen=True):
    """What a bundle will hold."""

    offer: BundleOffer
    manifest_bytes: bytes
    needs: Needs
    metadata: dict[str, bytes] = {}
    """What is signed of it, by the names of the files; nothing where the source signs nothing."""
    maps: dict[Digest, BlockMap] = {}
    """Of files that it holds in spans, which are proved by them."""

    @property
    def size_bytes(self) -> int:
        """Bytes of what it holds, without the records of the ZIP."""
        guides = sum(ref.size for ref in self.offer.guides)
        return self.needs.total_bytes + guides + len(self.manifest_bytes)


def plan_bundle(source: Source, wish: BundleWish) -> BundlePlan:
    """What a bundle must hold; writes nothing. Raises SourceError, ManifestError, UsageError."""
    if len(wish.bases) > MAX_BASES:
        raise UsageError(detail=f"a bundle goes on from at most {MAX_BASES} releases")
    offered = source.offer(wish.tool_id, wish.version)
    plain = source.resolve(wish.tool_id, offered.version)
    bases = [source.resolve(wish.tool_id, version) for version in wish.bases]
    manifest = plain.manifest
    for base in bases:
        if base.manifest.manifest_hash == manifest.manifest_hash:
            raise UsageError(detail=f"{manifest.tool_version} is the base and the target")
    offer = BundleOffer(
        manifest.tool_id,
        manifest.tool_version,
        manifest.manifest_hash,
        BlobRef(digest_of(plain.manifest_bytes), len(plain.manifest_bytes)),
        _guides_for(offered.guides, bases),
        bases=tuple(
            BaseRef(base.manifest.tool_version, base.manifest.manifest_hash) for base in bases
        ),
    )
    metadata = metadata_of(source, manifest.tool_id, manifest.tool_version)
    if not bases:
        return BundlePlan(offer, plain.manifest_bytes, needs_of_all(manifest), metadata)
    needs = joined([_beyond(source, base, offered.version) for base in bases])
    maps = plain.guidance.atlas.maps
    return BundlePlan(
        offer,
        plain.manifest_bytes,
        needs,
        metadata,
        {digest: maps[digest] for digest in needs.spans if digest in maps},
    )


def write_bundle(
    source: Source,
    plan: BundlePlan,
    out: Path,
    *,
    max_asset_bytes: int = DEFAULT_MAX_ASSET_BYTES,
    progress: Progress = silent,
    stop: Stop | None = None,
) -> list[Path]:
    """Write a bundle at ``out``, or its parts after it; gives the files.

    Raises SourceError, DigestMismatch, DiskFull, StoreError, UpdateCancelled. Crash: a folder
    beside ``out`` without meaning; a single file is there whole or not at all, of several parts
    the first comes last.
    """
    disk, out = Disk(), host.native_path(out.absolute())
    stop = stop or Stop()
    free = free_bytes(out.parent) if out.parent.is_dir() else plan.size_bytes
    if plan.size_bytes > free:
        raise DiskFull(path=str(out), needed_bytes=plan.size_bytes, free_bytes=free)
    with disk_errors(out, plan.size_bytes), _work(out, disk) as work:
        on_bytes = progress("bundle", out.name, plan.size_bytes)
        parts = PartsWriter(work / out.name, max_asset_bytes, disk)
        try:
            writer = ZipWriter(parts, on_bytes, stop)
            _fill(writer, source, plan)
            files = writer.finish()
        finally:
            parts.close()
        # What a worker would refuse must not leave the house.
        BundleSource(files[0])
        for old in find_parts(out):
            disk.remove(old)
        for file in reversed(files):
            disk.replace(file, out.with_name(file.name))
        disk.sync_dir(out.parent)
    return [out.with_name(file.name) for file in files]


@contextmanager
def _work(out: Path, disk: Disk) -> Iterator[Path]:
    folder = out.with_name(out.name + _WORK_SUFFIX)
    disk.remove_tree(folder)
    disk.make_dir(folder)
    try:
        yield folder
    finally:
        disk.remove_tree(folder)


def _guides_for(guides: Sequence[GuideRef], bases: Sequence[Resolved]) -> tuple[GuideRef, ...]:
    """Guides that are of use: from the bases, else from nothing."""
    hashes = {base.manifest.manifest_hash for base in bases}
    from_bases = [ref for ref in guides if ref.base in hashes]
    plain = [ref for ref in guides if ref.base is None]
    return tuple([*from_bases, *plain] if len(from_bases) < max(1, len(bases)) else from_bases)


def _beyond(source: Source, base: Resolved, version: str) -> Needs:
    target = source.resolve(base.manifest.tool_id, version, known=_OneKnown(base))
    guidance = target.guidance
    known = Knowledge(guidance.atlas, guidance.recipes, guidance.inline)
    return needs_beyond(base.manifest, base.guidance.atlas, target.manifest, known)


class _OneKnown:
    """A machine that has the papers of one release."""

    def __init__(self, base: Resolved) -> None:
        self._base = base

    def papers(self, manifest_hash: str) -> Papers | None:
        """Papers of that release."""
        if manifest_hash != self._base.manifest.manifest_hash:
            return None
        return Papers(self._base.manifest_bytes, self._base.guidance.atlas_bytes)


def _fill(writer: ZipWriter, source: Source, plan: BundlePlan) -> None:
    writer.add_stored(OFFER_NAME, _of_bytes(msgspec.json.encode(plan.offer)))
    for name, data in plan.metadata.items():
        writer.add_stored(metadata_path(name), _of_bytes(data))
    manifest = plan.manifest_bytes
    writer.add_stored(blob_member(plan.offer.manifest.sha256), _of_bytes(manifest))
    for ref in plan.offer.guides:
        guide = source.read_object(ref.sha256, ref.size)
        writer.add_stored(blob_member(ref.sha256), _of_bytes(guide))
    written = {plan.offer.manifest.sha256, *(ref.sha256 for ref in plan.offer.guides)}
    for digest, size in sorted(plan.needs.whole.items()):
        if digest not in written:
            with source.read_range(digest, 0, size) as reader:
                writer.add_stored(blob_member(digest), (size, reader.readinto), digest)
    for digest, spans in sorted(plan.needs.spans.items()):
        for span in spans:
            _add_span(writer, source, digest, span, plan.maps.get(digest))


def _add_span(
    writer: ZipWriter, source: Source, digest: Digest, span: Span, blockmap: BlockMap | None
) -> None:
    """Raises DigestMismatch where a block of a file is another; of packs there are no maps."""
    proof = SpanProof(blockmap, span, source.name) if blockmap else None
    with source.read_range(digest, *span) as reader:

        def readinto(buffer: memoryview) -> int:
            count = reader.readinto(buffer)
            if proof:
                proof.take(buffer[:count])
            return count

        writer.add_stored(span_member(digest, span), (span.length, readinto))


def _of_bytes(data: bytes) -> tuple[int, Callable[[memoryview], int]]:
    left = [memoryview(data)]

    def readinto(buffer: memoryview) -> int:
        count = min(len(buffer), len(left[0]))
        buffer[:count] = left[0][:count]
        left[0] = left[0][count:]
        return count

    return len(data), readinto
