"""May this worker take network jobs of a tool: three answers, and the reasons for them.

Warm-up of a GPU is no argument of the decision, so it can never make anyone eligible.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from bitstation.core.digest import Digest


class Eligibility(enum.StrEnum):
    """The answer; compares equal to its name as a string."""

    ELIGIBLE = "ELIGIBLE"
    OUTDATED = "OUTDATED"
    NO_INSTALLATION = "NO_INSTALLATION"


class Reason(enum.StrEnum):
    """Why a tool is not eligible."""

    NOT_INSTALLED = "NOT_INSTALLED"
    VERSION_DIFFERS = "VERSION_DIFFERS"
    HASH_DIFFERS = "HASH_DIFFERS"
    DAMAGED = "DAMAGED"
    INTERRUPTED = "INTERRUPTED"


class InstalledFacts(msgspec.Struct, frozen=True):
    """What was found on disk, the hash recomputed.

    ``unproved`` are paths whose content neither the ledger nor hashing proves.
    """

    version: str
    manifest_hash: Digest
    unproved: tuple[str, ...] = ()


def decide_eligibility(
    installed: InstalledFacts | None,
    *,
    required_version: str,
    required_hash: str,
    interrupted: bool = False,
) -> tuple[Eligibility, Sequence[Reason]]:
    """ELIGIBLE only for exactly the required version and hash with every file proved."""
    if installed is None:
        reason = Reason.INTERRUPTED if interrupted else Reason.NOT_INSTALLED
        return Eligibility.NO_INSTALLATION, (reason,)
    reasons = []
    if installed.version != required_version:
        reasons.append(Reason.VERSION_DIFFERS)
    if installed.manifest_hash != required_hash:
        reasons.append(Reason.HASH_DIFFERS)
    if installed.unproved:
        reasons.append(Reason.DAMAGED)
    return (Eligibility.OUTDATED if reasons else Eligibility.ELIGIBLE), tuple(reasons)
