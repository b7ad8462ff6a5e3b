"""A source of releases that lives in memory, remembers what it was asked, and lies when told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import parse_manifest
from bitstation.core.names import newest
from bitstation.core.wire import BaseRef, BlobRef, GuideRef
from bitstation.errors import NotFound, SourceError, SourceUnreachable
from bitstation.testing.releases import Release
from bitstation.transport.source import Offer, RangeReader, Source

Lie = Callable[[bytes], bytes]


class Asked(NamedTuple):
    """One request for a span of a blob, in bytes; ``length`` None: to its end."""

    digest: Digest
    offset: int
    length: int | None


class MemorySource(Source):
    """Holds releases; ``asked`` is every span that was asked for, in order.

    ``required`` names versions that HQ would require, ``announced`` the manifest_hash that it
    would state beside a manifest.
    """

    def __init__(self, *releases: Release, concurrency: int = 1, name: str = "memory") -> None:
        self.name = name
        self.concurrency = concurrency
        self.asked: list[Asked] = []
        self.required: set[str] = set()
        self.announced: str | None = None
        self.needs: tuple[BaseRef, ...] = ()
        self.before_open: Callable[[Asked], None] = lambda _asked: None
        self.metadata: dict[str, bytes] = {}
        """Signed metadata by the names of their files."""
        self._offers: dict[tuple[str, str], bytes] = {}
        self._blobs: dict[Digest, bytes] = {}
        self._guides: dict[tuple[str, str], list[GuideRef]] = {}
        self._lies: dict[Digest, Lie] = {}
        self._failures: dict[Digest, list[SourceError]] = {}
        for release in releases:
            self.add(release)

    @property
    def fetched(self) -> list[Digest]:
        """Digests that were asked for, each once, in order."""
        return list(dict.fromkeys(asked.digest for asked in self.asked))

    def add(self, release: Release) -> None:
        """Offer a release."""
        manifest = release.manifest
        self._offers[manifest.tool_id, manifest.tool_version] = manifest.encode()
        self._blobs.update(release.blobs)

    def add_guide(self, release: Release, guide: bytes, base: Release | None = None) -> Digest:
        """Offer a guide to a release, whose manifest is then sent with it or as a blob only."""
        name = (release.manifest.tool_id, release.version)
        digest = self.add_blob(guide)
        base_hash = base.manifest.manifest_hash if base else None
        self._guides.setdefault(name, []).append(GuideRef(digest, len(guide), base_hash))
        self.add_blob(release.manifest.encode())
        return digest

    def add_blob(self, data: bytes) -> Digest:
        """Hold a content that is of no release."""
        self._blobs[digest_of(data)] = data
        return digest_of(data)

    def offer_bytes(self, tool_id: str, version: str, manifest_bytes: bytes) -> None:
        """Give these bytes when asked for the manifest of a release."""
        self._offers[tool_id, version] = manifest_bytes

    def drop(self, digest: Digest) -> None:
        """Hold a blob no longer."""
        del self._blobs[digest]

    def lie(self, digest: Digest, lie: Lie) -> None:
        """Give ``lie(bytes)`` in place of a blob's bytes, from now on."""
        self._lies[digest] = lie

    def tell_truth(self) -> None:
        """Lie no longer."""
        self._lies.clear()

    def fail(self, digest: Digest, *errors: SourceError) -> None:
        """Raise these, one for each of the next requests for a blob."""
        self._failures.setdefault(digest, []).extend(errors)

    def given(self, digest: Digest) -> bytes:
        """All that it gives when asked for a blob, true or not. Raises NotFound."""
        if digest not in self._blobs:
            raise NotFound(source=self.name, what=f"a file with SHA-256 {digest}")
        return self._lies.get(digest, _as_it_is)(self._blobs[digest])

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of ``metadata``."""
        return self.metadata.get(name)

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        versions = [held for name, held in self._offers if tool_id in (None, name)]
        tool = tool_id or next(iter(self._offers))[0]
        if not versions:
            raise NotFound(source=self.name, what=f"a release of {tool}")
        wanted = version or newest(versions)
        if (tool, wanted) not in self._offers:
            raise NotFound(source=self.name, what=f"{tool} {wanted}")
        data, required = self._offers[tool, wanted], wanted in self.required
        guides = tuple(self._guides.get((tool, wanted), ()))
        if not guides:
            return Offer(tool, wanted, data, self.announced, required)
        announced = self.announced or parse_manifest(data).manifest_hash
        manifest = BlobRef(digest_of(data), len(data))
        return Offer(tool, wanted, None, announced, required, manifest, guides, needs=self.needs)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        asked = Asked(digest, offset, length)
        self.asked.append(asked)
        self.before_open(asked)
        if self._failures.get(digest):
            raise self._failures[digest].pop(0)
        return _MemoryReader(self.given(digest)[offset:])


class _MemoryReader:
    """Gives all it has, in whatever pieces it is asked for: the base class cuts it at length."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._left = memoryview(b"")


def _as_it_is(data: bytes) -> bytes:
    return data


def other_bytes(data: bytes) -> bytes:
    """Lie: as many bytes, the last of them another."""
    return data[:-1] + bytes([data[-1] ^ 0xFF])


def cut_short(data: bytes) -> bytes:
    """Lie: the first half."""
    return data[: len(data) // 2]


def drawn_out(data: bytes) -> bytes:
    """Lie: the bytes, and then more."""
    return data + b"more"


def unreachable() -> SourceUnreachable:
    """Failure of a connection."""
    return SourceUnreachable(source="memory", detail="connection lost")
