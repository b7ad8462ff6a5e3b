"""The states of an installed tool, and what the next run does with what an earlier one left.

Decided from facts alone, so that a crash at any moment meets a rule and not a guess.
"""

from __future__ import annotations

import enum

import msgspec


class ToolState(enum.StrEnum):
    """What ``status`` says of a tool."""

    CURRENT = "CURRENT"
    OUTDATED = "OUTDATED"
    DAMAGED = "DAMAGED"
    INTERRUPTED = "INTERRUPTED"
    NO_INSTALLATION = "NO_INSTALLATION"


class Step(enum.StrEnum):
    """How far the journal of the last run got; each is written before the work it names."""

    STAGING = "staging"
    """Files are being placed in staging. Nothing that the user sees has changed."""
    ACTIVATING = "activating"
    """Every file is verified and synced; staging moves into releases, then the pointer."""
    COLLECTING = "collecting"
    """The pointer names the new release; what is no longer needed is being removed."""
    IN_PLACE = "in-place"
    """Files of releases in place are being mended or removed one by one: nothing to finish, but
    a kill may have un-proved a file."""


class Recovery(enum.StrEnum):
    """What to do before anything else."""

    NOTHING = "nothing"
    KEEP_STAGING = "keep-staging"
    """The earlier release is untouched; staging can be resumed."""
    FINISH_ACTIVATION = "finish-activation"
    """Roll forward: the content is proved and durable, only names remain to be moved."""
    FINISH_COLLECTION = "finish-collection"
    DROP_JOURNAL = "drop-journal"
    """The journal names work of which nothing is left to finish: what is active stays."""


class LeftoverFacts(msgspec.Struct, frozen=True):
    """What lies on disk when a run begins."""

    step: Step | None
    """Of the journal; None when there is no journal or no readable record in it."""
    journal_version: str = ""
    pointer_version: str = ""
    staged: bool = False
    """Staging of the journal's version exists."""
    released: bool = False
    """The journal's release folder exists with its manifest (moved last)."""


def decide_recovery(facts: LeftoverFacts) -> Recovery:
    """What the next run does first. Total: every combination of facts has an answer."""
    if facts.step is None:
        return Recovery.NOTHING
    if facts.step is Step.IN_PLACE:
        return Recovery.DROP_JOURNAL
    if facts.pointer_version == facts.journal_version or facts.step is Step.COLLECTING:
        return Recovery.FINISH_COLLECTION
    if facts.step is Step.STAGING:
        return Recovery.KEEP_STAGING if facts.staged else Recovery.DROP_JOURNAL
    return Recovery.FINISH_ACTIVATION if facts.staged or facts.released else Recovery.DROP_JOURNAL


def decide_state(
    *, pointer_version: str | None, leftovers: bool, damaged: bool, required_version: str | None
) -> ToolState:
    """State to show. ``leftovers``: an interrupted run or releases without a pointer to them."""
    if pointer_version is None:
        return ToolState.INTERRUPTED if leftovers else ToolState.NO_INSTALLATION
    if damaged:
        return ToolState.DAMAGED
    if required_version is not None and required_version != pointer_version:
        return ToolState.OUTDATED
    return ToolState.CURRENT
