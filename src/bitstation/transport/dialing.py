"""Opening connections: addresses of a name in turn, through a proxy where there is one, TLS."""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult

from bitstation.errors import SourceUnreachable
from bitstation.transport.arrivals import RateWatch, SlowestRate
from bitstation.transport.connection import Connection
from bitstation.transport.failures import ProxyError, ProxyUnreachable
from bitstation.transport.proxies import Proxy, open_tunnel, proxy_for
from bitstation.transport.tls import issuer_in, tls_error, trusting_context

MAX_ADDRESSES = 6

_Place = tuple[str, int]


class Limits(NamedTuple):
    """How long to wait for a connection in all, and for each arrival on it, in seconds."""

    connect_s: float
    read_s: float


class Dialer:
    """Opens connections. Settings (proxies, certificates) are read once and kept."""

    def __init__(self, source: str, slowest: SlowestRate) -> None:
        self._source = source
        self._slowest = slowest
        self._context: ssl.SSLContext | None = None
        self._proxies: dict[tuple[str, str], Proxy | None] = {}
        self._worked: dict[_Place, str] = {}
        self._opening: set[socket.socket] = set()

    def connect(self, parts: SplitResult, limits: Limits) -> Connection:
        """An open connection to an address's host, by whatever way leads there.

        Raises SourceUnreachable, TlsError, ProxyError, UsageError, OSError.
        """
        host, port = parts.hostname or "", _port(parts)
        proxy = self._proxy(parts)
        open_socket = self._secured if parts.scheme == "https" else self._raw
        sock = open_socket(parts, proxy, limits)
        sock.settimeout(limits.read_s)
        connection = Connection(sock, host, port, self._slowest)
        connection.default_port = 443 if parts.scheme == "https" else 80
        if proxy and parts.scheme == "http":
            connection.target_prefix = f"http://{parts.netloc}"
            connection.extra_headers = proxy.headers()
        connection.proxy_name = proxy.name if proxy else ""
        return connection

    def abort(self) -> None:
        """End tunnels and handshakes under way. Takes no lock: a signal handler may call it."""
        for each in list(self._opening):
            with suppress(OSError):
                # Not a TLS socket's own: that would let the reader go on in plain text.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _proxy(self, parts: SplitResult) -> Proxy | None:
        key = (parts.scheme, parts.netloc)
        if key not in self._proxies:
            self._proxies[key] = proxy_for(parts, self._source)
        return self._proxies[key]

    def _raw(self, parts: SplitResult, proxy: Proxy | None, limits: Limits) -> socket.socket:
        """Socket to the host, or to the proxy; for https through it."""
        if proxy is None:
            return self._reach((parts.hostname or "", _port(parts)), limits.connect_s)
        try:
            sock = self._reach((proxy.host, proxy.port), limits.connect_s)
        except OSError as error:
            raise self._unreachable(proxy, error) from error
        if parts.scheme == "https":
            sock.settimeout(limits.read_s)
            self._opening.add(sock)
            try:
                open_tunnel(sock, _place(parts), proxy, self._source, RateWatch(self._slowest))
            except OSError as error:
                sock.close()
                raise self._unreachable(proxy, error) from error
            except BaseException:
                sock.close()
                raise
            finally:
                self._opening.discard(sock)
        return sock

    def _unreachable(self, proxy: Proxy, error: OSError) -> ProxyUnreachable:
        return ProxyUnreachable(proxy=proxy.name, source=self._source, detail=_reason(error))

    def _secured(self, parts: SplitResult, proxy: Proxy | None, limits: Limits) -> socket.socket:
        if self._context is None:
            self._context = trusting_context()
        sock: socket.socket = self._raw(parts, proxy, limits)
        sock.settimeout(limits.connect_s)
        try:
            sock = secured = self._context.wrap_socket(
                sock, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
            self._opening.add(secured)
            # Of all its steps together the socket's time limit is the bound.
            secured.do_handshake()
            return secured
        except ssl.SSLEOFError as error:
            sock.close()
            raise SourceUnreachable(source=self._source, detail="connection closed") from error
        except ssl.SSLError as error:
            sock.close()
            raise tls_error(
                error, self._source, lambda: self._issuer(parts, proxy, limits)
            ) from error
        except BaseException:
            sock.close()
            raise
        finally:
            self._opening.discard(sock)

    def _issuer(self, parts: SplitResult, proxy: Proxy | None, limits: Limits) -> str:
        """Who made the certificate that we do not trust; asked anew, and nothing else is sent."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with suppress(OSError, ProxyError), self._raw(parts, proxy, limits) as sock:
            sock.settimeout(limits.connect_s)
            with context.wrap_socket(sock, server_hostname=parts.hostname) as secured:
                return issuer_in(secured.getpeercert(binary_form=True) or b"")
        return ""

    def _reach(self, place: _Place, total_s: float) -> socket.socket:
        """Connect to the addresses of a name in turn, families alternating; raises OSError.

        Each may take an equal share of the time that is left, so a dead one leaves time for the
        next; the one that answered is tried first from then on.
        """
        found = _addresses(place)
        known = self._worked.get(place)
        found.sort(key=lambda address: address != known)
        end_s = time.monotonic() + total_s
        failure: OSError | None = None
        for index, address in enumerate(found):
            left_s = max(end_s - time.monotonic(), 0.01)
            try:
                sock = socket.create_connection(
                    (address, place[1]), timeout=left_s / (len(found) - index)
                )
            except OSError as error:
                failure = failure or error
                continue
            self._worked[place] = address
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        raise failure or OSError("the name has no address")


def _place(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]:{_port(parts)}" if ":" in host else f"{host}:{_port(parts)}"


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or (
        "connection closed" if isinstance(error, ConnectionError) else str(error)
    )


def _addresses(place: _Place) -> list[str]:
    """Addresses of a host, families alternating and a bounded number of them. Raises OSError."""
    host, port = place
    families: dict[int, list[str]] = {}
    for family, _kind, _protocol, _name, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        families.setdefault(family, []).append(_with_scope(address))
    rows = itertools.zip_longest(*families.values())
    found = [address for row in rows for address in row if address is not None]
    return list(dict.fromkeys(found))[:MAX_ADDRESSES]


def _with_scope(address: tuple[object, ...]) -> str:
    """An address as text; of a link-local one with its interface."""
    scope = address[3] if len(address) == 4 else 0
    text = str(address[0])
    return f"{text}%{scope}" if scope and "%" not in text else text
