"""What workers and people read: files, blobs, manifests, lists. No token is needed."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.core.catalog import Catalog
from bitstation.core.digest import is_digest
from bitstation.core.wire import (
    API_PREFIX,
    DEFAULT_CHANNEL,
    ReleaseOffer,
    Requirement,
    ToolSummary,
)
from bitstation.errors import NotFound
from bitstation.hq.api.conditions import Conditions, select
from bitstation.hq.api.delivery import OCTETS, blob_answer
from bitstation.hq.api.endpoint import JSON, Desk, Endpoint
from bitstation.hq.offers import Wish


async def get_file(desk: Desk, request: Request) -> ASGIApp:
    """A file of a release."""
    tool_id, version, path = (request.path_params[key] for key in ("tool_id", "version", "path"))
    lookup = desk.hq.lookup
    files = lookup.cached_files(tool_id, version)
    if files is None:
        files = await desk.threads.work(lookup.load_files, tool_id, version)
    blob = files.get(path)
    if blob is None:
        raise NotFound(source="HQ", what=f"file {path!r} in {tool_id} {version}")
    return blob_answer(desk.sender, request, blob, etag=blob.digest)


async def get_blob(desk: Desk, request: Request) -> ASGIApp:
    """A blob that some release needs."""
    digest = request.path_params["sha256"]
    if not is_digest(digest):
        raise NotFound(source="HQ", what="a blob under what is no SHA-256")
    lookup = desk.hq.lookup
    blob = lookup.cached_blob(digest)
    if blob is None:
        blob = await desk.threads.work(lookup.load_blob, digest)
    return blob_answer(desk.sender, request, blob, etag=blob.digest)


async def get_manifest(desk: Desk, request: Request) -> ASGIApp:
    """A manifest, byte for byte as it was published."""
    tool_id, version = request.path_params["tool_id"], request.path_params["version"]
    release = await desk.threads.work(desk.hq.releases.get, tool_id, version)
    blob = await desk.threads.work(desk.hq.lookup.load_blob, release.manifest_blob)
    etag = release.manifest_hash
    return blob_answer(desk.sender, request, blob, etag=etag, media_type=JSON)


async def get_tool_offer(desk: Desk, request: Request) -> ASGIApp:
    """The release that a channel requires, else the latest, and the ways to it."""
    return await _offer(desk, request, "no-cache")


async def get_release_offer(desk: Desk, request: Request) -> ASGIApp:
    """A release and the ways to it."""
    # Not for ever: guides are added later, and a channel may come to require it.
    return await _offer(desk, request, "public, max-age=10")


async def _offer(desk: Desk, request: Request, cache_control: str) -> Response:
    wish = Wish(
        request.path_params["tool_id"],
        request.path_params.get("version"),
        request.query_params.get("channel", DEFAULT_CHANNEL),
    )
    body = desk.hq.offers.cached(wish)
    if body is None:
        body = await desk.threads.work(desk.hq.offers.load, wish)
    return document(request, body, cache_control)


async def get_catalog(desk: Desk, request: Request) -> ASGIApp:
    """The newest release of each tool."""
    body = await desk.threads.work(desk.hq.listing.catalog)
    return document(request, body, "public, max-age=60")


async def get_tools(desk: Desk, request: Request) -> ASGIApp:
    """Every tool with its releases."""
    return _listed(request, await desk.threads.work(desk.hq.listing.tools))


async def get_tool(desk: Desk, request: Request) -> ASGIApp:
    """One tool with its releases."""
    tool_id = request.path_params["tool_id"]
    return _listed(request, await desk.threads.work(desk.hq.listing.tool, tool_id))


async def get_requirements(desk: Desk, request: Request) -> ASGIApp:
    """What a channel's workers must run."""
    channel = request.query_params.get("channel", DEFAULT_CHANNEL)
    return _listed(request, await desk.threads.work(desk.hq.requirements.of_channel, channel))


def _listed(request: Request, value: Any) -> Response:
    return document(request, msgspec.json.encode(value), "no-cache")


def document(request: Request, body: bytes, cache_control: str) -> Response:
    """A JSON document with its digest as tag; nothing of it to whoever has it."""
    headers = {
        "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
        "Cache-Control": cache_control,
    }
    asked = Conditions(if_none_match=request.headers.get("if-none-match"))
    if select(request.method, asked, headers["ETag"], len(body)).status == 304:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


_TOOL = f"{API_PREFIX}/tools/{{tool_id}}"
_RELEASE = f"{_TOOL}/{{version}}"
_CACHED = (304,)
_RANGED = (206, 304, 412, 416)

ENDPOINTS = (
    Endpoint(
        "GET",
        f"{_RELEASE}/files/{{path}}",
        get_file,
        "A file of a release; whole or a range of it",
        answer=bytes,
        media_type=OCTETS,
        errors=(NotFound,),
        also=_RANGED,
    ),
    Endpoint(
        "GET",
        f"{API_PREFIX}/blobs/sha256/{{sha256}}",
        get_blob,
        "A blob by its digest; whole or a range of it",
        answer=bytes,
        media_type=OCTETS,
        errors=(NotFound,),
        also=_RANGED,
    ),
    Endpoint(
        "GET",
        f"{_RELEASE}/manifest.json",
        get_manifest,
        "A release's manifest, byte for byte as published",
        answer=dict[str, Any],
        errors=(NotFound,),
        also=_RANGED,
    ),
    Endpoint(
        "GET",
        f"{_TOOL}/offer.json",
        get_tool_offer,
        "The release that a channel requires, else the latest, and the ways to it",
        ReleaseOffer,
        query=("channel",),
        errors=(NotFound,),
        also=_CACHED,
    ),
    Endpoint(
        "GET",
        f"{_RELEASE}/offer.json",
        get_release_offer,
        "A release and the ways to it",
        ReleaseOffer,
        query=("channel",),
        errors=(NotFound,),
        also=_CACHED,
    ),
    Endpoint(
        "GET",
        "/catalog.json",
        get_catalog,
        "The newest release of each tool",
        Catalog,
        also=_CACHED,
    ),
    Endpoint(
        "GET",
        f"{API_PREFIX}/tools",
        get_tools,
        "Every tool and its releases",
        list[ToolSummary],
        also=_CACHED,
    ),
    Endpoint(
        "GET",
        _TOOL,
        get_tool,
        "A tool and its releases",
        ToolSummary,
        errors=(NotFound,),
        also=_CACHED,
    ),
    Endpoint(
        "GET",
        f"{API_PREFIX}/requirements",
        get_requirements,
        "What workers of a channel must run",
        list[Requirement],
        query=("channel",),
        also=_CACHED,
    ),
)
