"""Which releases stay on a worker."""

from __future__ import annotations

from collections.abc import Sequence

DEFAULT_KEPT = 1
"""Releases kept for rollback beside the active one."""


def decide_retired(
    kept: Sequence[str], current: str | None, previous: str | None, keep: int = DEFAULT_KEPT
) -> list[str]:
    """Versions that may go: all but the active one and ``keep`` others, first the one before it.

    ``kept`` is sorted newest first. Without an active release nothing goes.
    """
    if current is None:
        return []
    others = [version for version in kept if version != current]
    if previous in others:
        others.remove(previous)
        others.insert(0, previous)
    return others[keep:]
