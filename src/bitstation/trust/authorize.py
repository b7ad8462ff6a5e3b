"""The one question before an install: whether this release may run here."""

from __future__ import annotations

import enum

from bitstation.core.manifest import Manifest


class Grounds(enum.StrEnum):
    """Why a release is allowed."""

    UNSIGNED = "unsigned"
    """No signing root is known to this worker: whoever controls the source decides."""


def authorize(manifest: Manifest, manifest_bytes: bytes) -> Grounds:
    """Say on which grounds a release may be installed.

    Releases carry no signatures yet, so every well-formed one is allowed, and the caller says so.
    """
    return Grounds.UNSIGNED
