"""Build one workload: python -m corpus LETTER SCALE FOLDER CACHE STAMP (corpus.have calls it)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import workshop

from corpus import Missing

# A day apart, so that a peer that looks at size and time alone sees what changed.
_OLD_DAY_S = 1_767_225_600
_NEW_DAY_S = _OLD_DAY_S + 86_400


class Order(NamedTuple):
    """What to build: sizes are scaled, ``cache`` keeps what was downloaded or trained."""

    letter: str
    scale: float
    old: Path
    new: Path
    cache: Path


def main() -> int:
    """Build, make both trees tool folders, list digests."""
    letter, scale, folder, cache, stamp = sys.argv[1:]
    order = Order(letter, float(scale), Path(folder) / "old", Path(folder) / "new", Path(cache))
    for side in (order.old, order.new):
        side.mkdir(parents=True)
    try:
        builder(letter)(order)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    if letter != "H":
        workshop.write_tool(order.old, "1.0.0", small_files=0)
    workshop.write_tool(order.new, "1.0.0" if letter == "A" else "1.0.1", small_files=0)
    old, new = digests(order.old), digests(order.new)
    for side, listed in ((order.old, old), (order.new, new)):
        for path, digest in listed.items():
            day_s = _OLD_DAY_S if old.get(path) == digest else _NEW_DAY_S
            os.utime(side / path, (day_s, day_s))
    listing = {"stamp": stamp, "old": old, "new": new}
    (Path(folder) / "digests.json").write_text(json.dumps(listing, indent=1), "utf-8")
    return 0


def builder(letter: str) -> Callable[[Order], None]:
    """What builds a workload; imported alone, for each needs other packages."""
    if letter in "ABH":
        from corpus import trees

        return {"A": trees.same, "B": trees.few_files, "H": trees.first}[letter]
    if letter in "CDF":
        from corpus import gguf_files

        return {"C": gguf_files.metadata, "D": gguf_files.second, "F": gguf_files.renamed}[letter]
    if letter in ("E", "E2"):
        from corpus import finetunes

        return finetunes.short if letter == "E" else finetunes.long
    if letter == "G":
        from corpus import wheels

        return wheels.next_version
    from corpus import minilm

    return minilm.trained


def digests(tree: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    found = {}
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(tree).as_posix()] = digest
    return found


if __name__ == "__main__":
    sys.exit(main())
