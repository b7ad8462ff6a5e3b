"""What signatures cost a worker who knows a thousand tools: seconds and bytes of an update."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import timing
import webserver
import workshop
from report import Row

_TOOLS = 1000
_UNSIGNED = "--allow-unsigned"

# A place with its keys, in which releases of many tools are signed; their files are nobody's.
_SIGN = """
import sys
from pathlib import Path
from bitstation.testing.signed import SignedShelf
from bitstation.trust.signing import ReleaseName
shelf = SignedShelf(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    tool_id = f"other-tool-{number:04}"
    shelf.place.sign(ReleaseName(tool_id, "1.0.0", f"manifest of {tool_id}".encode()))
"""
# What a worker checks before an update, from what it believed then; imports are not counted.
_CHECK = """
import sys, time
from pathlib import Path
from bitstation.transport.hq import HqClient, HqSource
from bitstation.trust.authorize import reading
from bitstation.trust.chain import Chain
from bitstation.trust.pins import Pins
from bitstation.trust.roles import release_path
pins, url, tool_id, version = sys.argv[1:]
source = HqSource(HqClient(url))
began = time.perf_counter()
chain = Chain(Pins(Path(pins)).load(), reading(source))
chain.refresh()
found = chain.find(release_path(tool_id, version))
seconds = time.perf_counter() - began
assert found
print(seconds)
"""


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """A row each for checking, for the process around it, and for bytes."""
    tools = shop.of(_TOOLS, 50)
    signed = _Signed(shop, tools)
    with webserver.nginx(shop.folder / "nginx", root=signed.shelf) as server:
        signed.join(server)
        plain, pinned = timing.interleaved(
            shop.rounds,
            lambda _round: signed.update(server, "plain", _UNSIGNED),
            lambda _round: signed.update(server, "pinned"),
        )
    pairs = zip(pinned.runs, plain.runs, strict=True)
    added_s = statistics.median(ours.wall_s - bare.wall_s for ours, bare in pairs)
    check_s = statistics.median(signed.check_s)
    most_bytes = max(signed.metadata_bytes)
    subject = f"{tools:,} tools signed, one release more"
    yield Row(
        f"{subject}: checking",
        f"{1000 * check_s:.1f} ms, at most {1000 * max(signed.check_s):.1f}",
        "",
        f"{1000 * check_s:.1f} ms",
        "< 50 ms",
        shop.judged(check_s < 0.05),
    )
    yield Row(
        f"{subject}: update of 3 files",
        pinned.seconds(),
        f"{_UNSIGNED}: {plain.seconds()}",
        f"{added_s:.3f} s more",
        "< 0.2 s more",
        shop.judged(added_s < 0.2),
    )
    yield Row(
        f"{subject}: metadata on the wire",
        f"{min(signed.metadata_bytes):,}-{most_bytes:,} B",
        "",
        f"{most_bytes:,} B, requests and headers included",
        "< 5,000 B",
        shop.judged(most_bytes < 5000),
    )


class _Signed:
    """A folder of signed releases, and two workers that follow it: one believes a root."""

    def __init__(self, shop: workshop.Workshop, tools: int) -> None:
        self._shop = shop
        self.shelf = shop.folder / "shelf"
        self.check_s: list[float] = []
        self.metadata_bytes: list[int] = []
        timing.measure([sys.executable, "-c", _SIGN, self.shelf, str(tools - 1)])
        self._tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0")
        self._patch = 0
        self._publish()

    def join(self, server: webserver.WebServer) -> None:
        """Install the first release for both."""
        self._shop.bitstation("join", server.url, "--root", self._root("pinned"), "--yes")
        for name, words in (("plain", (_UNSIGNED,)), ("pinned", ())):
            self._shop.bitstation(*self._words(server, name), *words)

    def update(self, server: webserver.WebServer, name: str, *words: str) -> timing.Measured:
        """Bring a worker to a release; it is published when the first of the two asks."""
        if name == "plain":
            self._patch += 1
            workshop.next_release(self._tool, self._version)
            self._publish()
            return self._shop.bitstation(*self._words(server, name), *words)
        pins = self._root(name) / ".bitstation/trust.json"
        check = [sys.executable, "-c", _CHECK, pins, server.url, workshop.TOOL_ID, self._version]
        self.check_s.append(float(timing.measure(check).stdout))
        before = len(server.log.read_text("utf-8"))
        done = self._shop.bitstation(*self._words(server, name), *words)
        lines = server.log.read_text("utf-8")[before:].splitlines()
        self.metadata_bytes.append(sum(_bytes_of(line) for line in lines))
        return done

    @property
    def _version(self) -> str:
        return f"1.0.{self._patch}"

    def _publish(self) -> None:
        self._shop.bitstation("manifest", self._tool, "-q")
        keys = ("--keys", self.shelf / "keys")
        self._shop.bitstation("publish", self._tool, "--to", self.shelf, *keys, "-q")

    def _root(self, name: str) -> Path:
        return self._shop.folder / name

    def _words(self, server: webserver.WebServer, name: str) -> tuple[str | Path, ...]:
        root = ("--root", self._root(name))
        return ("update", workshop.TOOL_ID, "--hq", server.url, *root, "-q")


def _bytes_of(line: str) -> int:
    """Bytes both ways of a request for metadata; 0 for any other."""
    sent, received, target = line.split()
    return int(sent) + int(received) if target.startswith("/metadata/") else 0
