"""What every command costs before it does anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import timing
import workshop
from report import Row


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """--version, and for comparison the interpreter alone and a command that looks around."""
    root = shop.folder / "root"
    version, status, bare = timing.interleaved(
        4 * shop.rounds + 1,
        lambda _round: shop.bitstation("--version"),
        lambda _round: shop.bitstation("status", "--root", root),
        lambda _round: timing.measure([sys.executable, "-c", "pass"]),
    )
    peer = f"python -c pass: {bare.seconds()}"
    yield Row(
        "bitstation --version",
        version.seconds(),
        peer,
        "",
        "< 0.15 s",
        version.median_s < 0.15,
    )
    yield Row("bitstation status, nothing installed", status.seconds(), peer, "", "", None)
