"""The grammar of tool ids and versions, and the order of versions."""

from __future__ import annotations

import re
from collections.abc import Iterable

TOOL_ID_PATTERN = "^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
VERSION_PATTERN = (
    rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$"
)
MAX_VERSION_CHARS = 64

# Windows opens a device instead of a file under these names, with any extension.
RESERVED_STEMS = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"}
)

_TOOL_ID = re.compile(TOOL_ID_PATTERN[1:-1] + r"\Z")
_VERSION = re.compile(VERSION_PATTERN[1:-1] + r"\Z", re.ASCII)


def tool_id_fault(text: object) -> str | None:
    """Say what is wrong with a tool id; None when nothing is."""
    if not isinstance(text, str) or not _TOOL_ID.match(text):
        return (
            f"tool_id {_shown(text)} is not 1 to 64 of a-z 0-9 - _, "
            "beginning and ending with a letter or digit"
        )
    if text in RESERVED_STEMS:
        return f"tool_id {text!r} is a reserved device name on Windows"
    return None


def version_fault(text: object) -> str | None:
    """Say what is wrong with a version (Semantic Versioning 2.0.0, no ``v``); None when nothing."""
    if not isinstance(text, str) or len(text) > MAX_VERSION_CHARS or not _VERSION.match(text):
        return f"version {_shown(text)} is not a semantic version such as 1.2.3 (without 'v')"
    return None


def version_key(version: str) -> tuple[object, ...]:
    """Sort key of a valid version by semver precedence (section 11); build metadata breaks ties.

    The tie-break makes the order total, so that two spellings never compare as equal.
    """
    core, _, build = version.partition("+")
    numbers, _, pre = core.partition("-")
    release = tuple(int(number) for number in numbers.split("."))
    identifiers = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".") if pre
    )
    return (release, (0, *identifiers) if pre else (1,), build)


def is_older(version: str, other: str) -> bool:
    """Say whether ``version`` comes before ``other``."""
    return version_key(version) < version_key(other)


def newest(versions: Iterable[str]) -> str:
    """Version to offer where none is asked for: a pre-release only where there is nothing else."""

    def rank(version: str) -> tuple[bool, tuple[object, ...]]:
        return "-" not in version.partition("+")[0], version_key(version)

    return max(versions, key=rank)


def _shown(text: object) -> str:
    return repr(text)[:80]
