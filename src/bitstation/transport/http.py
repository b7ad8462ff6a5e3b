"""HTTP/1.1 for bytes: keep-alive connections of http.client, read into the caller's buffers.

Chosen by measurement: over thousands of ranges it takes a third to a sixth of the processor time of
the general clients (docs/adr/0003).
"""

from __future__ import annotations

import http.client
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from bitstation import __version__
from bitstation.errors import RedirectRefused, SourceBroken, SourceUnreachable, UsageError
from bitstation.transport.arrivals import SlowestRate
from bitstation.transport.connection import Connection
from bitstation.transport.dialing import Dialer, Limits
from bitstation.transport.failures import ProxyError
from bitstation.transport.http_stream import Stream, check_framing, foreign_error

# For all addresses of a name together.
CONNECT_TIMEOUT_S = 10.0
# For each arrival; what arrives too slowly is SlowestRate's affair.
READ_TIMEOUT_S = 30.0
MAX_REDIRECTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
# What may stand in a path or query as it is; a percent sign has been put there by whoever wrote
# the address.
_SIGNS = "/%~!$&'()*+,;=:@?"

Body = bytes | memoryview | None


class Answer(NamedTuple):
    """A whole small answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Connections to one origin (scheme, host, port); callable from several threads.

    ``headers`` is asked at each request, so credentials live with whoever provides them.
    ``any_https_host`` lets redirects leave the origin, for callers that know the digest and
    are told an address by their own user; workers never do.
    """

    def __init__(
        self,
        base_url: str,
        headers: Callable[[], Mapping[str, str]] = dict,
        *,
        any_https_host: bool = False,
        slowest: SlowestRate = SlowestRate(),  # noqa: B008 - frozen
    ) -> None:
        self._base = parse_base(base_url)
        self._headers = headers
        self._any_https_host = any_https_host
        self._idle: list[Connection] = []
        self._sockets: dict[Connection, socket.socket] = {}
        self._is_aborted = False
        self._lock = threading.Lock()
        self.name = f"{self._base.scheme}://{_authority(self._base)}"
        self._dialer = Dialer(self.name, slowest)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> Answer:
        """Whole answer to a request; its body is refused when longer than ``max_bytes``.

        Raises SourceUnreachable, SourceBroken, RedirectRefused, TlsError.
        """
        stream = self.open(method, path, body=body, headers=headers)
        try:
            if stream.status < 300:
                stream.check_whole()
            data = bytearray()
            block = memoryview(bytearray(65536))
            while count := stream.readinto(block):
                data += block[:count]
                if len(data) > max_bytes:
                    raise SourceBroken(source=self.name, detail=f"answer exceeds {max_bytes} bytes")
            return Answer(stream.status, stream.headers, bytes(data))
        finally:
            stream.close()

    def open(
        self,
        method: str,
        path: str,
        *,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """Send a request and give the answer as a stream, redirects within the origin followed.

        Only readers are redirected: what is written was meant for the place it was sent to.
        """
        url = self._url(path)
        sent = {**self._common_headers(), **(headers or {})}
        for _ in range(MAX_REDIRECTS + 1):
            stream = self._send(method, url, body, sent)
            if stream.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return stream
            location = stream.headers.get("location", "")
            stream.close()
            url = self._redirected(url, location)
            if not self._is_own(urlsplit(url)):
                sent = dict(headers or {})
        raise SourceBroken(source=self.name, detail=f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)

    def abort(self) -> None:
        """End every transfer under way with a SourceError, and refuse new ones.

        Takes no lock, so that a signal handler may call it.
        """
        self._is_aborted = True
        self._dialer.abort()
        for each in list(self._sockets.values()):
            with suppress(OSError):
                # Not a TLS socket's own: that would let the reader go on in plain text.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _url(self, path: str) -> str:
        """Address of a path below the base, or when it begins with ``/`` below the origin."""
        origin = f"{self._base.scheme}://{self._base.netloc}"
        return origin + (path if path.startswith("/") else self._base.path + path)

    def _common_headers(self) -> dict[str, str]:
        return {
            "User-Agent": f"bitstation/{__version__}",
            # Anything but the bytes themselves could not be resumed or measured.
            "Accept-Encoding": "identity",
            **self._headers(),
        }

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            parts = _checked(target)
        except ValueError:
            raise RedirectRefused(source=self.name, location=_shown(location)) from None
        allowed = self._is_own(parts) or (self._any_https_host and parts.scheme == "https")
        if not location or not allowed:
            raise RedirectRefused(source=self.name, location=_shown(target))
        path, query = (quote(each, safe=_SIGNS) for each in (parts.path, parts.query))
        return parts._replace(path=path, query=query).geturl()

    def _is_own(self, parts: SplitResult) -> bool:
        return (parts.scheme, _authority(parts)) == (self._base.scheme, _authority(self._base))

    def _send(self, method: str, url: str, body: Body, headers: Mapping[str, str]) -> Stream:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection = self._idle_connection() if self._is_own(parts) else None
            if connection is not None:
                try:
                    return self._exchange(connection, method, target, body, headers, parts)
                except ConnectionError:
                    # An idle connection may have been closed by the other side at any time; a
                    # fresh one that fails is a real failure. Every request of ours may be sent
                    # twice: HQ's answers to PUT and POST are the same the second time.
                    pass
            return self._exchange(self._connect(parts), method, target, body, headers, parts)
        except (OSError, http.client.HTTPException) as error:
            raise foreign_error(error, self.name) from error

    def _exchange(
        self,
        connection: Connection,
        method: str,
        target: str,
        body: Body,
        headers: Mapping[str, str],
        parts: SplitResult,
    ) -> Stream:
        try:
            sent = {**headers, **connection.extra_headers}
            connection.request(method, connection.target_prefix + target, body=body, headers=sent)
            response = connection.getresponse()
            try:
                check_framing(response, self.name)
                if response.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
                    proxy = connection.proxy_name or "in between"
                    raise ProxyError(proxy=proxy, source=self.name, detail="HTTP 407")
            except BaseException:
                response.close()
                raise
        except BaseException:
            self._drop(connection)
            raise
        give_back = self._give_back if self._is_own(parts) else self._drop
        return Stream(response, connection, give_back, self._drop, self.name)

    def _idle_connection(self) -> Connection | None:
        """A connection that is still open and on which nothing has come that nobody asked for."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _is_readable(connection.sock):
                connection.sock.settimeout(READ_TIMEOUT_S)
                return connection
            self._drop(connection)

    def _connect(self, parts: SplitResult) -> Connection:
        connection = self._dialer.connect(parts, Limits(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        self._sockets[connection] = connection.sock
        # Asked after it became known to abort(), which otherwise could miss it.
        if self._is_aborted:
            self._drop(connection)
            raise SourceUnreachable(source=self.name, detail="stopped")
        return connection

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        self._sockets.pop(connection, None)
        connection.close()


def parse_base(url: str) -> SplitResult:
    """Origin of an http or https address, with its path. Raises UsageError."""
    try:
        parts = _checked(url if "://" in url else f"http://{url}")
        path = quote(parts.path, safe=_SIGNS)
    except ValueError:
        # The error's own words may hold a password: what stands where a port should.
        raise UsageError(detail=f"{url!r} is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(detail=f"{url!r} is not an http or https address without a user name")
    path = path if path.endswith("/") else path + "/"
    return parts._replace(path=path, query="", fragment="")


def _checked(url: str) -> SplitResult:
    """Parts of an address. Raises ValueError when it can name no host and port."""
    parts = urlsplit(url)
    _ = parts.port
    # The resolver would refuse such a name with an error of another kind.
    (parts.hostname or "").encode("idna")
    return parts


def _authority(parts: SplitResult) -> str:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shown(text: str) -> str:
    """What another side said, short and without signs that steer a terminal."""
    return ascii(text[:200])[1:-1]


def _is_readable(sock: socket.socket) -> bool:
    """Say whether something, or the end, is there to be read without waiting."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
