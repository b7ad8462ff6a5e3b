"""A source in memory as an HQ shows it over HTTP: offers, blobs and metadata, its lies and all."""

from __future__ import annotations

import re

import msgspec

from bitstation.core.digest import Digest, digest_of, is_digest
from bitstation.core.mirror import BLOBS, METADATA, OFFER_NAME, TOOLS, encode_offer
from bitstation.core.wire import BlobRef, ReleaseOffer
from bitstation.errors import NotFound
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.scripted_hq import problem, span_of
from bitstation.testing.web_server import Asked, Said, said
from bitstation.trust.roles import MAX_TARGETS_BYTES

_OFFER = re.compile(rf"{TOOLS}/([^/]+)/(?:([^/]+)/)?{re.escape(OFFER_NAME)}")


class Served:
    """Answers as an HQ that holds what a source holds."""

    def __init__(self, source: MemorySource) -> None:
        self._source = source
        self._manifests: dict[Digest, bytes] = {}

    def __call__(self, asked: Asked) -> Said:
        """The answer to a request below the root."""
        path = asked.target.partition("?")[0].lstrip("/")
        try:
            if found := _OFFER.fullmatch(path):
                return said(200, encode_offer(self._offer(found[1], found[2])))
            folder, _, name = path.rpartition("/")
            if folder == METADATA:
                return self._metadata(name)
            if folder == BLOBS:
                return span_of(self._blob(Digest(name)), asked)
        except NotFound:
            pass
        return problem(404, "not-found")

    def _metadata(self, name: str) -> Said:
        data = self._source.read_metadata(name, MAX_TARGETS_BYTES)
        return problem(404, "not-found") if data is None else said(200, data)

    def _blob(self, digest: Digest) -> bytes:
        manifest = self._manifests.get(digest)
        return self._source.given(digest) if manifest is None else manifest

    def _offer(self, tool_id: str, version: str | None) -> ReleaseOffer:
        offer = self._source.offer(tool_id, version)
        data, ref = offer.manifest_bytes, offer.manifest
        if data is not None:
            ref = BlobRef(digest_of(data), len(data))
            self._manifests[ref.sha256] = data
        assert ref is not None
        stated = Digest(offer.manifest_hash or _stated_in(data or b""))
        return ReleaseOffer(
            offer.tool_id, offer.version, stated, ref, offer.guides, required=offer.required
        )


def _stated_in(manifest: bytes) -> Digest:
    """The hash that a manifest states; of what is none, any."""
    try:
        stated = msgspec.json.decode(manifest)["manifest_hash"]
    except (msgspec.MsgspecError, UnicodeError, LookupError, TypeError, RecursionError):
        return digest_of(manifest)
    return Digest(stated) if is_digest(stated) else digest_of(manifest)
