"""The whole ordered work of one update, as one serialisable value.

``--dry-run`` prints it, resume reloads it, execution consumes it. Later operations fit in without
a change of the container: an executor that does not know an operation fetches that segment.
"""

from __future__ import annotations

import enum
from collections.abc import Collection

import msgspec

from bitstation.core.diff import deleted_paths
from bitstation.core.digest import EMPTY, Digest
from bitstation.core.manifest import Manifest
from bitstation.errors import StoreCorrupt

PLAN_VERSION = 1


class Op(enum.IntEnum):
    """Operation ids of segments; ids are never given a second meaning."""

    COPY = 1
    """From a local blob. Payload: its digest (32 bytes) and an offset (8 bytes, big-endian)."""
    FETCH = 2
    """From a source, by digest. No payload."""


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A span of one output file (bytes) and how it is obtained."""

    offset: int
    length: int
    digest: Digest
    op: int
    payload: bytes = b""


class PlanEntry(msgspec.Struct, frozen=True):
    """One file of the target and its segments; an empty file has none."""

    path: str
    sha256: Digest
    size_bytes: int
    executable: bool
    segments: tuple[Segment, ...]

    @property
    def is_download(self) -> bool:
        """Say whether any byte of it must come from a source."""
        return any(segment.op != Op.COPY for segment in self.segments)


class Plan(msgspec.Struct, frozen=True):
    """What an update will do. Byte counts are of file content, before any compression."""

    tool_id: str
    from_version: str | None
    to_version: str
    manifest_hash: Digest
    entries: tuple[PlanEntry, ...]
    deleted: tuple[str, ...]
    download_files: int
    unchanged_files: int
    download_bytes: int
    reuse_bytes: int
    total_bytes: int
    write_bytes: int
    """Bytes that will newly take space: downloads, and copies where nothing can be shared."""
    plan_version: int = PLAN_VERSION

    def encode(self) -> bytes:
        """JSON form; payloads are base64."""
        return msgspec.json.encode(self)


def parse_plan(data: bytes, path: str) -> Plan:
    """Plan from its JSON form. Raises StoreCorrupt."""
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(path=path, detail=str(error)) from error
    if plan.plan_version != PLAN_VERSION:
        raise StoreCorrupt(path=path, detail=f"plan version {plan.plan_version} is not known")
    return plan


def plan_update(
    base: Manifest | None,
    target: Manifest,
    held: Collection[Digest],
    *,
    shared_from_bytes: int | None,
    copied: Collection[Digest] = (),
) -> Plan:
    """Cheapest plan from what this machine holds (proved digests) to the target.

    Each content is fetched once; a second entry with the same content copies the first.
    ``shared_from_bytes``: smallest size that a local copy shares on this volume instead of
    writing it again; None where the volume can share nothing. ``copied``: contents that are here
    but are not shared whatever their size, as of an adopted file.
    """
    here = {*held, EMPTY}
    entries, write_bytes, download_bytes = [], 0, 0
    for row in target.entries:
        op = Op.COPY if row.sha256 in here else Op.FETCH
        here.add(row.sha256)
        segments = _whole_file(row.sha256, row.size, op)
        entries.append(PlanEntry(row.path, row.sha256, row.size, row.executable, segments))
        if op is Op.FETCH:
            download_bytes += row.size
        is_shared = shared_from_bytes is not None and row.size >= shared_from_bytes
        if op is Op.FETCH or not is_shared or row.sha256 in copied:
            write_bytes += row.size
    downloads = sum(entry.is_download for entry in entries)
    return Plan(
        tool_id=target.tool_id,
        from_version=base.tool_version if base else None,
        to_version=target.tool_version,
        manifest_hash=target.manifest_hash,
        entries=tuple(entries),
        deleted=deleted_paths(base, target),
        download_files=downloads,
        unchanged_files=len(entries) - downloads,
        download_bytes=download_bytes,
        reuse_bytes=target.total_bytes - download_bytes,
        total_bytes=target.total_bytes,
        write_bytes=write_bytes,
    )


def _whole_file(digest: Digest, size_bytes: int, op: Op) -> tuple[Segment, ...]:
    if size_bytes == 0:
        return ()
    payload = bytes.fromhex(digest) + bytes(8) if op is Op.COPY else b""
    return (Segment(0, size_bytes, digest, op, payload),)
