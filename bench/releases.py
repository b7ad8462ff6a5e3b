"""Where the bench publishes and from where its workers update: the one place that chooses."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import timing
import webserver
import workshop


@functools.cache
def to_folders() -> bool:
    """Whether this version writes the layout that any web server serves; else there is an HQ."""
    words = [*workshop.BITSTATION, "publish", "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return "--to " in said and webserver.available()


class Releases:
    """Releases of one place: a folder behind nginx, or an HQ."""

    def __init__(self, shop: workshop.Workshop, folder: Path) -> None:
        self._shop = shop
        self._folder = folder
        self._hq: workshop.Hq | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def serve(self) -> Iterator[webserver.WebServer]:
        """Answer workers. Raises Failed."""
        beside = self._folder.with_name(f"{self._folder.name}-nginx")
        if to_folders():
            with webserver.nginx(beside, root=self._folder) as server:
                yield server
            return
        with self._shop.hq(self._folder) as self._hq:
            port = int(self._hq.url.rpartition(":")[2])
            yield webserver.WebServer(self._hq.pid, port, beside / "access.log")

    def publish(self, tool: Path) -> timing.Measured:
        """Make a tool folder a release and publish it; both are measured."""
        run = self._shop.bitstation
        making = run("manifest", tool, "-q", private=True)
        if self._hq is None:
            sending = run("publish", tool, "--to", self._folder, "-q", private=True)
        else:
            token = ("--token-file", self._hq.token_file)
            words = ("hq", "import", tool, "--hq", self._hq.url, *token, "-q")
            sending = run(*words, private=True)
        return timing.together(making, sending)

    def lose_earlier(self, *, least_bytes: int) -> None:
        """Remove all files of at least so many bytes but the newest."""
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        large = [path for path in files if path.stat().st_size >= least_bytes]
        for path in sorted(large, key=lambda path: path.stat().st_mtime_ns)[:-1]:
            path.unlink()
