"""Metadata that a machine keeps between its runs; needs no library of signatures to be read."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bitstation.core.canonical import parse_json

ReadMetadata = Callable[[str, int], bytes | None]
"""Gives the metadata file of a name, of at most so many bytes; None where there is none."""


class Believed(msgspec.Struct, frozen=True):
    """Metadata that were verified once, as bytes; what a worker keeps between its runs."""

    root: bytes
    timestamp: bytes = b""
    snapshot: bytes = b""
    targets: dict[str, bytes] = {}
    """Of the role ``targets`` and of those it delegates to."""


def version_in(data: bytes) -> int | None:
    """Version of metadata that were verified before; None where there are none."""
    document = parse_json(data) if data else None
    signed = document.get("signed") if isinstance(document, dict) else None
    version = signed.get("version") if isinstance(signed, dict) else None
    return version if isinstance(version, int) else None
