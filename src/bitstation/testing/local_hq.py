"""A real HQ on loopback, in a process of its own, for tests and demonstrations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVE = """
import logging, sys
from pathlib import Path
from bitstation.hq.serve import serve
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
serve(Path(sys.argv[1]), "127.0.0.1:0", ready=lambda url: print(url, flush=True))
"""
_STOP_TIMEOUT_S = 20


class LocalHq:
    """A running HQ: its address, its publisher token, and ways to end it."""

    def __init__(self, data_dir: Path, process: subprocess.Popen[str], url: str) -> None:
        self.data_dir = data_dir
        self.process = process
        self.url = url

    @property
    def token_file(self) -> Path:
        """Where HQ keeps the token for publishing and requiring."""
        return self.data_dir / "publisher-token"

    @property
    def token(self) -> str:
        """The token itself."""
        return self.token_file.read_text("utf-8").strip()
