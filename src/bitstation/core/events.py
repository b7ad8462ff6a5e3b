"""Progress as one stream of frozen events; every display, log and number is a listener.

``run_id`` names one run of the engine (later the idempotency key of its report to HQ), ``seq``
counts its events from 0, ``at_s`` is monotonic time in seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, gc=False):
    """Envelope of every event.

    ``phase`` is the kind of work under way (see PhaseChanged); ``source`` is named where bytes of
    the event came from one.
    """

    run_id: str
    seq: int
    at_s: float
    tool_id: str
    phase: str = ""
    source: str = ""


class RunStarted(Event, frozen=True, kw_only=True):
    """An update, repair or rollback of a tool begins; versions carry no ``v``."""

    command: str
    from_version: str | None
    to_version: str
    manifest_hash: str
    resumed: bool = False


class UnsignedAllowed(Event, frozen=True, kw_only=True):
    """The release is not signed by who was pinned, and was allowed.

    ``grounds``: unsigned (by the user's word), or caller (the program that embeds us gave it).
    """

    version: str
    grounds: str = "unsigned"


class SignatureVerified(Event, frozen=True, kw_only=True):
    """The manifest is the one that a publisher signed, whom the pinned root names."""

    version: str
    publisher: str


class GuardLowered(Event, frozen=True, kw_only=True):
    """A switch that lowers the guard was used: legacy, allow-downgrade."""

    switch: str
    detail: str = ""


class FolderExposed(Event, frozen=True, kw_only=True):
    """Others may write in a folder of the tools root, and so decide what runs.

    The run goes on: to refuse it would leave an older release where they may write as well.
    """

    folder: str


class PhaseChanged(Event, frozen=True, kw_only=True):
    """Work of another kind begins: diff, fetch, reuse, verify, activate, mend, collect.

    ``hash`` is reading of local files inside any of these.
    """

    total_bytes: int = 0
    total_files: int = 0


class PlanReady(Event, frozen=True, kw_only=True):
    """What is going to happen, before the first byte."""

    download_files: int
    unchanged_files: int
    delete_files: int
    download_bytes: int
    reuse_bytes: int
    total_bytes: int
    write_bytes: int


class TransferProgress(Event, frozen=True, kw_only=True):
    """Bytes of the phase that are done; sent as blocks arrive."""

    done_bytes: int


class BodyReceived(Event, frozen=True, kw_only=True):
    """Body bytes received from a source for one file, also when they were later dropped."""

    body_bytes: int


class EntryPlaced(Event, frozen=True, kw_only=True):
    """A file of the release is complete in staging.

    ``how`` is fetched, built (of local and fetched parts), copied, linked, cloned, or kept (an
    interrupted run left it complete). ``source`` is named only when bytes of it came from there;
    ``reused_bytes`` did not.
    """

    path: str
    size_bytes: int
    how: str
    reused_bytes: int = 0


class EntryVerified(Event, frozen=True, kw_only=True):
    """A file is proved; ``by_hash`` when its bytes were hashed in this run, else by the ledger."""

    path: str
    by_hash: bool


class IntegrityFailed(Event, frozen=True, kw_only=True):
    """Bytes were not what they should be; ``healed`` when they are fetched again."""

    path: str
    healed: bool


class SourceFailed(Event, frozen=True, kw_only=True):
    """A request failed and is tried again."""

    code: str
    attempt: int


class ReleaseActivated(Event, frozen=True, kw_only=True):
    """The pointer names this release now."""

    version: str
    manifest_hash: str
    deleted_files: int


class ReleaseKept(Event, frozen=True, kw_only=True):
    """An earlier release stays for rollback."""

    version: str


class ReleaseRetired(Event, frozen=True, kw_only=True):
    """An earlier release was removed; unlisted files were set aside or deleted by policy."""

    version: str
    set_aside: int
    destroyed: int
    folder: str = ""


class RetireDeferred(Event, frozen=True, kw_only=True):
    """An earlier release stays for now: ``why`` is asked (policy manual) or in-use."""

    version: str
    why: str
    files: int = 0


class FilesCarried(Event, frozen=True, kw_only=True):
    """Unlisted files matching ignore_globs were copied into the new release."""

    files: int
    size_bytes: int


class RunFinished(Event, frozen=True, kw_only=True):
    """The last event: ``outcome`` is done, nothing-to-do or an error code."""

    outcome: str
    activated: bool
    seconds: float


Listener = Callable[[Event], None]
