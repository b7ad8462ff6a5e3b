"""Publish sessions: a manifest, then only the blobs that HQ lacks, then one commit.

A session is found again by what it publishes, so an interrupted publisher simply begins anew and
goes on where he stopped. Nothing of a session is visible to readers before its commit.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from bitstation.core.digest import EMPTY, Digest, digest_of
from bitstation.core.manifest import Manifest, parse_manifest
from bitstation.core.wire import BlobWanted, GuidesNamed, GuidesWanted, PublishSession
from bitstation.errors import (
    DigestMismatch,
    ManifestError,
    NotFound,
    ReleaseIncomplete,
    StoreLocked,
)
from bitstation.hq.database import Database, now_ms
from bitstation.hq.guides import (
    Guides,
    check_named,
    encode_named,
    parse_named,
    sizes_of,
)
from bitstation.hq.releases import BlobRef, Releases, check_same
from bitstation.hq.tables import publish_session
from bitstation.storage.blobs import BlobFolder, Upload
from bitstation.trust.place import Place
from bitstation.trust.signing import ReleaseName

_OPEN, _COMMITTED = "OPEN", "COMMITTED"
# A manifest of 100,000 entries takes 20 MB here.
_SESSIONS_KEPT_PARSED = 4

log = logging.getLogger(__name__)


class PublishSessions:
    """How releases come to HQ; callable from several threads."""

    def __init__(
        self,
        database: Database,
        blobs: BlobFolder,
        releases: Releases,
        guides: Guides,
        signing: Place,
    ) -> None:
        self._signing = signing
        self._database = database
        self._blobs = blobs
        self._releases = releases
        self._guides = guides
        self._sizes = lru_cache(_SESSIONS_KEPT_PARSED)(self._load_sizes)
        # A manifest of 32 MiB takes a few hundred in memory: one at a time.
        self._turn = threading.Lock()

    def open(self, manifest_bytes: bytes) -> PublishSession:
        """Begin to publish a release, or go on with it.

        Raises ManifestError, ReleaseConflict, DiskFull.
        Cost: about 10 microseconds an entry, and one look at the disk for each blob.
        """
        with self._turn:
            return self._open(manifest_bytes)

    def _open(self, manifest_bytes: bytes) -> PublishSession:
        manifest = parse_manifest(manifest_bytes)
        known = self._releases.find(manifest.tool_id, manifest.tool_version)
        if known is not None:
            check_same(known, manifest)
        wanted = self._wanted(_sizes_of(manifest))
        self._blobs.check_space(sum(blob.size - blob.received for blob in wanted))
        manifest_blob = self._store(manifest_bytes)
        with self._database.write() as connection:
            session = _find_or_begin(connection, manifest, manifest_blob)
        return session.answer(wanted)

    def get(self, session_id: str) -> PublishSession:
        """A session and what HQ still lacks. Raises NotFound."""
        session = self._session(session_id)
        return session.answer(self._wanted(self._sizes(session.manifest_blob)))

    def name_guides(self, session_id: str, named: GuidesNamed) -> GuidesWanted:
        """Announce what the next commit shall put beside the release; replaces what was named.

        Raises NotFound, UsageError, ManifestError for sizes that cannot be, DiskFull.
        """
        check_named(named)
        session = self._session(session_id)
        with self._turn:
            wanted = self._wanted(sizes_of(named))
            self._blobs.check_space(sum(blob.size - blob.received for blob in wanted))
            with self._database.write() as connection:
                _keep_named(connection, session.key, encode_named(named))
        return GuidesWanted(tuple(wanted))

    def upload(self, session_id: str, digest: Digest) -> Upload | BlobRef:
        """Writer of a blob of the session; the blob itself when HQ has it already.

        Raises NotFound, StoreLocked.
        """
        session = self._session(session_id)
        size = self._sizes(session.manifest_blob).get(digest)
        if size is None:
            size = sizes_of(session.named).get(digest)
        if size is None:
            raise NotFound(source="HQ", what=f"blob {digest} in this session")
        return self._blobs.upload(digest, size) or BlobRef(digest, size)

    def commit(self, session_id: str) -> PublishSession:
        """Make the session's release visible, with what was announced for it.

        A second time changes nothing. Raises NotFound, ReleaseIncomplete, ManifestError for a
        guide that is none, ReleaseConflict when another session was faster, NotSigned where HQ
        may not sign for this tool and no publisher did.
        Crash: the release is visible or it is not.
        """
        with self._turn:
            session = self._session(session_id)
            if session.state == _OPEN or session.guides:
                self._publish(session)
            else:
                # It may be older than HQ's keys.
                self._sign(session, self._read(session.manifest_blob))
        return session._replace(state=_COMMITTED).answer([])

    def _publish(self, session: _Session) -> None:
        manifest_bytes = self._read(session.manifest_blob)
        manifest, named = parse_manifest(manifest_bytes), session.named
        if lacking := self._wanted({**_sizes_of(manifest), **sizes_of(named)}):
            raise ReleaseIncomplete(
                tool_id=session.tool_id, version=session.version, count=len(lacking)
            )
        self._guides.prove(named, session.manifest_hash, session.manifest_blob)
        # Before it shows. What its publisher signed is found there; else HQ signs, if it may.
        self._sign(session, manifest_bytes)
        with self._database.write() as connection:
            manifest_blob = BlobRef(session.manifest_blob, len(manifest_bytes))
            release = self._releases.add(connection, manifest, manifest_blob)
            self._guides.add(connection, release, named)
            _keep_named(connection, session.key, None)
            connection.execute(
                update(publish_session)
                .where(publish_session.c.id == session.key)
                .values(state=_COMMITTED)
            )
        self._releases.renew()
        log.info(
            "published %s %s: %d files, %d bytes, manifest_hash %s",
            manifest.tool_id,
            manifest.tool_version,
            len(manifest.entries),
            manifest.total_bytes,
            manifest.manifest_hash,
        )

    def _sign(self, session: _Session, manifest_bytes: bytes) -> None:
        self._signing.sign(ReleaseName(session.tool_id, session.version, manifest_bytes))

    def _session(self, session_id: str) -> _Session:
        with self._database.read() as connection:
            query = _SELECT.where(publish_session.c.uid == session_id)
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(source="HQ", what="this publish session")
        return _Session(*row)

    def _wanted(self, sizes: Mapping[Digest, int]) -> list[BlobWanted]:
        wanted = []
        for digest, size in sizes.items():
            found = self._blobs.size(digest)
            if found is None and not self._finished(digest, size):
                wanted.append(BlobWanted(digest, size, self._blobs.received(digest)))
            elif found not in (None, size):
                raise _size_fault(digest, size)
        return wanted

    def _finished(self, digest: Digest, size: int) -> bool:
        """Prove a blob whose bytes are all here; a crash may have come before the proof.

        The empty blob needs no upload for the same reason.
        """
        if self._blobs.received(digest) < size:
            return False
        try:
            upload = self._blobs.upload(digest, size)
            if upload is not None:
                with upload:
                    upload.finish()
        except (DigestMismatch, StoreLocked):
            # Dropped, or in other hands: the publisher still has to send it.
            return False
        return True

    def _load_sizes(self, manifest_blob: Digest) -> Mapping[Digest, int]:
        return _sizes_of(parse_manifest(self._read(manifest_blob)))

    def _read(self, digest: Digest) -> bytes:
        with self._blobs.open_read(digest) as file:
            return file.read()

    def _store(self, data: bytes) -> Digest:
        digest = digest_of(data)
        upload = self._blobs.upload(digest, len(data))
        if upload is not None:
            with upload:
                upload.restart()
                upload.write(data)
                upload.finish()
        return digest


class _Session(NamedTuple):
    """A row of publish_session."""

    key: int
    uid: str
    tool_id: str
    version: str
    manifest_hash: Digest
    manifest_blob: Digest
    state: str
    guides: str | None

    @property
    def named(self) -> GuidesNamed:
        """What was announced and is not committed yet."""
        return parse_named(self.guides)

    def answer(self, wanted: list[BlobWanted]) -> PublishSession:
        """The session as publishers see it."""
        return PublishSession(
            session_id=self.uid,
            tool_id=self.tool_id,
            version=self.version,
            manifest_hash=self.manifest_hash,
            wanted=tuple(wanted),
            state=self.state,
        )


_SELECT = select(
    publish_session.c.id,
    publish_session.c.uid,
    publish_session.c.tool_id,
    publish_session.c.version,
    publish_session.c.manifest_hash,
    publish_session.c.manifest_blob,
    publish_session.c.state,
    publish_session.c.guides,
)


def _find_or_begin(connection: Connection, manifest: Manifest, manifest_blob: Digest) -> _Session:
    columns = publish_session.c
    key = {
        "tool_id": manifest.tool_id,
        "version": manifest.tool_version,
        "manifest_hash": manifest.manifest_hash,
    }
    query = _SELECT.filter_by(**key)
    row = connection.execute(query).one_or_none()
    if row is None:
        begun = {"uid": secrets.token_hex(16), "state": _OPEN, "created_at": now_ms()}
        connection.execute(insert(publish_session), key | begun | {"manifest_blob": manifest_blob})
        return _Session(*connection.execute(query).one())
    # What a former publisher announced and did not send must not stop this one.
    _keep_named(connection, row.id, None)
    if row.state == _OPEN:
        # The same release, perhaps with another created_at: what was sent last is published.
        connection.execute(
            update(publish_session).where(columns.id == row.id).values(manifest_blob=manifest_blob)
        )
    return _Session(*connection.execute(query).one())


def _keep_named(connection: Connection, session_key: int, named: str | None) -> None:
    connection.execute(
        update(publish_session).where(publish_session.c.id == session_key).values(guides=named)
    )


def _sizes_of(manifest: Manifest) -> dict[Digest, int]:
    sizes: dict[Digest, int] = {}
    for entry in manifest.entries:
        size = sizes.setdefault(entry.sha256, entry.size)
        if size != entry.size or (size == 0) != (entry.sha256 == EMPTY):
            raise _size_fault(entry.sha256, entry.size)
    return sizes


def _size_fault(digest: Digest, stated: int) -> ManifestError:
    return ManifestError.of("the manifest", [f"blob {digest} cannot have {stated} bytes"])
