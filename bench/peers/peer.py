"""What every peer is asked to do, and what they share."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import timing
import webserver
from corpus import Pair

# Below this a whole file, compressed, costs less than to think of anything better.
SMALL_BYTES = 65_536


class Server(NamedTuple):
    """Who answers the worker: its port on loopback and its process (0: nobody runs on)."""

    port: int
    pid: int


class Peer:
    """A way to bring new releases to workers.

    ``prepare`` is the publisher: once a release. ``update`` is the worker: its tree ``worker``
    equals old before and must equal new after. Between them stands what ``serve`` starts. All
    that is measured runs in processes of their own.
    """

    name = ""
    needs: tuple[str, ...] = ()
    figure = ""

    def missing(self) -> list[str]:
        """Programs that are not installed."""
        lacking = [program for program in self.needs if shutil.which(program) is None]
        return lacking + ([] if webserver.available() else ["nginx"])

    def prepare(self, pair: Pair, shelf: Path) -> timing.Measured:
        """Fill a folder that will be served. Raises Failed."""
        raise NotImplementedError

    @contextlib.contextmanager
    def serve(self, pair: Pair, shelf: Path) -> Iterator[Server]:
        """A plain web server over the shelf."""
        with webserver.nginx(shelf.with_name("nginx"), root=shelf) as server:
            yield Server(server.port, server.pid)

    def base(self, pair: Pair, shelf: Path, worker: Path, server: Server) -> None:
        """The worker as it was before: the old tree, its times kept, as its peer left it.

        Names only, no copies: no peer writes into a file that is there.
        """
        link_tree(pair.old, worker)

    def update(self, pair: Pair, shelf: Path, worker: Path, port: int) -> timing.Measured:
        """Bring the worker's tree to the new release. Raises Failed."""
        raise NotImplementedError

    def result(self, pair: Pair, worker: Path) -> Path:
        """Where the new tree lies then."""
        return worker


def link_tree(source: Path, target: Path) -> None:
    """The same tree again, by hard links."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


class Script:
    """A shell script, as an administrator would write one; commands are added one by one."""

    def __init__(self) -> None:
        self._lines = ["set -eu"]

    def add(self, *words: str | Path, into: Path | str | None = None, pipe: str = "") -> None:
        """A command, its output into a file or a pipe."""
        line = shlex.join(str(word) for word in words)
        line += f" | {pipe}" if pipe else ""
        line += f" > {shlex.quote(str(into))}" if into else ""
        self._lines.append(line)

    def run(self, path: Path, cwd: Path) -> timing.Measured:
        """Write it and run it in a folder. Raises Failed."""
        path.write_text("\n".join(self._lines) + "\n", "utf-8")
        return timing.measure(["sh", path], cwd=cwd, private=True)


def likeness(pair: Pair, path: str) -> str | None:
    """The old file that a new one is best made from: the same path, else the most alike by name.

    Generous to the peers, which by themselves look at the same path only: their user knows what
    was renamed. Files that went are preferred to files that stay.
    """
    if path in pair.old_digests:
        return path
    import difflib

    kind = _letters(Path(path).suffix)
    best: tuple[float, str | None] = (0.0, None)
    for old in pair.old_digests:
        if _letters(Path(old).suffix) != kind or (pair.old / old).stat().st_size < SMALL_BYTES:
            continue
        alike = difflib.SequenceMatcher(None, Path(old).name, Path(path).name).ratio()
        best = max(best, (alike + (old not in pair.new_digests), old), key=lambda each: each[0])
    return best[1]


def _letters(text: str) -> str:
    return "".join(sign for sign in text if not sign.isdigit())


def gone(pair: Pair) -> list[str]:
    """Paths of the old tree that the new one has not."""
    return [path for path in pair.old_digests if path not in pair.new_digests]
