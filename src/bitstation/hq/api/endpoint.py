"""One row for each operation of the API: routes, tokens and OpenAPI all come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from bitstation.errors import BitStationError, TokenRefused
from bitstation.hq.api.metrics import ROUTE_KEY, Metrics
from bitstation.hq.api.sending import BlobSender
from bitstation.hq.api.threads import Threads
from bitstation.hq.headquarters import Headquarters

JSON = "application/json"


class Desk(NamedTuple):
    """What handlers work with."""

    hq: Headquarters
    threads: Threads
    sender: BlobSender
    metrics: Metrics
    endpoints: tuple[Endpoint, ...]


Handler = Callable[[Desk, Request], Awaitable[ASGIApp]]


class Endpoint(NamedTuple):
    """An operation. ``path`` is an OpenAPI template; types are of ``core.wire``."""

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Any = None
    media_type: str = JSON
    status: int = 200
    body: Any = None
    body_media_type: str = JSON
    query: tuple[str, ...] = ()
    needs_token: bool = False
    errors: tuple[type[BitStationError], ...] = ()
    also: tuple[int, ...] = ()
    """Further status codes that are not errors of ours."""

    @property
    def all_errors(self) -> tuple[type[BitStationError], ...]:
        """Errors of its own, and the one of all that need a token."""
        return (*self.errors, TokenRefused) if self.needs_token else self.errors

    def route(self, desk: Desk) -> Route:
        """Route that answers this operation."""

        async def serve(request: Request) -> ASGIApp:
            request.scope[ROUTE_KEY] = self.path
            if self.needs_token:
                _check_token(desk.hq, request)
            return await self.handler(desk, request)

        # A file's path has slashes of its own.
        pattern = self.path.replace("{path}", "{path:path}")
        return Route(pattern, serve, methods=[self.method])


def _check_token(hq: Headquarters, request: Request) -> None:
    if not hq.token.is_shown_by(request.headers.get("authorization")):
        raise TokenRefused(
            source="HQ", detail="this needs the publisher token, as 'Authorization: Bearer TOKEN'"
        )
