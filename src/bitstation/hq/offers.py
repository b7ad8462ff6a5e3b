"""The one small document that tells a worker whether there is anything to do; kept in memory."""

from __future__ import annotations

import threading
from typing import NamedTuple

from bitstation.core.mirror import encode_offer
from bitstation.core.names import newest
from bitstation.core.wire import BlobRef, ReleaseOffer
from bitstation.errors import NotFound
from bitstation.hq.guides import Guides
from bitstation.hq.releases import Releases
from bitstation.hq.requirements import Requirements

# About 1.3 KB each, where nobody makes up endless names of channels.
_MAX_KEPT = 10_000
_MAX_CHANNEL_CHARS = 32


class Wish(NamedTuple):
    """What is asked for; ``version`` None: what the channel requires, else the latest."""

    tool_id: str
    version: str | None
    channel: str


class Offers:
    """Offers as bytes, made anew only after a change. ``cached`` never waits."""

    def __init__(self, releases: Releases, requirements: Requirements, guides: Guides) -> None:
        self._releases = releases
        self._requirements = requirements
        self._guides = guides
        self._lock = threading.Lock()
        self._epochs = (-1, -1)
        self._kept: dict[Wish, bytes] = {}

    def cached(self, wish: Wish) -> bytes | None:
        """Bytes of an offer; None: ask ``load``, in a thread."""
        return self._kept.get(wish) if self._epochs == self._now() else None

    def load(self, wish: Wish) -> bytes:
        """Bytes of an offer. Raises NotFound."""
        # Asked before the queries: a change that comes between makes the answer count as old.
        epochs = self._now()
        data = encode_offer(self._offer(wish))
        if len(wish.channel) > _MAX_CHANNEL_CHARS:
            return data
        with self._lock:
            if self._epochs != epochs or len(self._kept) >= _MAX_KEPT:
                self._kept = {}
                self._epochs = epochs
            self._kept[wish] = data
        return data

    def _now(self) -> tuple[int, int]:
        return self._releases.epoch, self._requirements.epoch

    def _offer(self, wish: Wish) -> ReleaseOffer:
        required = {
            row.channel: row.version for row in self._requirements.of_tool(wish.tool_id)
        }.get(wish.channel)
        version = wish.version or required or self._latest(wish.tool_id)
        found = self._releases.get(wish.tool_id, version)
        manifest = self._releases.blob(found.manifest_blob)
        return ReleaseOffer(
            found.tool_id,
            found.version,
            found.manifest_hash,
            BlobRef(manifest.digest, manifest.size),
            self._guides.of_release(found),
            required == version,
        )

    def _latest(self, tool_id: str) -> str:
        releases = self._releases.of_tool(tool_id)
        if not releases:
            raise NotFound(source="HQ", what=f"tool {tool_id}")
        return newest(release.version for release in releases)
