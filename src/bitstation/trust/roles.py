"""The roles of our metadata: their names, what each may sign, how large and how old it may be.

Source: The Update Framework, version 1.0, and TAP 15 (succinct hash bins).
"""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

from bitstation.core.mirror import is_metadata_name

ROOT, TIMESTAMP, SNAPSHOT, TARGETS = "root", "timestamp", "snapshot", "targets"
OWNER_ROLES, ONLINE_ROLES = (ROOT, TARGETS), (TIMESTAMP, SNAPSHOT)
REQUIREMENTS = "requirements"
"""Signed by HQ: which release of a tool it requires, so that a way back is a signed one."""

MAX_ROOT_ROTATIONS = 256
MAX_DELEGATIONS = 32
MAX_BYTES = {ROOT: 512_000, TIMESTAMP: 16_384, SNAPSHOT: 2_000_000}
MAX_TARGETS_BYTES = 5_000_000

BIN_BITS = 8
"""Bins of each publisher: with 1,000 tools the list of bins and one bin are both a few KB."""

OFFLINE_LIFE = timedelta(days=5 * 365)
"""Of what people sign by hand. That nothing newer is held back, the timestamp says every day; a
short life here would only stop a fleet whose publisher is on holiday."""
ONLINE_LIFE = timedelta(days=7)
RENEWED_AFTER = timedelta(days=1)
"""HQ signs anew once its metadata are so old: six days are left to notice that it stopped."""
STATIC_LIFE = timedelta(days=30)
"""Of a folder's metadata, which nobody renews but the next publisher."""
SLACK = timedelta(hours=24)
"""A worker's clock may be so fast: those of PCs with two systems differ by a time zone."""

_PUBLISHER = re.compile(r"[a-z][a-z0-9_]{0,31}")


def release_path(tool_id: str, version: str) -> str:
    """Path under which the manifest of a release is signed."""
    return f"{tool_id}/{version}/manifest.json"


def release_pattern(tools: str) -> str:
    """Paths of all releases of the tools that a pattern (``*``, ``acme-*``) names."""
    return f"{tools}/*/manifest.json"


def requirement_path(tool_id: str) -> str:
    """Path under which HQ signs the requirement for a tool."""
    return f"{REQUIREMENTS}/{tool_id}"


def publisher_fault(name: str) -> str | None:
    """What is wrong with a publisher's name; it has no hyphen, for those end names of bins."""
    if not _PUBLISHER.fullmatch(name):
        return f"{name!r} is no name of a publisher: a letter, then letters, digits or _ (32)"
    if name in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, REQUIREMENTS):
        return f"{name!r} is the name of another role"
    return None


def file_name(role: str, version: int | None = None) -> str:
    """Name of a metadata file; without a version that of the timestamp, whose name never changes.

    A role may be called anything, its file may not: what could be a path is quoted. Raises
    ValueError for a role whose name is too long.
    """
    quoted = quote(role, safe="")
    name = f"{quoted}.json" if version is None else f"{version}.{quoted}.json"
    if not is_metadata_name(name):
        raise ValueError(f"{role[:64]!r} is no name of a role with a file")
    return name


def is_packed(name: str) -> bool:
    """Say whether a file is there packed, too: not what everybody asks for anew each time."""
    return not name.endswith((f".{ROOT}.json", f"{TIMESTAMP}.json"))


def max_bytes(role: str) -> int:
    """Most bytes that metadata of a role may have."""
    return MAX_BYTES.get(role, MAX_TARGETS_BYTES)
