"""BitStation as one of the ways: the commands that a publisher and a worker give."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import releases
import timing
import workshop
from corpus import Pair

from peers.peer import Peer, Server, link_tree


class Ours(Peer):
    """Published to a plain web server where this version can, else to an HQ."""

    name = "BitStation"
    figure = "BitStation"

    def __init__(self, shop: workshop.Workshop) -> None:
        self._shop = shop

    def missing(self) -> list[str]:
        """A web server, where one is used."""
        return super().missing() if releases.to_folders() else []

    @contextlib.contextmanager
    def serve(self, pair: Pair, shelf: Path) -> Iterator[Server]:
        """Who holds the releases."""
        self._releases = releases.Releases(self._shop, shelf)
        with self._releases.serve() as server:
            yield Server(server.port, server.pid)

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """Old is published before; then the folder becomes the new tree, and that is measured."""
        shutil.rmtree(self._shop.cache, ignore_errors=True)
        tool = shelf.with_name(workshop.TOOL_ID)
        link_tree(pair.old, tool)
        if pair.old_digests:
            self._releases.publish(tool)
        become(pair, tool)
        return self._releases.publish(tool)

    def base(self, pair: Pair, shelf: Path, worker: Path, server: Server) -> None:
        """Install the old release, so that the worker knows its files as it always does."""
        shutil.rmtree(worker, ignore_errors=True)
        if pair.old_digests:
            self._update(worker, server.port, "--version", "1.0.0")

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """The command."""
        done = self._update(worker, port)
        if json.loads(done.stdout)["to_version"] != pair.version:
            raise timing.Failed(f"not the release that was published: {done.stdout!r}")
        return done

    def result(self, pair: Pair, worker: Path) -> Path:
        """The active release."""
        return worker / workshop.TOOL_ID / "releases" / f"v{pair.version}"

    def _update(self, worker: Path, port: int, *more: str) -> timing.Measured:
        words = (
            "update",
            workshop.TOOL_ID,
            "--allow-unsigned",
            "--hq",
            f"http://127.0.0.1:{port}",
            "--root",
            worker,
        )
        return self._shop.bitstation(*words, *more, "-q", "--json", private=True)


def become(pair: Pair, tool: Path) -> None:
    """Edit the publisher's folder as people do: what stays keeps its file, renames are renames."""
    old, new = pair.old_digests, pair.new_digests
    left = {old[path]: path for path in old if path not in new}
    for path in pair.changed:
        target = tool / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        moved = left.pop(new[path], None)
        if moved:
            (tool / moved).rename(target)
        else:
            target.hardlink_to(pair.new / path)
    for path in left.values():
        (tool / path).unlink()
