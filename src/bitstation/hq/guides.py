"""Guides and packs beside releases: hints that save workers bytes, and may be added at any time."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import Connection, delete, insert, select

from bitstation.core.digest import Digest
from bitstation.core.guide import MAX_GUIDE_BYTES, parse_guide
from bitstation.core.mirror import MAX_BASES, MAX_PACKS, merge_guides
from bitstation.core.wire import GuideRef, GuidesNamed
from bitstation.errors import ManifestError, UsageError
from bitstation.hq.database import Database, now_ms
from bitstation.hq.releases import BlobRef, Release, insert_blobs
from bitstation.hq.tables import blob, release_guide, release_pack
from bitstation.storage.blobs import BlobFolder

NOTHING = GuidesNamed(())


class Guides:
    """What lies beside each release. A release never changes; what is beside it may."""

    def __init__(self, database: Database, blobs: BlobFolder) -> None:
        self._database = database
        self._blobs = blobs

    def of_release(self, release: Release) -> tuple[GuideRef, ...]:
        """Guides to a release: the one from nothing, then those from other releases."""
        with self._database.read() as connection:
            return _guides_of(connection, release)

    def prove(self, named: GuidesNamed, target: Digest, manifest_blob: Digest) -> None:
        """Refuse guides that lead elsewhere than they say. Raises ManifestError.

        The manifest in them must be the published one, byte for byte: later guides patch it.

        All named blobs are in the store. Cost: each guide is read; nothing of it is unpacked.
        """
        for ref in named.guides:
            with self._blobs.open_read(ref.sha256) as file:
                guide = parse_guide(file.read(MAX_GUIDE_BYTES + 1), what=f"guide {ref.sha256}")
            found = (guide.base, guide.target, guide.manifest.digest)
            if found != (ref.base, target, manifest_blob):
                fault = "base, target or manifest of it are not those of what was announced"
                raise ManifestError.of(f"guide {ref.sha256}", [fault])

    def add(self, connection: Connection, release: Release, named: GuidesNamed) -> None:
        """Put proved guides and packs beside a release; from the same base the last one counts.

        Raises UsageError when there would be too many packs.
        """
        blobs = {BlobRef(digest, size) for digest, size in sizes_of(named).items()}
        if not blobs:
            return
        insert_blobs(connection, blobs, now_ms())
        guides = merge_guides(_guides_of(connection, release), named.guides)
        connection.execute(delete(release_guide).where(release_guide.c.release == release.key))
        rows = [
            {"release": release.key, "base": ref.base or "", "blob": ref.sha256} for ref in guides
        ]
        if rows:
            connection.execute(insert(release_guide), rows)
        known = set(
            connection.scalars(
                select(release_pack.c.blob).where(release_pack.c.release == release.key)
            )
        )
        lacking = {ref.sha256 for ref in named.packs} - known
        if len(known | lacking) > MAX_PACKS:
            raise _too_many("packs", MAX_PACKS)
        if lacking:
            rows = [{"release": release.key, "blob": digest} for digest in sorted(lacking)]
            connection.execute(insert(release_pack), rows)


def check_named(named: GuidesNamed) -> None:
    """Refuse an announcement that cannot be meant so. Raises UsageError."""
    if sum(ref.base is not None for ref in named.guides) > MAX_BASES:
        raise _too_many("guides from other releases", MAX_BASES)
    if len(named.packs) > MAX_PACKS:
        raise _too_many("packs", MAX_PACKS)
    if max(Counter(ref.base for ref in named.guides).values(), default=0) > 1:
        raise UsageError(detail="two guides start from the same release")
    if any(ref.size > MAX_GUIDE_BYTES for ref in named.guides):
        raise UsageError(detail=f"a guide has at most {MAX_GUIDE_BYTES} bytes")


def sizes_of(named: GuidesNamed) -> dict[Digest, int]:
    """Size in bytes of each blob that an announcement names."""
    packs = {ref.sha256: ref.size for ref in named.packs}
    return {ref.sha256: ref.size for ref in named.guides} | packs


def encode_named(named: GuidesNamed) -> str:
    """An announcement as a session keeps it."""
    return msgspec.json.encode(named).decode("ascii")


def parse_named(text: str | None) -> GuidesNamed:
    """The announcement that a session keeps; one of nothing where it keeps none."""
    return msgspec.json.decode(text, type=GuidesNamed) if text else NOTHING


def _guides_of(connection: Connection, release: Release) -> tuple[GuideRef, ...]:
    columns = release_guide.c
    query = (
        select(columns.blob, blob.c.size, columns.base)
        .join(blob, columns.blob == blob.c.sha256)
        .where(columns.release == release.key)
        .order_by(columns.base)
    )
    rows = connection.execute(query)
    return tuple(GuideRef(digest, size, base or None) for digest, size, base in rows)


def _too_many(what: str, limit: int) -> UsageError:
    return UsageError(detail=f"a release has at most {limit} {what} beside it")
