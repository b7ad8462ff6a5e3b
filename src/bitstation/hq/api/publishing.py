"""What publishers do, token in hand: open a session, send what HQ lacks, commit, require."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.core.digest import Digest, is_digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.wire import (
    API_PREFIX,
    BlobReceipt,
    GuidesNamed,
    GuidesWanted,
    PublishSession,
    Requirement,
    RequireRequest,
)
from bitstation.errors import (
    DigestMismatch,
    DiskFull,
    KeyRefused,
    ManifestError,
    ManifestHashMismatch,
    NotFound,
    NotSigned,
    ReleaseConflict,
    ReleaseIncomplete,
    SignatureRefused,
    StoreLocked,
    UnsafePathError,
    UploadOffset,
    UsageError,
)
from bitstation.hq.api.bodies import body_chunks, read_body, read_message, upload_span
from bitstation.hq.api.delivery import OCTETS
from bitstation.hq.api.endpoint import JSON, Desk, Endpoint
from bitstation.hq.releases import BlobRef
from bitstation.storage.blobs import Upload

_MAX_MESSAGE_BYTES = 64 * 1024
# A thousand packs and their digests.
_MAX_GUIDES_NAMED_BYTES = 256 * 1024
_BLOCK_BYTES = 1024 * 1024
_CLAIM_WAIT_S = 25.0
_CLAIM_POLL_S = 0.1

log = logging.getLogger(__name__)


async def open_session(desk: Desk, request: Request) -> ASGIApp:
    """Begin to publish, or go on."""
    manifest_bytes = await read_body(request, MAX_MANIFEST_BYTES)
    session = await desk.threads.work(desk.hq.sessions.open, manifest_bytes)
    place = {"Location": f"{API_PREFIX}/publish/sessions/{session.session_id}"}
    return _answer(session, 201, place)


async def get_session(desk: Desk, request: Request) -> ASGIApp:
    """What HQ still lacks."""
    session_id = request.path_params["session_id"]
    return _answer(await desk.threads.work(desk.hq.sessions.get, session_id))


async def put_blob(desk: Desk, request: Request) -> ASGIApp:
    """Take some bytes of a blob in; with its last one it is proved and kept."""
    session_id, digest = request.path_params["session_id"], request.path_params["sha256"]
    if not is_digest(digest):
        raise NotFound(source="HQ", what="a blob under what is no SHA-256")
    upload = await _claimed(desk, session_id, digest)
    if isinstance(upload, BlobRef):
        return _answer(BlobReceipt(upload.digest, upload.size, upload.size))
    with upload:
        await _receive(desk, request, upload)
        if upload.is_complete:
            await desk.threads.work(upload.finish)
    return _answer(BlobReceipt(upload.digest, upload.size_bytes, upload.received))


async def name_guides(desk: Desk, request: Request) -> ASGIApp:
    """Announce guides and packs for the next commit."""
    named = await read_message(request, GuidesNamed, _MAX_GUIDES_NAMED_BYTES)
    session_id = request.path_params["session_id"]
    return _answer(await desk.threads.work(desk.hq.sessions.name_guides, session_id, named))


async def commit_session(desk: Desk, request: Request) -> ASGIApp:
    """Make the release visible."""
    session_id = request.path_params["session_id"]
    return _answer(await desk.threads.work(desk.hq.sessions.commit, session_id))


async def put_requirement(desk: Desk, request: Request) -> ASGIApp:
    """Demand a release of a channel's workers."""
    demand = await read_message(request, RequireRequest, _MAX_MESSAGE_BYTES)
    tool_id = request.path_params["tool_id"]
    required = await desk.threads.work(
        desk.hq.requirements.require, tool_id, demand.version, demand.channel
    )
    log.info("channel %s requires %s %s", required.channel, required.tool_id, required.version)
    return _answer(required)


async def _claimed(desk: Desk, session_id: str, digest: Digest) -> Upload | BlobRef:
    """Writer of a blob, once nobody else sends it; the blob when that other was faster.

    Raises StoreLocked when he is slow. The wait ends before a sender's own patience (30 s).
    """
    for _ in range(round(_CLAIM_WAIT_S / _CLAIM_POLL_S)):
        try:
            return await desk.threads.work(desk.hq.sessions.upload, session_id, digest)
        except StoreLocked:
            await asyncio.sleep(_CLAIM_POLL_S)
    return await desk.threads.work(desk.hq.sessions.upload, session_id, digest)


async def _receive(desk: Desk, request: Request, upload: Upload) -> None:
    """Append what is new of the body to what is here; what came of a broken one is kept.

    Raises UsageError, UploadOffset, ClientDisconnect, HTTPException 408, StoreError.
    """
    span = upload_span(request, upload.size_bytes)
    if span.first > upload.received:
        raise UploadOffset(sha256=upload.digest, expected=upload.received, offset=span.first)
    # Two publishers may send the same blob in turns: each passes over what the other sent.
    known = upload.received - span.first
    left, block = span.length, bytearray()
    try:
        async for chunk in body_chunks(request):
            left -= len(chunk)
            if left < 0:
                raise UsageError(detail=f"the body is longer than {span.length} bytes")
            block += chunk[known:]
            known = max(0, known - len(chunk))
            if len(block) >= _BLOCK_BYTES:
                await desk.threads.work(upload.write, block)
                block = bytearray()
    except (ClientDisconnect, HTTPException):
        await desk.threads.work(upload.write, block)
        raise
    await desk.threads.work(upload.write, block)


def _answer(
    message: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(msgspec.json.encode(message), status, headers, JSON)


_SESSIONS = f"{API_PREFIX}/publish/sessions"
_SESSION = f"{_SESSIONS}/{{session_id}}"

ENDPOINTS = (
    Endpoint(
        "POST",
        _SESSIONS,
        open_session,
        "Begin to publish the release of a manifest, or go on with it",
        PublishSession,
        status=201,
        body=dict[str, Any],
        needs_token=True,
        errors=(ManifestError, ManifestHashMismatch, UnsafePathError, ReleaseConflict, DiskFull),
    ),
    Endpoint(
        "GET",
        _SESSION,
        get_session,
        "A publish session and the blobs that HQ lacks",
        PublishSession,
        needs_token=True,
        errors=(NotFound,),
    ),
    Endpoint(
        "PUT",
        f"{_SESSION}/blobs/{{sha256}}",
        put_blob,
        "Send a blob, or with Content-Range the next bytes of it",
        BlobReceipt,
        body=bytes,
        body_media_type=OCTETS,
        needs_token=True,
        errors=(NotFound, UsageError, UploadOffset, StoreLocked, DigestMismatch, DiskFull),
    ),
    Endpoint(
        "POST",
        f"{_SESSION}/guides",
        name_guides,
        "Announce guides and packs of the release: which of them does HQ lack",
        GuidesWanted,
        body=GuidesNamed,
        needs_token=True,
        errors=(NotFound, UsageError, ManifestError, DiskFull),
    ),
    Endpoint(
        "POST",
        f"{_SESSION}/commit",
        commit_session,
        "Make the release visible, and the guides that were announced",
        PublishSession,
        needs_token=True,
        errors=(
            *(NotFound, ReleaseIncomplete, ReleaseConflict, ManifestError, UsageError),
            *(NotSigned, KeyRefused, SignatureRefused, StoreLocked),
        ),
    ),
    Endpoint(
        "PUT",
        f"{API_PREFIX}/tools/{{tool_id}}/requirement",
        put_requirement,
        "Demand a release of the workers of a channel",
        Requirement,
        body=RequireRequest,
        needs_token=True,
        errors=(NotFound, UsageError, StoreLocked),
    ),
)
