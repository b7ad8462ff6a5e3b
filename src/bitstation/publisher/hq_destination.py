"""An HQ as a destination: a publish session for each release."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bitstation.core.manifest import Manifest
from bitstation.core.wire import (
    BlobRef,
    BlobWanted,
    GuideRef,
    GuidesNamed,
    PublishSession,
    ReleaseOffer,
)
from bitstation.errors import NotFound, ReleaseConflict
from bitstation.publisher.destination import Cargo, Destination, Held, Shipment
from bitstation.publisher.signing import HqSigner
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.transport.hq import HqClient, HqSource
from bitstation.transport.source import Source
from bitstation.trust.keyring import Keyring
from bitstation.trust.signing import ReleaseName

SPAN_BYTES = 8 * 1024 * 1024


class HqDestination(Destination):
    """Releases that an HQ holds; the token is with the client."""

    def __init__(self, client: HqClient, stop: Stop, *, keyring: Keyring | None = None) -> None:
        """``keyring``: keys of a publisher; without it HQ signs, if it may."""
        self._signer = HqSigner(client, keyring) if keyring else None
        self._client = client
        self._stop = stop
        self._source = HqSource(client)
        self.name = client.name

    def releases(self, tool_id: str) -> list[Held]:
        """Releases of a tool that are there."""
        try:
            found = self._client.tool(tool_id).releases
        except NotFound:
            return []
        return [Held(row.version, row.manifest_hash) for row in found]

    def source(self) -> Source:
        """HQ as workers see it."""
        return self._source

    def begin(self, manifest: Manifest, manifest_bytes: bytes) -> Shipment:
        """Begin to publish, or go on with what an interrupted publisher began."""
        session = self._client.open_session(manifest_bytes)
        if session.manifest_hash != manifest.manifest_hash:
            raise ReleaseConflict(
                tool_id=manifest.tool_id,
                version=manifest.tool_version,
                known=session.manifest_hash,
                offered=manifest.manifest_hash,
            )
        known = None
        if session.state == "COMMITTED":
            known = self._client.offer(session.tool_id, session.version)
            if self._signer is not None:
                manifest_bytes = self._client.manifest_bytes(session.tool_id, session.version)
        name = ReleaseName(session.tool_id, session.version, manifest_bytes)
        if self._signer is not None:
            # Before hours of bringing what could not be signed then.
            self._signer.check(name)
        return _HqShipment(self._client, session, known, self._stop, lambda: self._sign(name))

    def _sign(self, release: ReleaseName) -> None:
        if self._signer is not None:
            self._signer.sign(release)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


class _HqShipment(Shipment):
    def __init__(
        self,
        client: HqClient,
        session: PublishSession,
        known: ReleaseOffer | None,
        stop: Stop,
        sign: Callable[[], None],
    ) -> None:
        self._sign = sign
        self._client = client
        self._id = session.session_id
        self._stop = stop
        self.wanted = session.wanted
        self.known = known

    def name_guides(
        self, guides: Sequence[GuideRef], packs: Sequence[BlobRef]
    ) -> tuple[BlobWanted, ...]:
        named = GuidesNamed(tuple(guides), tuple(packs))
        return self._client.name_guides(self._id, named).wanted

    def put(self, blob: BlobWanted, cargo: Cargo, on_bytes: OnBytes) -> None:
        block = memoryview(bytearray(min(SPAN_BYTES, max(1, blob.size))))
        offset = blob.received
        with cargo.source.read_range(blob.sha256, offset, blob.size - offset) as reader:
            while offset < blob.size:
                self._stop.check()
                filled = 0
                while filled < len(block) and (count := reader.readinto(block[filled:])):
                    filled += count
                self._client.put_blob(self._id, blob.sha256, block[:filled], offset, blob.size)
                offset += filled
                on_bytes(filled)

    def commit(self) -> None:
        self._sign()
        self._client.commit(self._id)
