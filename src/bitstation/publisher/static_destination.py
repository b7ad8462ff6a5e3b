"""A folder as a destination: the paths of an HQ as files, for any web server, share or disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bitstation import host
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Manifest
from bitstation.core.mirror import (
    BLOBS,
    MAX_OFFER_BYTES,
    blob_path,
    encode_offer,
    merge_guides,
    offer_path,
    parse_offer,
    tool_path,
)
from bitstation.core.names import newest, version_fault
from bitstation.core.wire import BlobRef, BlobWanted, GuideRef, ReleaseOffer
from bitstation.errors import DiskFull, ReleaseConflict, StoreLocked
from bitstation.publisher.copying import BlobCopier
from bitstation.publisher.destination import Cargo, Destination, Held, Shipment
from bitstation.publisher.signing import FolderSigner
from bitstation.publisher.static_catalog import update_catalog
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors, free_bytes
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.storage.ledger import Ledger
from bitstation.transport.mirror import MirrorSource
from bitstation.transport.source import Source
from bitstation.trust.keyring import Keyring
from bitstation.trust.signing import ReleaseName

WORK_NAME = ".publishing"


class StaticDestination(Destination):
    """Releases below the root of a static mirror, which may be absent yet.

    Raises StoreLocked when another publisher is at work there. Crash: blobs without meaning may
    be left; offers, written last, are the earlier or the new ones.
    """

    def __init__(
        self,
        root: Path,
        ledger: Ledger,
        stop: Stop,
        disk: Disk | None = None,
        *,
        keyring: Keyring | None = None,
    ) -> None:
        """``keyring``: keys of a publisher and the online key; without it nothing is signed."""
        self._root = host.native_path(root.absolute())
        self._signer = FolderSigner(self._root, keyring) if keyring else None
        self._disk = disk or Disk()
        self._lock: host.FileLock | None = None
        self._work = self._root / WORK_NAME
        self._copier = BlobCopier(self._work, self._disk, ledger, stop)
        self._source = MirrorSource(root)
        self.name = str(root)

    def releases(self, tool_id: str) -> list[Held]:
        """Releases of a tool that are there."""
        found = []
        with disk_errors(self._root):
            folder = self._root / tool_path(tool_id)
            for place in folder.iterdir() if folder.is_dir() else ():
                if version_fault(place.name) is None and (offer := self.offer(tool_id, place.name)):
                    found.append(Held(offer.version, offer.manifest_hash))
        return found

    def offer(self, tool_id: str, version: str) -> ReleaseOffer | None:
        """Offer of a release; None where there is none. Raises ManifestError, OSError."""
        path = self._root / offer_path(tool_id, version)
        try:
            with path.open("rb") as file:
                return parse_offer(file.read(MAX_OFFER_BYTES + 1), what=str(path))
        except FileNotFoundError:
            return None

    def source(self) -> Source:
        """The mirror as workers see it."""
        return self._source

    def begin(self, manifest: Manifest, manifest_bytes: bytes) -> Shipment:
        """Begin to publish: nobody else may until the destination is closed."""
        with disk_errors(self._root):
            self._prepare()
            known = self.offer(manifest.tool_id, manifest.tool_version)
            if known and known.manifest_hash != manifest.manifest_hash:
                raise ReleaseConflict(
                    tool_id=manifest.tool_id,
                    version=manifest.tool_version,
                    known=known.manifest_hash,
                    offered=manifest.manifest_hash,
                )
            sizes = {entry.sha256: entry.size for entry in manifest.entries}
            wanted = self.lacking(sizes.items())
        if self._signer is not None:
            # Before hours of bringing what could not be signed then.
            self._signer.check(self._name(manifest, known.manifest if known else manifest_bytes))
        return _StaticShipment(self, manifest, manifest_bytes, wanted, known)

    def lacking(self, blobs: Iterable[tuple[Digest, int]]) -> tuple[BlobWanted, ...]:
        """Blobs that are not there. Raises DiskFull when they cannot be brought."""
        wanted = [BlobWanted(digest, size) for digest, size in blobs if not self._has(digest, size)]
        needed_bytes = sum(blob.size for blob in wanted)
        if needed_bytes > (free := free_bytes(self._root)):
            raise DiskFull(path=self.name, needed_bytes=needed_bytes, free_bytes=free)
        return tuple(wanted)

    def put(self, blob: BlobWanted, cargo: Cargo, on_bytes: OnBytes) -> None:
        """Bring a blob; its name is durable after ``show``."""
        self._copier.copy(blob, self._root / blob_path(blob.sha256), cargo, on_bytes)

    def put_bytes(self, data: bytes) -> BlobRef:
        """Bring a blob that is in memory."""
        digest = digest_of(data)
        with disk_errors(self._root, len(data)):
            if not self._has(digest, len(data)):
                self._disk.write_file(self._root / blob_path(digest), data)
        return BlobRef(digest, len(data))

    def sign(self, manifest: Manifest, blob: BlobRef) -> None:
        """Sign a release by its manifest as it lies here, where there are keys."""
        if self._signer is not None:
            self._signer.sign(self._name(manifest, blob))

    def _name(self, manifest: Manifest, data: BlobRef | bytes) -> ReleaseName:
        if isinstance(data, BlobRef):
            data = self._source.read_object(data.sha256, data.size)
        return ReleaseName(manifest.tool_id, manifest.tool_version, data)

    def show(self, offer: ReleaseOffer) -> None:
        """Make a release visible, or what was added to it."""
        tool_id, root = offer.tool_id, self._root
        path = root / offer_path(tool_id, offer.version)
        with disk_errors(path):
            self._disk.sync_dir(root / BLOBS)
            self._disk.make_dir(path.parent)
            self._disk.sync_dirs([path.parent], root)
            self._disk.write_file(path, encode_offer(offer))
            latest = newest(held.version for held in self.releases(tool_id))
            shown = self.offer(tool_id, latest)
            assert shown is not None  # it was listed just now
            self._disk.write_file(root / offer_path(tool_id), encode_offer(shown))
            update_catalog(root, self._source, shown, self._disk)

    def close(self) -> None:
        """Let the next publisher in."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _has(self, digest: Digest, size_bytes: int) -> bool:
        try:
            return (self._root / blob_path(digest)).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def _prepare(self) -> None:
        if self._lock is not None:
            return
        self._disk.make_dir(self._root / BLOBS)
        self._disk.make_dir(self._work)
        self._disk.sync_dirs([self._root / BLOBS], self._root)
        lock = host.FileLock(self._work / "lock")
        if not lock.acquire():
            raise StoreLocked(path=self.name, holder=lock.read_holder())
        self._lock = lock
        lock.write_holder(f"bitstation publish, process {os.getpid()}")
        for left in self._work.iterdir():
            if left.name != "lock":
                # What a killed publisher left: half blobs.
                self._disk.remove(left)


class _StaticShipment(Shipment):
    def __init__(
        self,
        destination: StaticDestination,
        manifest: Manifest,
        manifest_bytes: bytes,
        wanted: tuple[BlobWanted, ...],
        known: ReleaseOffer | None,
    ) -> None:
        self._destination = destination
        self._manifest = manifest
        self._manifest_bytes = manifest_bytes
        self._guides: tuple[GuideRef, ...] = ()
        self.wanted = wanted
        self.known = known

    def name_guides(
        self, guides: Sequence[GuideRef], packs: Sequence[BlobRef]
    ) -> tuple[BlobWanted, ...]:
        self._guides = tuple(guides)
        blobs = [(ref.sha256, ref.size) for ref in guides] + [
            (ref.sha256, ref.size) for ref in packs
        ]
        return self._destination.lacking(blobs)

    def put(self, blob: BlobWanted, cargo: Cargo, on_bytes: OnBytes) -> None:
        self._destination.put(blob, cargo, on_bytes)

    def commit(self) -> None:
        known = self.known
        manifest = known.manifest if known else self._destination.put_bytes(self._manifest_bytes)
        self._destination.sign(self._manifest, manifest)
        guides = merge_guides(known.guides if known else (), self._guides)
        self._destination.show(
            ReleaseOffer(
                self._manifest.tool_id,
                self._manifest.tool_version,
                self._manifest.manifest_hash,
                manifest,
                guides,
            )
        )
