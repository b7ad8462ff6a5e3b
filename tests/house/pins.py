"""What requirements/*.txt pin, in the one form that `python dev.py lock` writes.

Standard library only: the release reads its pins before anything is installed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SETS = sorted((ROOT / "requirements").glob("*.txt"))
ENTRY = re.compile(
    r"(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\n]+?))? +"
    r"(?P<hashes>--hash=sha256:[0-9a-f]{64}(?: +--hash=sha256:[0-9a-f]{64})*)"
)


class Pin(NamedTuple):
    """One package at one version: the digests are of its files, a wheel for each system."""

    name: str
    version: str
    marker: str | None
    sha256: tuple[str, ...]


def entries(path: Path) -> list[str]:
    """One line for each package, its hashes included."""
    joined = path.read_text("utf-8").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def load_pins(path: Path) -> list[Pin]:
    """All pins of a set, in its order; ValueError where a line is none."""
    return [parse_pin(entry) for entry in entries(path)]


def parse_pin(entry: str) -> Pin:
    """The pin that one line states; ValueError where it states none."""
    match = ENTRY.fullmatch(entry.strip())
    if match is None:
        raise ValueError(f"not a hashed pin: {entry[:80]!r}")
    digests = re.findall(r"[0-9a-f]{64}", match["hashes"])
    return Pin(match["name"], match["version"], match["marker"], tuple(digests))
