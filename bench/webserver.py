"""A plain web server on loopback, nginx, with its own count of what it sent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import timing

_START_S = 10
# One line a request: bytes of the answer and of the request, headers included, bodies included.
_CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format counts "$bytes_sent $request_length $request_uri";
  access_log {folder}/access.log counts;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  sendfile on; tcp_nopush on; keepalive_timeout 60; keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {root}; }}
  }}
}}
"""


class WebServer(NamedTuple):
    """A running nginx."""

    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Address without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Processor seconds it has used."""
        return timing.cpu_s(self.pid)


@contextmanager
def nginx(folder: Path, *, root: Path) -> Iterator[WebServer]:
    """Serve a folder. Raises Failed."""
    if not available():
        raise timing.Failed("nginx is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    text = _CONFIG.format(folder=folder, port=port, root=root)
    (folder / "nginx.conf").write_text(user + text, "utf-8")
    words = [_program(), "-p", str(folder), "-e", str(folder / "error.log"), "-c", "nginx.conf"]
    process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL)
    try:
        wait_for(process, port)
        yield WebServer(process.pid, port, folder / "access.log")
    finally:
        process.terminate()
        process.wait(_START_S)


def available() -> bool:
    """Whether nginx is installed; Debian keeps it where only root's shell looks."""
    return bool(_program())


def _program() -> str:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""


def free_port() -> int:
    """A port of loopback on which nobody listened just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when a process of ours listens. Raises Failed."""
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise timing.Failed(f"a server did not start: {process.args!r}")
