"""An update that is killed again and again: what it makes the server send in all."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import timing
import wire
import workshop
from releases import Releases
from report import Row, megabytes

_KILLS = 20
_UNBROKEN_S = 30
# Below this Python itself is being started.
_LEAST_RUN_S = 0.4


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """One row. The link is slow, so that a kill meets the transfer and not the disk."""
    size = shop.of(400_000_000, 40_000_000)
    kills = shop.of(_KILLS, 4)
    seconds = shop.of(_UNBROKEN_S, 6)
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0", small_files=4)
    for number in range(4):
        workshop.write_dense(tool / f"models/part-{number}.bin", size // 4)
    releases = Releases(shop, shop.folder / "releases")
    with releases.serve() as server, wire.counted(server.port, size / seconds) as link:
        releases.publish(tool)
        root = shop.folder / "unbroken"
        began_s = time.monotonic()
        whole = _sent(link, lambda: _finish(shop, link, root))
        unbroken_s = time.monotonic() - began_s
        workshop.settle(root)
        broken = shop.folder / "broken"
        died: list[bool] = []

        def again() -> None:
            died.extend(_killed(link, broken, kills, unbroken_s))
            _finish(shop, link, broken)

        sent = _sent(link, again)
        _prove(tool, broken)
    more = sent / whole - 1
    yield Row(
        f"an update of {size / 1e6:.0f} MB killed {sum(died)} times at random moments",
        f"{megabytes(sent)} sent in all",
        f"unbroken: {megabytes(whole)}",
        f"{more:+.2%}",
        "<= 1 % more",
        shop.judged(more <= 0.01 and all(died)),
    )


def _words(link: wire.Wire, root: Path) -> list[str]:
    words = [
        "update",
        workshop.TOOL_ID,
        "--allow-unsigned",
        "--hq",
        link.url,
        "--root",
        str(root),
        "-q",
    ]
    return [*workshop.BITSTATION, *words]


def _finish(shop: workshop.Workshop, link: wire.Wire, root: Path) -> timing.Measured:
    return timing.measure(_words(link, root), {"BITSTATION_CACHE_DIR": str(shop.cache)})


def _killed(link: wire.Wire, root: Path, kills: int, seconds: float) -> Iterator[bool]:
    """Kill the update at moments that a fixed seed gives. Whether it was still running then."""
    chance = random.Random(1)
    for _ in range(kills):
        # All of them together stay below what the transfer takes, however much each loses.
        life_s = _LEAST_RUN_S + chance.random() * 0.8 * seconds / kills
        process = subprocess.Popen(
            _words(link, root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(life_s)
            yield False
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            yield True


def _sent(link: wire.Wire, action: Callable[[], object]) -> int:
    """Bytes that the link took for workers while something happened."""
    before = link.down_bytes
    action()
    return link.down_bytes - before


def _prove(tool: Path, root: Path) -> None:
    from corpus.__main__ import digests

    ours = digests(root / workshop.TOOL_ID / "releases" / "v1.0.0")
    if ours != digests(tool):
        raise timing.Failed("what was resumed is not what was published")
