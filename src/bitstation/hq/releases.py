"""Releases as the database holds them: found, listed, added; never changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, insert, select
from sqlalchemy.dialects import sqlite

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.errors import NotFound, ReleaseConflict
from bitstation.hq.database import Database, now_ms
from bitstation.hq.tables import blob, release, release_file, tool


class BlobRef(NamedTuple):
    """A blob and its size in bytes."""

    digest: Digest
    size: int


class Release(NamedTuple):
    """A visible release; ``size`` is the sum of its files in bytes, times are ms of UTC."""

    key: int
    tool_key: int
    tool_id: str
    version: str
    manifest_hash: Digest
    manifest_blob: Digest
    published_at: int
    size: int
    files: int


class Releases:
    """All visible releases. ``epoch`` grows with each new one: the key of whatever is cached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.epoch = 0

    def all(self) -> list[Release]:
        """Every release, by tool."""
        with self._database.read() as connection:
            return _releases(connection, _SELECT.order_by(tool.c.tool_id))

    def of_tool(self, tool_id: str) -> list[Release]:
        """Releases of a tool; none for a tool that HQ does not know."""
        with self._database.read() as connection:
            return _releases(connection, _SELECT.where(tool.c.tool_id == tool_id))

    def find(self, tool_id: str, version: str) -> Release | None:
        """A release, when it is visible."""
        with self._database.read() as connection:
            return find_release(connection, tool_id, version)

    def get(self, tool_id: str, version: str) -> Release:
        """A release. Raises NotFound."""
        found = self.find(tool_id, version)
        if found is None:
            raise no_release(tool_id, version)
        return found

    def files(self, tool_id: str, version: str) -> dict[str, BlobRef]:
        """Blob of each path of a release. Raises NotFound."""
        key = self.get(tool_id, version).key
        columns = release_file.c
        query = select(columns.path, columns.sha256, columns.size).where(columns.release == key)
        with self._database.read() as connection:
            rows = connection.execute(query)
            return {path: BlobRef(digest, size) for path, digest, size in rows}

    def file(self, of: Release, path: str) -> BlobRef | None:
        """Blob of one path of a release, when it has that path."""
        columns = release_file.c
        query = select(columns.sha256, columns.size).where(
            columns.release == of.key, columns.path == path
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return BlobRef(*row) if row is not None else None

    def blob(self, digest: Digest) -> BlobRef:
        """A blob that a visible release needs. Raises NotFound."""
        with self._database.read() as connection:
            size = connection.scalar(select(blob.c.size).where(blob.c.sha256 == digest))
        if size is None:
            raise NotFound(source="HQ", what=f"blob {digest}")
        return BlobRef(digest, size)

    def renew(self) -> None:
        """Let what is cached count as old; called when a transaction has committed."""
        self.epoch += 1

    def add(self, connection: Connection, manifest: Manifest, manifest_blob: BlobRef) -> Release:
        """Make a release visible once the transaction commits; the very same one changes nothing.

        All its blobs are durable in the store. Raises ReleaseConflict.
        """
        known = find_release(connection, manifest.tool_id, manifest.tool_version)
        if known is not None:
            check_same(known, manifest)
            return known
        now = now_ms()
        blobs = {BlobRef(entry.sha256, entry.size) for entry in manifest.entries}
        insert_blobs(connection, blobs | {manifest_blob}, now)
        key = connection.scalar(
            insert(release).returning(release.c.id),
            {
                "tool": _tool_key(connection, manifest.tool_id),
                "version": manifest.tool_version,
                "manifest_hash": manifest.manifest_hash,
                "manifest_blob": manifest_blob.digest,
                "published_at": now,
                "bytes": manifest.total_bytes,
                "files": len(manifest.entries),
            },
        )
        rows = [
            {"release": key, "path": entry.path, "sha256": entry.sha256, "size": entry.size}
            for entry in manifest.entries
        ]
        if rows:
            connection.execute(insert(release_file), rows)
        found = find_release(connection, manifest.tool_id, manifest.tool_version)
        assert found is not None  # it was inserted above
        return found


def find_release(connection: Connection, tool_id: str, version: str) -> Release | None:
    """A release, as a transaction that is under way sees it."""
    query = _SELECT.where(tool.c.tool_id == tool_id, release.c.version == version)
    return next(iter(_releases(connection, query)), None)


def no_release(tool_id: str, version: str) -> NotFound:
    """Error of a release that is not here."""
    return NotFound(source="HQ", what=f"release {version} of tool {tool_id}")


def check_same(known: Release, offered: Manifest) -> None:
    """Refuse other content under a version that exists. Raises ReleaseConflict."""
    if known.manifest_hash != offered.manifest_hash:
        raise ReleaseConflict(
            tool_id=known.tool_id,
            version=known.version,
            known=known.manifest_hash,
            offered=offered.manifest_hash,
        )


_SELECT = select(
    release.c.id,
    tool.c.id,
    tool.c.tool_id,
    release.c.version,
    release.c.manifest_hash,
    release.c.manifest_blob,
    release.c.published_at,
    release.c.bytes,
    release.c.files,
).join(tool, release.c.tool == tool.c.id)


def _releases(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[Release]:
    return [Release(*row) for row in connection.execute(query)]


def insert_blobs(connection: Connection, blobs: Iterable[BlobRef], now: int) -> None:
    """Let blobs that are durable in the store be served; some may be so already."""
    rows = [{"sha256": ref.digest, "size": ref.size, "verified_at": now} for ref in blobs]
    # PostgreSQL spells it the same.
    connection.execute(sqlite.insert(blob).on_conflict_do_nothing(), rows)


def _tool_key(connection: Connection, tool_id: str) -> int:
    key = connection.scalar(select(tool.c.id).where(tool.c.tool_id == tool_id))
    if key is None:
        query = insert(tool).returning(tool.c.id)
        key = connection.execute(query, {"tool_id": tool_id}).scalar_one()
    return int(key)
