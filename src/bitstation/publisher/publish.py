"""Bring a release to an HQ: the manifest first, then only the blobs that HQ lacks."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path

import msgspec

from bitstation.core.assets import CATALOG_NAME
from bitstation.core.catalog import MAX_CATALOG_BYTES, parse_catalog
from bitstation.core.manifest import Manifest
from bitstation.core.wire import BlobWanted
from bitstation.errors import NotFound, ReleaseConflict, UsageError
from bitstation.storage.hashing import Stop
from bitstation.transport.hq import HqClient
from bitstation.transport.open import open_source
from bitstation.transport.source import Source

SPAN_BYTES = 8 * 1024 * 1024

Progress = Callable[[str, int], Callable[[int], None]]


class Publication(enum.StrEnum):
    """What publishing a release would meet at an HQ."""

    NEW = "new"
    KNOWN = "known"
    CONFLICT = "conflict"


class Intended(msgspec.Struct, frozen=True):
    """A release that would be published, and what HQ has under its name."""

    tool_id: str
    version: str
    manifest_hash: str
    total_bytes: int
    state: Publication


class Published(msgspec.Struct, frozen=True):
    """What publishing one release took; ``sent_bytes`` of ``total_bytes`` crossed the wire."""

    tool_id: str
    version: str
    manifest_hash: str
    sent_files: int
    sent_bytes: int
    total_bytes: int


def packages_in(dist: Path) -> list[tuple[str | None, Path]]:
    """(tool_id, package) of every tool in the catalog of a dist folder.

    Raises UsageError, ManifestError.
    """
    try:
        with (dist / CATALOG_NAME).open("rb") as file:
            data = file.read(MAX_CATALOG_BYTES + 1)
    except OSError as error:
        raise UsageError(
            detail=f"{dist} is no folder that 'pack' wrote: {CATALOG_NAME}: {error.strerror}"
        ) from error
    catalog = parse_catalog(data, what=str(dist / CATALOG_NAME))
    return [(tool.tool_id, dist / tool.asset_name) for tool in catalog.tools if tool.asset_name]


def publish_package(
    client: HqClient,
    package: Path,
    tool_id: str | None,
    progress: Progress,
    stop: Stop,
    *,
    legacy: bool = False,
) -> Published:
    """Publish the release of a package or release folder; see ``publish_release``."""
    source = open_source(package)
    try:
        resolved = source.resolve(tool_id, None, legacy=legacy)
        return publish_release(
            client, source, resolved.manifest, resolved.manifest_bytes, progress, stop
        )
    finally:
        source.close()


def look_ahead(
    client: HqClient, package: Path, tool_id: str | None, *, legacy: bool = False
) -> Intended:
    """What ``publish_package`` would meet; nothing is sent."""
    source = open_source(package)
    try:
        manifest = source.resolve(tool_id, None, legacy=legacy).manifest
    finally:
        source.close()
    try:
        releases = client.tool(manifest.tool_id).releases
    except NotFound:
        releases = ()
    known = {row.version: row.manifest_hash for row in releases}.get(manifest.tool_version)
    state = Publication.NEW if known is None else Publication.KNOWN
    if known not in (None, manifest.manifest_hash):
        state = Publication.CONFLICT
    return Intended(
        manifest.tool_id,
        manifest.tool_version,
        manifest.manifest_hash,
        manifest.total_bytes,
        state,
    )


def publish_release(
    client: HqClient,
    source: Source,
    manifest: Manifest,
    manifest_bytes: bytes,
    progress: Progress,
    stop: Stop,
) -> Published:
    """Upload what HQ lacks and make the release visible.

    Raises ReleaseConflict, PublishRefused, TokenRefused, SourceError, UpdateCancelled. Crash: HQ
    shows nothing before the commit; the next call goes on where this one stopped.
    """
    session = client.open_session(manifest_bytes)
    if session.manifest_hash != manifest.manifest_hash:
        raise ReleaseConflict(
            tool_id=manifest.tool_id,
            version=manifest.tool_version,
            known=session.manifest_hash,
            offered=manifest.manifest_hash,
        )
    lacking = sum(blob.size - blob.received for blob in session.wanted)
    on_bytes = progress(f"{manifest.tool_id} {manifest.tool_version}", lacking)
    for blob in session.wanted:
        _send(client, session.session_id, source, blob, on_bytes, stop)
    client.commit(session.session_id)
    return Published(
        manifest.tool_id,
        manifest.tool_version,
        manifest.manifest_hash,
        len(session.wanted),
        lacking,
        manifest.total_bytes,
    )


def _send(
    client: HqClient,
    session_id: str,
    source: Source,
    blob: BlobWanted,
    on_bytes: Callable[[int], None],
    stop: Stop,
) -> None:
    block = memoryview(bytearray(min(SPAN_BYTES, max(1, blob.size))))
    offset = blob.received
    with source.read_range(blob.sha256, offset, blob.size - offset) as reader:
        while offset < blob.size:
            stop.check()
            filled = 0
            while filled < len(block) and (count := reader.readinto(block[filled:])):
                filled += count
            client.put_blob(session_id, blob.sha256, block[:filled], offset, blob.size)
            offset += filled
            on_bytes(filled)
