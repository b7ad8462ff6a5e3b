"""What a source of releases is: three questions, asked by digest.

Implementers write ``_resolve`` and ``_open``; the base class counts bytes and owns the error
family, so that a source can lie about content only, and content is hashed by whoever reads it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Manifest, parse_manifest
from bitstation.core.wire import BaseRef, BlobRef, GuideRef, ReleaseOffer
from bitstation.errors import (
    DigestMismatch,
    ManifestError,
    SourceBroken,
    TrustError,
    UnexpectedRelease,
)
from bitstation.transport.guidance import (
    NO_GUIDANCE,
    NOTHING_KNOWN,
    Guidance,
    Known,
    find_way,
)


class RangeReader(Protocol):
    """An open span of a blob."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer``; the number of bytes read, 0 at the end of the span."""

    def close(self) -> None:
        """Release the connection or file."""


def comes_within(reader: RangeReader, seconds: float) -> bool:
    """Whether something comes within a time; True of a reader that cannot say, as of a file."""
    tells: Callable[[float], bool] | None = getattr(reader, "comes_within", None)
    return tells is None or tells(seconds)


class Offer(msgspec.Struct, frozen=True):
    """A release as a source describes it; nothing of it is proved yet."""

    tool_id: str
    version: str
    manifest_bytes: bytes | None = None
    """None where the manifest is a blob (``manifest``) that may not be needed at all."""
    manifest_hash: str | None = None
    """What the source announced beside the manifest (HQ's requirement); None when nothing."""
    required: bool = False
    """HQ requires exactly this release."""
    manifest: BlobRef | None = None
    guides: tuple[GuideRef, ...] = ()
    needs: tuple[BaseRef, ...] = ()
    """Releases one of which must be here, because the source lacks what they have."""


def offer_of(
    stated: ReleaseOffer, *, required: bool = False, needs: tuple[BaseRef, ...] = ()
) -> Offer:
    """Offer of a source that keeps manifests and guides as blobs.

    ``required``: only an HQ may say so, for it allows a downgrade.
    """
    return Offer(
        stated.tool_id,
        stated.version,
        manifest_hash=stated.manifest_hash,
        required=required,
        manifest=stated.manifest,
        guides=stated.guides,
        needs=needs,
    )


class Resolved(msgspec.Struct, frozen=True):
    """A release that is what was asked for, its manifest checked."""

    manifest: Manifest
    manifest_bytes: bytes
    """As the source gave them; of a legacy manifest, with its true hash written in."""
    required: bool = False
    legacy: bool = False
    guidance: Guidance = NO_GUIDANCE
    needs: tuple[BaseRef, ...] = ()


Vet = Callable[[str, str, bytes], None]
"""Raises BitStationError unless these bytes may be the manifest of a tool and version."""


def anything(_tool_id: str, _version: str, _manifest_bytes: bytes) -> None:
    """Nobody is asked."""


class Source(abc.ABC):
    """A read-only place for blobs. ``name`` is shown to people and never holds credentials."""

    name: str = ""
    concurrency: int = 4
    """Spans that may usefully be read at once."""
    is_local: bool = False
    """Its bytes cost no network: nothing is gained by packing them."""

    def resolve(
        self,
        tool_id: str | None,
        version: str | None,
        *,
        legacy: bool = False,
        known: Known = NOTHING_KNOWN,
        vet: Vet = anything,
    ) -> Resolved:
        """A release; without a version the required one, else the latest.

        ``tool_id`` None is for sources that hold one release: whatever it is. ``known`` are the
        releases that are here, from which the way is shorter. ``vet`` is asked about a manifest
        before anything in it is looked at.

        Raises SourceError, ManifestError, UnexpectedRelease when given what was not asked for,
        and what ``vet`` raises.
        """
        offer = self._resolve(tool_id, version)
        asked = (tool_id or offer.tool_id, version or offer.version)
        guidance = find_way(self, offer, known)
        try:
            return self._resolved(offer, guidance, asked, vet, legacy=legacy)
        except (ManifestError, TrustError):
            if not guidance.is_local:
                raise
        # The copy of it that is here is damaged.
        guidance = find_way(self, offer, NOTHING_KNOWN)
        return self._resolved(offer, guidance, asked, vet, legacy=legacy)

    def _resolved(
        self,
        offer: Offer,
        guidance: Guidance,
        asked: tuple[str, str],
        vet: Vet,
        *,
        legacy: bool,
    ) -> Resolved:
        data, lowered = guidance.manifest_bytes, False
        vet(*asked, data)
        try:
            manifest = parse_manifest(data, what=f"the manifest of {self.name}")
        except ManifestError:
            if not legacy:
                raise
            manifest = parse_manifest(data, legacy=True)
            lowered = True
        self._check(offer, manifest, asked)
        data = manifest.encode() if lowered else data
        return Resolved(manifest, data, offer.required, lowered, guidance, offer.needs)

    def offer(self, tool_id: str | None, version: str | None) -> Offer:
        """A release as the source describes it, before anything of it is proved or read.

        Raises SourceError, ManifestError.
        """
        return self._resolve(tool_id, version)

    def _check(self, offer: Offer, manifest: Manifest, asked: tuple[str, str]) -> None:
        wanted = " ".join(asked)
        given = f"{manifest.tool_id} {manifest.tool_version}"
        if wanted != given:
            raise UnexpectedRelease(source=self.name, wanted=wanted, given=given)
        if offer.manifest_hash is not None and offer.manifest_hash != manifest.manifest_hash:
            raise UnexpectedRelease(
                source=self.name,
                wanted=f"{given} with manifest_hash {offer.manifest_hash}",
                given=f"manifest_hash {manifest.manifest_hash}",
            )

    def read_object(
        self, digest: Digest, max_bytes: int, on_bytes: Callable[[int], object] | None = None
    ) -> bytes:
        """A small blob whole, its digest checked; ``on_bytes`` hears what is received.

        Raises SourceError, DigestMismatch.
        """
        reader = self._open(digest, 0, None)
        try:
            data = bytearray()
            block = memoryview(bytearray(65536))
            while count := reader.readinto(block):
                data += block[:count]
                if on_bytes is not None:
                    on_bytes(count)
                if len(data) > max_bytes:
                    raise SourceBroken(source=self.name, detail=f"{digest} exceeds {max_bytes} B")
        finally:
            reader.close()
        if digest_of(data) != digest:
            raise DigestMismatch(
                path=digest, source=self.name, expected=digest, actual=digest_of(data)
            )
        return bytes(data)

    @contextmanager
    def read_range(self, digest: Digest, offset: int, length: int) -> Iterator[SpanReader]:
        """Open exactly ``length`` bytes of a blob, read into the caller's buffers.

        The reader raises SourceBroken when the source ends early; it never gives more.
        """
        reader = self._open(digest, offset, length)
        try:
            yield SpanReader(reader, length, self.name)
        finally:
            reader.close()

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """Signed metadata by the name of their file; None where there are none of that name.

        Raises SourceError, also for more than ``max_bytes``.
        """
        return None

    def distrust(self, digest: Digest, name: str) -> None:
        """Hear that the source called ``name`` gave other bytes of a blob than it should."""
        return

    def close(self) -> None:
        """Give up connections and files."""
        return

    def abort(self) -> None:
        """Let reads under way end with a SourceError soon; may be called by a signal handler."""
        return

    @abc.abstractmethod
    def _resolve(self, tool_id: str | None, version: str | None) -> Offer: ...

    @abc.abstractmethod
    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        """Open a span (``length`` None: to the end) of the blob with this digest."""


class SpanReader:
    """Cuts a span at its length and calls an early end what it is.

    ``source`` is the name of the source that serves, of several that are one.
    """

    def __init__(self, inner: RangeReader, length: int, source: str) -> None:
        self.source: str = getattr(inner, "source", source)
        self._inner = inner
        self._left = length

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of ``buffer``; 0 once all of the span was read."""
        if self._left == 0:
            return 0
        count = self._inner.readinto(buffer[: self._left])
        if count == 0:
            raise SourceBroken(source=self.source, detail=f"ended {self._left} bytes too early")
        self._left -= count
        return count

    def comes_within(self, seconds: float) -> bool:
        """Whether ``readinto`` has something to give within a time, as far as can be seen."""
        return self._left == 0 or comes_within(self._inner, seconds)

    def close(self) -> None:
        """Release the connection or file."""
        self._inner.close()
