"""Where releases are published to: an HQ, or a folder that any web server can serve."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.core.wire import BlobRef, BlobWanted, GuideRef, ReleaseOffer
from bitstation.storage.hashing import OnBytes
from bitstation.transport.source import Source


class Held(NamedTuple):
    """A release that a destination has."""

    version: str
    manifest_hash: str


class Cargo(NamedTuple):
    """Where the bytes of blobs come from; ``file_of`` gives the file that should be one."""

    source: Source
    file_of: Callable[[Digest], Path | None] = lambda _digest: None


class Shipment(abc.ABC):
    """A release on its way; nothing of it is visible before ``commit``.

    ``wanted`` are the blobs of its files that the destination lacks, ``known`` what it offers of
    this very release already.
    """

    wanted: tuple[BlobWanted, ...]
    known: ReleaseOffer | None

    @abc.abstractmethod
    def name_guides(
        self, guides: Sequence[GuideRef], packs: Sequence[BlobRef]
    ) -> tuple[BlobWanted, ...]:
        """Announce what shall lie beside the release; the blobs of it that are lacking."""

    @abc.abstractmethod
    def put(self, blob: BlobWanted, cargo: Cargo, on_bytes: OnBytes) -> None:
        """Bring a blob that is lacking; it is proved on the way or there."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Make the release visible, and the guides that were announced.

        Crash: the earlier state or the new one is visible, never a mix.
        """


class Destination(abc.ABC):
    """A place for releases, shown to people as ``name``. Raises BitStationError."""

    name: str

    @abc.abstractmethod
    def releases(self, tool_id: str) -> list[Held]:
        """Releases of a tool that are there; none for a tool that is not known."""

    @abc.abstractmethod
    def source(self) -> Source:
        """A source of what is there; it is closed with the destination."""

    @abc.abstractmethod
    def begin(self, manifest: Manifest, manifest_bytes: bytes) -> Shipment:
        """Begin to publish a release, or go on. Raises ReleaseConflict, PublishRefused."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give up connections and locks."""
