"""The application that a server runs: layers, routes, and answers to errors."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bitstation.errors import BitStationError
from bitstation.hq.api import problems, publishing, reading, service, signed
from bitstation.hq.api.endpoint import Desk
from bitstation.hq.api.guard import Guard
from bitstation.hq.api.metrics import CountRequests, Metrics
from bitstation.hq.api.sending import BlobSender
from bitstation.hq.api.threads import Threads
from bitstation.hq.headquarters import Headquarters

ENDPOINTS = (
    *reading.ENDPOINTS,
    *signed.ENDPOINTS,
    *publishing.ENDPOINTS,
    *service.ENDPOINTS,
)


def build_app(hq: Headquarters) -> ASGIApp:
    """ASGI application of an HQ that is open."""
    threads, metrics = Threads(), Metrics()
    sender = BlobSender(hq.blobs, threads, metrics.blob_bytes.labels("http"))
    desk = Desk(hq, threads, sender, metrics, ENDPOINTS)
    app = Starlette(
        routes=[endpoint.route(desk) for endpoint in ENDPOINTS],
        exception_handlers={
            BitStationError: problems.bitstation_problem,
            HTTPException: problems.http_problem,
            ClientDisconnect: _nobody_listens,
            Exception: problems.unexpected_problem,
        },
    )
    app.router.redirect_slashes = False
    return CountRequests(Guard(app), metrics)


async def _nobody_listens(_request: Request, _error: Exception) -> Response:
    # 499 is what nginx counts such requests under; no HTTP names it.
    return Response(status_code=499)
