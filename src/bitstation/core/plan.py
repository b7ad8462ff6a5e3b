"""The whole ordered work of one update, as one serialisable value.

``--dry-run`` prints it, resume reloads it, execution consumes it. Whole files are copied or
fetched; a file that is partly here is built from segments, each a run of blocks of its map and the
step that gives them.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Annotated

import msgspec

from bitstation.core.blockmap import BlockMap, parse_blockmap, whole_map
from bitstation.core.canonical import MAX_INTEGER
from bitstation.core.digest import HEX_PATTERN, Digest
from bitstation.core.recipe import MAX_PATCH_BYTES, Codec, Copy, Fetch, Fill, Patch, Segment, Step
from bitstation.errors import ManifestError, StoreCorrupt

PLAN_VERSION = 2


class How(enum.StrEnum):
    """How a file comes into being."""

    COPY = "copy"
    """Whole, from a local file of that content."""
    FETCH = "fetch"
    """Whole, from a source."""
    BUILD = "build"
    """From segments."""
    REWORK = "rework"
    """Out of a file of the release that is given up, in place: for want of room for both."""


class PlanEntry(msgspec.Struct, frozen=True, dict=True):
    """One file of the target. ``segments`` and ``map`` (encoded) are those of a BUILD.

    ``fetch_bytes`` are the bytes that come from a source for it, inline ones included. ``origin``
    is the path of the file that a REWORK begins with.
    """

    path: str
    sha256: Annotated[Digest, msgspec.Meta(pattern=HEX_PATTERN)]
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
    executable: bool
    how: How
    fetch_bytes: int = 0
    segments: tuple[Segment, ...] = ()
    map: bytes = b""
    origin: str = ""

    @property
    def is_download(self) -> bool:
        """Say whether any byte of it must come from a source."""
        return self.fetch_bytes > 0

    @cached_property
    def blockmap(self) -> BlockMap:
        """Its map; of a file that is one block, made up here. Raises ManifestError.

        Read once: the plan, what builds by it and the report ask for it.
        """
        if not self.map:
            return whole_map(self.sha256, self.size_bytes)
        found = parse_blockmap(self.map, what=f"the map of {self.path}")
        if (found.file_digest, found.size_bytes) != (self.sha256, self.size_bytes):
            raise ManifestError.of(f"the map of {self.path}", ["it is of another file"])
        return found

    @property
    def reuse_bytes(self) -> int:
        """Content that is made of what is here: copies, fillings, and patches less their size."""
        if self.how is How.COPY:
            return self.size_bytes
        reused, lengths = 0, self.blockmap.lengths if self.segments else ()
        for segment in self.segments:
            size = sum(lengths[segment.first : segment.end])
            match segment.step:
                case Copy() | Fill():
                    reused += size
                case Patch():
                    reused += max(0, size - segment.step.length)
        return reused

    def fetched(self) -> Iterator[Segment]:
        """Segments that need bytes from a source."""
        return (each for each in self.segments if isinstance(each.step, Fetch | Patch))


class Plan(msgspec.Struct, frozen=True):
    """What an update will do.

    ``download_bytes`` are bytes on the wire, ``reuse_bytes`` content that is made of what is here;
    packed blocks make the two less than the whole.
    """

    tool_id: str
    from_version: str | None
    to_version: str
    manifest_hash: Digest
    entries: tuple[PlanEntry, ...]
    deleted: tuple[str, ...]
    download_files: int
    unchanged_files: int
    download_bytes: int
    reuse_bytes: int
    total_bytes: int
    write_bytes: int
    """Bytes that will newly take space: downloads, and copies where nothing can be shared."""
    given_up: str | None = None
    """Version of the release whose files are reworked: it is gone before the new one is whole."""
    inline: bytes = b""
    """Payloads of steps whose blob is INLINE."""
    plan_version: int = PLAN_VERSION

    def encode(self) -> bytes:
        """JSON form; bytes are base64."""
        return msgspec.json.encode(self)


def parse_plan(data: bytes, path: str) -> Plan:
    """Plan from its JSON form. Raises StoreCorrupt."""
    try:
        plan = msgspec.json.decode(data, type=Plan)
        if plan.plan_version != PLAN_VERSION:
            raise StoreCorrupt(path=path, detail=f"plan version {plan.plan_version} is not known")
        _check(plan)
    except (msgspec.MsgspecError, UnicodeError, ManifestError) as error:
        raise StoreCorrupt(path=path, detail=str(error)) from error
    return plan


def _check(plan: Plan) -> None:
    """Each file can be built, of what lies here or of files before it. Raises ManifestError."""
    unmade = {entry.sha256 for entry in plan.entries if entry.how is not How.COPY}
    # What is remade in place is so when all else is there.
    for entry in sorted(plan.entries, key=lambda entry: entry.how is How.REWORK):
        fault = _fault(entry, unmade) if entry.how in (How.BUILD, How.REWORK) else ""
        if fault:
            raise ManifestError.of(f"the plan of {entry.path}", [fault])
        unmade.discard(entry.sha256)


def _fault(entry: PlanEntry, unmade: Collection[Digest]) -> str:
    end, blockmap = 0, entry.blockmap
    for segment in entry.segments:
        if segment.first != end or segment.count < 1:
            return "its segments do not join"
        if fault := _fault_of(segment.step, unmade):
            return fault
        end = segment.end
    if end != len(blockmap):
        return "its segments do not cover it"
    # Of a file of one block nothing is proved but that block.
    is_whole = end != 1 or blockmap.digest(0).hex() == entry.sha256
    return "" if is_whole else "its one block is not the file"


def _fault_of(step: Step, unmade: Collection[Digest]) -> str:
    match step:
        case Copy() if step.blob in unmade:
            # It would wait for itself, or for one that waits for it.
            return "it copies from a file that is not built before it"
        case Fetch(codec=Codec.RAW):
            return ""
        case Fetch() | Patch() if step.length > MAX_PATCH_BYTES:
            return f"a span of {step.length} bytes"
    return ""
