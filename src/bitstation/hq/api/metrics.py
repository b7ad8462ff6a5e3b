"""What /metrics says: counters with bounded labels, never a worker's or a file's name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTE_KEY = "bitstation.route"
"""Where in a request's scope the template of its route stands."""

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one HQ, and the facts of its process where the system gives them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "hq_http_requests",
            "Requests answered, by route template and status code.",
            ("route", "code"),
            registry=self._registry,
        )
        self.blob_bytes = Counter(
            "hq_blob_bytes",
            "Bytes of blobs and files sent to readers.",
            ("path",),
            registry=self._registry,
        )

    def encode(self) -> bytes:
        """Text form of all counters."""
        return generate_latest(self._registry)


class CountRequests:
    """Layer around the application that counts its answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count the status it is answered with."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get(ROUTE_KEY, "none")
                self._requests.labels(route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted if scope["type"] == "http" else send)
