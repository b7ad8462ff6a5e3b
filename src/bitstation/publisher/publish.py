"""Bring a release to a destination: only the blobs that are lacking, then what guides to it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

import msgspec

from bitstation.core.digest import digest_of
from bitstation.core.manifest import MAX_MANIFEST_BYTES, parse_manifest
from bitstation.core.wire import BlobWanted
from bitstation.publisher.destination import Cargo, Destination, Held, Shipment
from bitstation.publisher.freight import Freight, Wish, opened
from bitstation.publisher.guides import DEFAULT_BASES, Attempts, Beside, bases_for, made_beside
from bitstation.publisher.progress import Progress, silent
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger


class Publication(enum.StrEnum):
    """What publishing a release would meet at a destination."""

    NEW = "new"
    KNOWN = "known"
    CONFLICT = "conflict"


class Intended(msgspec.Struct, frozen=True):
    """A release that would be published, and what the destination has under its name."""

    tool_id: str
    version: str
    manifest_hash: str
    total_bytes: int
    state: Publication
    bases: tuple[str, ...] = ()
    """Versions from which guides would be made."""
    legacy: bool = False
    """The guard is lowered for it: see Freight."""


class Published(msgspec.Struct, frozen=True):
    """What publishing one release took; ``sent_bytes`` of ``total_bytes`` were lacking there."""

    tool_id: str
    version: str
    manifest_hash: str
    sent_files: int
    sent_bytes: int
    total_bytes: int
    guides: int = 0
    """Made now, with the bytes of them and of their packs."""
    guide_bytes: int = 0
    legacy: bool = False
    """The guard was lowered for it: see Freight."""


class Publisher:
    """Publishes releases at one destination, with guides from ``bases`` earlier ones.

    Raises ReleaseConflict, PublishRefused, TokenRefused, SourceError, StoreLocked, DiskFull,
    UpdateCancelled, and what a release raises that is not sound. Crash: the destination shows
    nothing before the commit; the next run goes on.
    """

    def __init__(
        self,
        destination: Destination,
        ledger: Ledger,
        stop: Stop,
        *,
        progress: Progress = silent,
        bases: int = DEFAULT_BASES,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._stop = stop
        self._progress = progress
        self._bases = bases

    def look_ahead(self, wish: Wish) -> Intended:
        """What ``publish`` would meet; nothing is sent."""
        with opened(wish, self._ledger, self._stop, self._progress) as freight:
            manifest = freight.manifest
            held = self._destination.releases(manifest.tool_id)
        known = {row.version: row.manifest_hash for row in held}.get(manifest.tool_version)
        state = Publication.NEW if known is None else Publication.KNOWN
        if known not in (None, manifest.manifest_hash):
            state = Publication.CONFLICT
        return Intended(
            manifest.tool_id,
            manifest.tool_version,
            manifest.manifest_hash,
            manifest.total_bytes,
            state,
            tuple(base.version for base in bases_for(manifest.tool_version, held, self._bases)),
            freight.legacy,
        )

    def publish(self, wish: Wish) -> Published:
        """Bring what is lacking and make the release visible, with its guides."""
        with opened(wish, self._ledger, self._stop, self._progress) as freight:
            return self._publish(freight)

    def _publish(self, freight: Freight) -> Published:
        manifest, destination = freight.manifest, self._destination
        shipment = destination.begin(manifest, freight.manifest_bytes)
        freight = self._as_published(freight, shipment)
        title = f"{manifest.tool_id} {manifest.tool_version}"
        sent_bytes = self._put_all(shipment, shipment.wanted, freight.cargo, title)
        held = destination.releases(manifest.tool_id)
        bases = bases_for(manifest.tool_version, held, self._bases)
        guides, guide_bytes = 0, 0
        attempts = Attempts(destination, manifest, bases)
        if _lacks_guides(shipment, bases, attempts):
            with made_beside(freight, destination, bases, self._progress, self._stop) as beside:
                guides = len(beside.guides)
                guide_bytes = self._put_beside(shipment, beside, title)
                shipment.commit()
            attempts.note()
        else:
            shipment.commit()
        return Published(
            manifest.tool_id,
            manifest.tool_version,
            manifest.manifest_hash,
            len(shipment.wanted),
            sent_bytes,
            manifest.total_bytes,
            guides,
            guide_bytes,
            freight.legacy,
        )

    def _as_published(self, freight: Freight, shipment: Shipment) -> Freight:
        """The release with the manifest that is there; its created_at may be another.

        Guides must tell of that one, byte for byte, for later ones patch it.
        """
        known = shipment.known
        if known is None or known.manifest.sha256 == digest_of(freight.manifest_bytes):
            return freight
        source = self._destination.source()
        data = source.read_object(known.manifest.sha256, MAX_MANIFEST_BYTES)
        return freight._replace(manifest=parse_manifest(data), manifest_bytes=data)

    def _put_beside(self, shipment: Shipment, beside: Beside, title: str) -> int:
        wanted = shipment.name_guides(beside.guides, beside.packs)
        self._put_all(shipment, wanted, beside.cargo, title)
        guides, packs = (sum(ref.size for ref in refs) for refs in (beside.guides, beside.packs))
        return guides + packs

    def _put_all(
        self, shipment: Shipment, wanted: Sequence[BlobWanted], cargo: Cargo, title: str
    ) -> int:
        lacking_bytes = sum(blob.size - blob.received for blob in wanted)
        on_bytes: Callable[[int], None] = self._progress("send", title, lacking_bytes)
        for blob in wanted:
            self._stop.check()
            shipment.put(blob, cargo, on_bytes)
        return lacking_bytes


def _lacks_guides(shipment: Shipment, bases: Sequence[Held], attempts: Attempts) -> bool:
    """Say whether guides must be made: there is none from nothing, or from one of the bases."""
    there = {ref.base for ref in shipment.known.guides} if shipment.known else set()
    if None in there and attempts.are_done():
        return False
    return not there.issuperset([None, *(base.manifest_hash for base in bases)])
