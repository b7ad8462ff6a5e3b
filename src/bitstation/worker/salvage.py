"""What is still right in damaged files: their good blocks, found by the maps of the release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bitstation import host
from bitstation.core.atlas import Atlas
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry
from bitstation.core.planning import Place
from bitstation.storage.tree import PlainPaths
from bitstation.worker.inventory import Names
from bitstation.worker.run import Run


def salvage(
    run: Run, folder: Path, damaged: Iterable[Entry], atlas: Atlas
) -> tuple[dict[bytes, Place], Names]:
    """Where good blocks lie in damaged files, which go by names of their own.

    Raises UpdateCancelled. Cost: one read of each damaged file that has a map.
    """
    plain = PlainPaths(folder)
    places: dict[bytes, Place] = {}
    names: Names = {}
    for entry in damaged:
        blockmap, path = atlas.maps.get(entry.sha256), folder / entry.path
        if blockmap is None or entry.path not in plain or not _is_file(path):
            continue
        # No content has this digest: it stands for whatever the file holds now.
        name = Digest(digest_of(f"damaged {path}".encode()))
        names[name] = [path]
        try:
            with path.open("rb", buffering=0) as file:
                for block in blockmap.blocks():
                    run.stop.check()
                    if hashlib.sha256(file.read(block.length)).digest() == block.digest:
                        places.setdefault(block.digest, (name, block.offset))
        except OSError:
            # What cannot be read here can be fetched; the blocks before it were right.
            continue
    return places, names


def _is_file(path: Path) -> bool:
    try:
        return host.stat_facts(path).is_file
    except OSError:
        return False
