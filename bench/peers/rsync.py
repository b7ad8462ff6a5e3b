"""rsync -z from a daemon."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import timing
import webserver
from corpus import Pair

from peers.peer import Peer, Server

_CONFIG = """
use chroot = no
pid file = {folder}/rsyncd.pid
log file = {folder}/rsyncd.log
[new]
path = {tree}
read only = yes
{user}
"""


class Rsync(Peer):
    """The publisher prepares nothing; the server works for each worker anew."""

    name = "rsync -z"
    figure = "rsync"
    needs: tuple[str, ...] = ("rsync",)

    def missing(self) -> list[str]:
        """Needs no web server."""
        return [each for each in super().missing() if each != "nginx"]

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """Nothing."""
        return timing.together()

    @contextlib.contextmanager
    def serve(self, pair: Pair, shelf: Path) -> Iterator[Server]:
        """A daemon over the new tree; its children, one a transfer, are counted when they ended."""
        folder = shelf.with_name("rsyncd")
        folder.mkdir(exist_ok=True)
        port = webserver.free_port()
        owner = pair.new.owner()
        user = f"uid = {owner}\ngid = {pair.new.group()}" if owner == "root" else ""
        text = _CONFIG.format(folder=folder, tree=pair.new, user=user)
        (folder / "rsyncd.conf").write_text(text, "utf-8")
        (folder / "rsyncd.pid").unlink(missing_ok=True)
        words = ["rsync", "--daemon", "--no-detach", f"--port={port}", "--address=127.0.0.1"]
        process = subprocess.Popen(
            [*words, f"--config={folder}/rsyncd.conf"], stdin=subprocess.DEVNULL
        )
        try:
            webserver.wait_for(process, port)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait(10)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """As one would call it, deletions included."""
        words = ["rsync", "-rltz", "--delete", f"rsync://127.0.0.1:{port}/new/", f"{worker}/"]
        return timing.measure(words, private=True)
