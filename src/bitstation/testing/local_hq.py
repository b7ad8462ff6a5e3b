"""A real HQ on loopback, in a process of its own, for tests of whatever talks to one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STOP_TIMEOUT_S = 20


class LocalHq:
    """A running HQ: where it answers, and ways to end it."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, token_file: Path, fingerprint: str
    ) -> None:
        self.process = process
        self.fingerprint = fingerprint
        self.url = url
        self.token_file = token_file

    @property
    def token(self) -> str:
        """What publishing and requiring need."""
        return self.token_file.read_text("utf-8").strip()

    def stop(self) -> int:
        """Ask it to stop, as a service manager does, and give its exit code."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.terminate()
        return self.process.wait(_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(_STOP_TIMEOUT_S)


@contextmanager
def local_hq(data_dir: Path, log: Path | None = None) -> Iterator[LocalHq]:
    """``bitstation hq serve`` on a free port of loopback, until the block ends.

    ``log`` takes what it says to people. Raises RuntimeError when it does not come up.
    """
    words = ["hq", "serve", "--data", str(data_dir), "--listen", "127.0.0.1:0", "--json"]
    # Windows sends Ctrl+Break to process groups only.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            # -P: nothing is imported from the folder that we happen to be in.
            [sys.executable, "-P", "-m", "bitstation", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            creationflags=flags,
        )
    with process:
        try:
            yield _ready(process)
        finally:
            process.kill()


def _ready(process: subprocess.Popen[bytes]) -> LocalHq:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"HQ did not start: exit code {process.wait(_STOP_TIMEOUT_S)}")
    facts = json.loads(line)
    if "url" not in facts:
        raise RuntimeError(f"HQ did not start: {facts['error']['message']}")
    return LocalHq(process, facts["url"], Path(facts["token_file"]), facts["root_fingerprint"])
