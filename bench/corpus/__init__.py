"""The workloads A to H: pairs of trees, old and new, each a tool folder; built once and kept.

What a machine lacks for a workload (packages that cannot be had, no torch) makes that workload
Missing, with the reason; it never becomes other data under the same letter.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

# Letter -> what changes between old and new.
TITLES = {
    "A": "nothing changed",
    "B": "3 of 100 files",
    "C": "metadata of a GGUF",
    "D": "a second quantisation",
    "E": "bf16 fine-tune, noise 1e-3",
    "E2": "bf16 fine-tune, noise 1e-2",
    "Em": "real fine-tune, bf16",
    "Ef": "real fine-tune, f32",
    "F": "a model renamed",
    "G": "three wheels, next version",
    "H": "first install",
}


class Missing(Exception):
    """A workload cannot be built here; the message says why."""


class Pair(NamedTuple):
    """A workload: two trees, and for each the digest of every file in it."""

    letter: str
    old: Path
    new: Path
    old_digests: dict[str, str]
    new_digests: dict[str, str]

    @property
    def title(self) -> str:
        """What changes."""
        return TITLES[self.letter]

    @property
    def new_bytes(self) -> int:
        """Size of the new tree."""
        return sum((self.new / path).stat().st_size for path in self.new_digests)

    @property
    def version(self) -> str:
        """Version of the new tree."""
        return str(json.loads((self.new / "tool.json").read_text("utf-8"))["version"])

    @property
    def changed(self) -> list[str]:
        """Paths whose bytes are not those of the old tree at the same path."""
        digests = self.new_digests.items()
        return [path for path, digest in digests if self.old_digests.get(path) != digest]


def have(letter: str, scale: float, cache: Path) -> Pair:
    """The workload at a scale, 1 being the sizes of RESULTS.md; built when not in the cache.

    Another process builds it: peak memory of what is measured later counts from ours.
    Raises Missing. Cost: up to 2 GB of disk, seconds to a minute; Em and Ef train a model.
    """
    folder = cache / f"{letter}-{scale:g}"
    listing = folder / "digests.json"
    stamp = _stamp()
    listed = json.loads(listing.read_text("utf-8")) if listing.exists() else {}
    if listed.get("stamp") != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        words = [sys.executable, "-m", "corpus", letter, str(scale), folder, cache, stamp]
        built = subprocess.run(
            [str(word) for word in words], cwd=HERE.parent, capture_output=True, check=False
        )
        if built.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            said = built.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Missing(said[-1] if said else f"exit {built.returncode}")
        listed = json.loads(listing.read_text("utf-8"))
    return Pair(letter, folder / "old", folder / "new", listed["old"], listed["new"])


def _stamp() -> str:
    """Changes with the code that builds, and with the Python whose library is part of the data."""
    sources = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
    return hashlib.sha256(sources + sys.version.encode()).hexdigest()
