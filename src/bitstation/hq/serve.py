"""Run an HQ until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import UsageError
from bitstation.hq.api.app import build_app
from bitstation.hq.headquarters import Headquarters

# Longer than a publisher takes between two requests: a POST on a closed connection is an error.
_KEEP_ALIVE_S = 120
_GRACE_S = 10
_BACKLOG = 1024
_MAX_PORT = 65535
_STALLED_MS = 60_000

log = logging.getLogger(__name__)


def serve(
    data_dir: Path,
    listen: str,
    ready: Callable[[str, Digest], None] | None = None,
    *,
    keys: Path | None = None,
) -> None:
    """Serve the HQ of a folder until SIGINT or SIGTERM; requests under way get 10 s to end.

    ``ready`` is told the address, and the digest of HQ's root, once requests are answered; port 0
    takes a free one.
    Raises UsageError for an address that cannot be listened on, StoreLocked, StoreError.
    """
    with _told_to_stop() as stop, Headquarters(data_dir, keys) as hq, _listener(listen) as listener:
        url = _url(listener)
        log.info("HQ of %s listens on %s; publishers' token: %s", data_dir, url, hq.token_path)
        fingerprint = digest_of(hq.signing.first_root())
        server = _Server(_config(hq), lambda: ready(url, fingerprint) if ready else None)
        stop.pass_to(server)
        server.run([listener])
        log.info("HQ of %s stopped", data_dir)


def _config(hq: Headquarters) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(hq),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and leaves the signals to us."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn's own raises the signal again, before our database is closed."""
        yield


class _Stop:
    """The wish to stop; it may come before there is a server to be told."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._signals: list[int] = []

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        if self._server is not None:
            self._server.handle_exit(number, None)

    def pass_to(self, server: _Server) -> None:
        """Let a server hear of it, now and from now on."""
        self._server = server
        server.should_exit = bool(self._signals)


@contextmanager
def _told_to_stop() -> Iterator[_Stop]:
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in HANDLED_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listener(listen: str) -> socket.socket:
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise UsageError(detail=f"{listen!r} is not of the form HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(detail=f"cannot listen on {listen}: {error}") from error
    # asyncio sets TCP_NODELAY only where the socket says that it is TCP, which this one does not
    # yet: without it every small answer waits 40 ms for the reader's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, made.detach())
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections inherit it: a reader who takes nothing for so long is cut off,
        # and with him go the blocks he held.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
