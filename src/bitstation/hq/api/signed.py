"""Signed metadata: workers read them, and those who sign elsewhere send theirs."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.core.mirror import METADATA, PACKED_SUFFIX, is_metadata_name
from bitstation.core.wire import API_PREFIX, MetadataReceipt
from bitstation.errors import (
    KeyRefused,
    NotFound,
    NotSigned,
    ReleaseConflict,
    SignatureRefused,
    StoreLocked,
    UsageError,
)
from bitstation.hq.api.bodies import read_body
from bitstation.hq.api.endpoint import JSON, Desk, Endpoint
from bitstation.hq.api.reading import document
from bitstation.trust.roles import MAX_TARGETS_BYTES, TIMESTAMP, file_name
from bitstation.trust.signing import File

log = logging.getLogger(__name__)


async def get_metadata(desk: Desk, request: Request) -> ASGIApp:
    """A file of metadata. The timestamp is never older than a day: who asks for it renews it."""
    name = request.path_params["file"]
    is_newest = name == file_name(TIMESTAMP)
    if is_newest and await desk.threads.work(desk.hq.signing.renew):
        log.info("signed anew: timestamp and snapshot")
    data = await desk.threads.work(desk.hq.signing.read, name, MAX_TARGETS_BYTES)
    if data is None:
        raise NotFound(source="HQ", what=f"metadata {name[:80]!r}")
    forever = "public, max-age=31536000, immutable"
    return document(request, data, "no-cache" if is_newest else forever)


async def put_metadata(desk: Desk, request: Request) -> ASGIApp:
    """Take in a root, a publisher's bin or his delegation, when every worker would."""
    name = request.path_params["file"]
    if not is_metadata_name(name) or name.endswith(PACKED_SUFFIX) or not name[0].isdigit():
        raise UsageError(detail=f"{name[:80]!r} is no name of signed metadata")
    data = await read_body(request, MAX_TARGETS_BYTES)
    await desk.threads.work(desk.hq.signing.accept, [File(name, data)])
    log.info("signed metadata taken in: %s", name)
    return Response(msgspec.json.encode(MetadataReceipt(name, len(data))), media_type=JSON)


ENDPOINTS = (
    Endpoint(
        "GET",
        f"/{METADATA}/{{file}}",
        get_metadata,
        "Signed metadata, as The Update Framework names them; also packed (.zst)",
        answer=dict[str, Any],
        errors=(NotFound,),
        also=(304,),
    ),
    Endpoint(
        "PUT",
        f"{API_PREFIX}/{METADATA}/{{file}}",
        put_metadata,
        "Bring metadata that were signed elsewhere",
        MetadataReceipt,
        body=dict[str, Any],
        needs_token=True,
        errors=(
            *(UsageError, SignatureRefused, NotSigned, ReleaseConflict, KeyRefused),
            StoreLocked,
        ),
    ),
)
