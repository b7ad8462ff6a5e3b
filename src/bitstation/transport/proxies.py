"""Which proxy, if any, stands between us and a server; its password is never shown."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
from urllib.parse import SplitResult, unquote, urlsplit

from bitstation.shown import keep_secret
from bitstation.transport.arrivals import RateWatch
from bitstation.transport.connection import Response
from bitstation.transport.failures import ProxyError, ProxyUnreachable

_DEFAULT_PORT = 80


class Proxy:
    """Where a proxy is; ``name`` is for people and holds no credentials."""

    def __init__(self, host: str, port: int, credentials: str | None = None) -> None:
        self.host = host
        self.port = port
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._credentials = credentials

    def headers(self) -> dict[str, str]:
        """What the proxy, and nobody else, is told of us."""
        if self._credentials is None:
            return {}
        coded = base64.b64encode(self._credentials.encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {coded}"}


def proxy_for(parts: SplitResult, source: str) -> Proxy | None:
    """Proxy for an address by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, None for none.

    On Windows and macOS the system's own settings count where the environment has none.
    Loopback is never asked through a proxy, whose own loopback is another machine.
    Raises ProxyError for an address of a proxy that cannot be used.
    """
    host = parts.hostname or ""
    if _is_loopback(host):
        return None
    import urllib.request  # 6 ms

    named = urllib.request.getproxies()
    address = named.get(parts.scheme) or named.get("all")
    if not address or urllib.request.proxy_bypass(_with_port(host, parts)):
        return None
    return _parsed(address, source)


def open_tunnel(
    sock: socket.socket, place: str, proxy: Proxy, source: str, watch: RateWatch
) -> None:
    """Let a proxy lead a connection on to a host and port. Raises ProxyError, OSError."""
    asked = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    asked += [f"{name}: {value}" for name, value in proxy.headers().items()]
    sock.sendall("\r\n".join([*asked, "", ""]).encode("ascii"))
    answer = Response(sock, watch, "CONNECT")
    try:
        answer.begin()
    except ConnectionError:
        # http.client's own kind of it is an HTTPException too.
        raise
    except http.client.HTTPException as error:
        detail = "it does not speak HTTP"
        raise ProxyError(proxy=proxy.name, source=source, detail=detail) from error
    finally:
        answer.close()
    if not 200 <= answer.status < 300:
        kind = ProxyUnreachable if answer.status >= 500 else ProxyError
        raise kind(proxy=proxy.name, source=source, detail=f"HTTP {answer.status}")


def _with_port(host: str, parts: SplitResult) -> str:
    # NO_PROXY may name a port; only then is it looked at.
    return host if parts.port is None or ":" in host else f"{host}:{parts.port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(address: str, source: str) -> Proxy:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or _DEFAULT_PORT
        host = parts.hostname or ""
        host.encode("idna")
    except ValueError:
        # The error's own words may hold the password.
        raise ProxyError(proxy="?", source=source, detail="its address makes no sense") from None
    if parts.scheme != "http" or not host:
        scheme = parts.scheme[:20]
        detail = f"only proxies named by http:// and a host can be used, not {scheme}://"
        raise ProxyError(proxy=host or "?", source=source, detail=detail)
    credentials = None
    if parts.username is not None:
        password = unquote(parts.password or "")
        keep_secret(password)
        credentials = f"{unquote(parts.username)}:{password}"
    return Proxy(host, port, credentials)
