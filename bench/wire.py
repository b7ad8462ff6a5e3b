"""A TCP proxy on loopback that counts every byte each way: bodies, headers, protocols.

It can be as slow as a link, evenly, with what little such a link holds on its way; nginx with a
rate limit sends a second's bytes at once.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_BLOCK_BYTES = 256 * 1024
_PACED_BLOCK_BYTES = 16 * 1024
# What the kernel takes of a connection before the worker does, as a link of 20 ms holds.
_ON_ITS_WAY_BYTES = 64 * 1024


class Wire:
    """Counts of all connections through one proxy."""

    def __init__(self, target_port: int, bytes_per_s: float = 0.0) -> None:
        self._target_port = target_port
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.down_bytes = 0
        self.up_bytes = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """Address of a web server behind it, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Take connections until closed."""
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self.connections += 1
            self._sockets += [client, server]
            for way, (source, sink) in (("up", (client, server)), ("down", (server, client))):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._bytes_per_s:
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ON_ITS_WAY_BYTES)
                relay = threading.Thread(target=self._relay, args=(way, source, sink), daemon=True)
                relay.start()
                self._threads.append(relay)

    def _relay(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        is_paced = way == "down" and self._bytes_per_s > 0
        block = memoryview(bytearray(_PACED_BLOCK_BYTES if is_paced else _BLOCK_BYTES))
        with suppress(OSError):
            while count := source.recv_into(block):
                if is_paced:
                    time.sleep(self._wait_s(count))
                with self._lock:
                    self.down_bytes += count if way == "down" else 0
                    self.up_bytes += count if way == "up" else 0
                sink.sendall(block[:count])
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait_s(self, count: int) -> float:
        """Book the link for so many bytes; seconds until it is free for them."""
        with self._lock:
            now_s = time.monotonic()
            self._free_s = max(self._free_s, now_s) + count / self._bytes_per_s
            return self._free_s - now_s

    def close(self) -> None:
        """Take no more connections and end those there are."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()


@contextmanager
def counted(target_port: int, bytes_per_s: float = 0.0) -> Iterator[Wire]:
    """A proxy to a port of loopback; ``bytes_per_s`` is what all workers get together."""
    wire = Wire(target_port, bytes_per_s)
    thread = threading.Thread(target=wire.serve, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        wire.close()
        thread.join(5)
