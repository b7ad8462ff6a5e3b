"""What those who run HQ look at: health, metrics, documentation."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.core.wire import API_PREFIX, Health
from bitstation.errors import BitStationError
from bitstation.hq.api import metrics
from bitstation.hq.api.docs import STYLE, docs_page
from bitstation.hq.api.endpoint import JSON, Desk, Endpoint
from bitstation.hq.api.openapi import openapi_document

_HTML, _CSS = "text/html", "text/css"
_NOTHING_FOREIGN = {"Content-Security-Policy": "default-src 'self'"}

log = logging.getLogger(__name__)


async def healthz(_desk: Desk, _request: Request) -> ASGIApp:
    """Say that the process answers."""
    return _health("ok", 200)


async def readyz(desk: Desk, _request: Request) -> ASGIApp:
    """Say whether the database and the blob folder can be used."""
    try:
        await desk.threads.work(desk.hq.check)
    except BitStationError as error:
        log.warning("not ready: %s", error)
        return _health("unavailable", 503)
    return _health("ready", 200)


async def get_metrics(desk: Desk, _request: Request) -> ASGIApp:
    """Counters for Prometheus."""
    return Response(desk.metrics.encode(), headers={"Content-Type": metrics.MEDIA_TYPE})


async def get_openapi(desk: Desk, _request: Request) -> ASGIApp:
    """The OpenAPI document."""
    return Response(msgspec.json.encode(openapi_document(desk.endpoints)), media_type=JSON)


async def get_docs(desk: Desk, _request: Request) -> ASGIApp:
    """The OpenAPI document for people."""
    return Response(docs_page(desk.endpoints), headers=_NOTHING_FOREIGN, media_type=_HTML)


async def get_style(_desk: Desk, _request: Request) -> ASGIApp:
    """Looks of the page."""
    return Response(STYLE, headers=_NOTHING_FOREIGN, media_type=_CSS)


def _health(status: str, code: int) -> Response:
    return Response(msgspec.json.encode(Health(status)), code, media_type=JSON)


ENDPOINTS = (
    Endpoint("GET", "/healthz", healthz, "Whether the process answers", Health),
    Endpoint("GET", "/readyz", readyz, "Whether HQ can serve", Health, also=(503,)),
    Endpoint("GET", "/metrics", get_metrics, "Counters for Prometheus", str, metrics.MEDIA_TYPE),
    Endpoint(
        "GET",
        f"{API_PREFIX}/openapi.json",
        get_openapi,
        "This API for programs",
        dict[str, Any],
    ),
    Endpoint("GET", "/docs", get_docs, "This API for people", str, _HTML),
    Endpoint("GET", "/docs/style.css", get_style, "Looks of that page", str, _CSS),
)
