"""The targets and the inputs that the tree holds for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

Check = Callable[[bytes], bool]
"""Says whether an input was taken; whatever leaves it is a finding."""

HERE = Path(__file__).parent
TARGETS = tuple(sorted(path.stem for path in (HERE / "targets").glob("*.py")))


def load(target: str) -> Check:
    """The check of a target."""
    check: Check = importlib.import_module(f"tests.fuzz.targets.{target}").check
    return check


def corpus(target: str) -> dict[str, bytes]:
    """Inputs by name: seeds, and what was found once."""
    return {path.name: path.read_bytes() for path in sorted((HERE / "corpus" / target).iterdir())}
