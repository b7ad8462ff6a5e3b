"""A small web host on loopback that can be told to lie, for tests of downloads."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebHost:
    """Serves one file at ``/model``. Every attribute may be changed by a test.

    ``headers`` are sent besides; one that is None is left out.
    ``cut_after``: bytes of a body after which the connection ends, once for each number in it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag = '"one"'
        self.status = 0
        self.ignore_ranges = False
        self.location = ""
        self.headers: dict[str, str | None] = {}
        self.extra = b""
        self.cut_after: list[int] = []
        self.requests: list[Mapping[str, str]] = []
        self.url = ""

    def span(self, asked: str | None, condition: str | None) -> int:
        """First byte to send; 0 when the whole is sent."""
        match = re.fullmatch(r"bytes=([0-9]+)-", asked or "")
        if not match or self.ignore_ranges or condition not in (None, self.etag):
            return 0
        return int(match[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: WebHost

    def do_GET(self) -> None:
        host = self.host
        host.requests.append({name.lower(): value for name, value in self.headers.items()})
        if host.location and self.path == "/model":
            return self._answer(302, b"", {"Location": host.location})
        if host.status:
            return self._answer(host.status, b"no", {})
        start = host.span(self.headers["Range"], self.headers["If-Range"])
        if start > len(host.data):
            return self._answer(416, b"", {})
        body = host.data[start:] + host.extra
        headers = {"ETag": host.etag} if host.etag else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(host.data) - 1}/{len(host.data)}"
        return self._answer(206 if start else 200, body, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        sent = {"Content-Length": str(len(body)), **headers, **self.host.headers}
        for name, value in sent.items():
            if value is not None:
                self.send_header(name, value)
        if sent["Content-Length"] is None:
            self.close_connection = True
        self.end_headers()
        if self.host.cut_after and body:
            self.wfile.write(body[: self.host.cut_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: Any) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving(data: bytes) -> Iterator[WebHost]:
    """A host on a free port of loopback."""
    host = WebHost(data)
    handler = type("Handler", (_Handler,), {"host": host})
    server = _Server(("127.0.0.1", 0), handler)
    host.url = f"http://127.0.0.1:{server.server_address[1]}/model"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
