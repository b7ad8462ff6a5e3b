"""Plans for volumes without room for two copies of a large file: files are remade in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.core.plan import How, Plan, PlanEntry
from bitstation.core.recipe import Codec, Copy, Fetch, Fill, Patch, Segment, Step


def plan_rework(plan: Plan, base: Manifest, alone: Mapping[Digest, str], room_bytes: int) -> Plan:
    """The plan with as few files reworked as fit into ``room_bytes``, the largest first.

    ``alone`` are files of the base (digest: path) that have no other name anywhere. The plan comes
    back as it is when it fits, or when reworking does not make it fit.
    """
    entries = list(plan.entries)
    write_bytes = plan.write_bytes
    kept = {entry.sha256 for entry in entries if entry.how is How.COPY}
    free = {digest: path for digest, path in alone.items() if digest not in kept}
    sizes = {entry.sha256: entry.size for entry in base.entries}
    for number in sorted(range(len(entries)), key=lambda number: -entries[number].size_bytes):
        if write_bytes <= room_bytes:
            break
        entry = entries[number]
        # What another entry copies whole must be there before all else is.
        origin = None if entry.sha256 in kept else _origin(entry, free)
        if origin is not None:
            entries[number] = _reworked(entry, origin, free.pop(origin))
            write_bytes -= min(entry.size_bytes, sizes[origin])
    if write_bytes > room_bytes or write_bytes == plan.write_bytes:
        return plan
    late = {entry.sha256 for entry in entries if entry.how is How.REWORK}
    entries = [_without(entry, late) for entry in entries]
    fetched = sum(entry.fetch_bytes for entry in entries)
    return msgspec.structs.replace(
        plan,
        entries=tuple(entries),
        write_bytes=write_bytes,
        download_bytes=fetched,
        given_up=base.tool_version,
    )


def _origin(entry: PlanEntry, free: Mapping[Digest, str]) -> Digest | None:
    """The file that gives most of an entry, when it gives half at least."""
    if entry.how is not How.BUILD:
        return None
    lengths, given = entry.blockmap.lengths, Counter[Digest]()
    for segment in entry.segments:
        if isinstance(segment.step, Copy) and segment.step.blob in free:
            given[segment.step.blob] += sum(lengths[segment.first : segment.end])
    best, size_bytes = max(given.items(), key=lambda item: item[1], default=(None, 0))
    return best if 2 * size_bytes >= entry.size_bytes else None


def _reworked(entry: PlanEntry, origin: Digest, path: str) -> PlanEntry:
    def can_be_done(step: Step) -> bool:
        """What needs another file of this machine is fetched."""
        is_here = isinstance(step, Copy) and step.blob == origin
        return is_here or isinstance(step, Fetch | Fill)

    return msgspec.structs.replace(_of(entry, can_be_done), how=How.REWORK, origin=path)


def _without(entry: PlanEntry, late: Collection[Digest]) -> PlanEntry:
    """An entry that does not copy from files that are remade when all else is there."""
    if entry.how is not How.BUILD:
        return entry
    return _of(entry, lambda step: not (isinstance(step, Copy) and step.blob in late))


def _of(entry: PlanEntry, can_be_done: Callable[[Step], bool]) -> PlanEntry:
    segments = tuple(_kept_segments(entry, can_be_done))
    steps = (each.step for each in segments)
    fetch_bytes = sum(step.length for step in steps if isinstance(step, Fetch | Patch))
    return msgspec.structs.replace(entry, segments=segments, fetch_bytes=fetch_bytes)


def _kept_segments(entry: PlanEntry, can_be_done: Callable[[Step], bool]) -> Iterator[Segment]:
    """Steps that still can be done; the blocks of the others are fetched plainly."""
    lengths = entry.blockmap.lengths
    offset = 0
    for segment in entry.segments:
        step, size = segment.step, sum(lengths[segment.first : segment.end])
        if can_be_done(step):
            yield segment
        else:
            plain = Fetch(Codec.RAW, entry.sha256, offset, size)
            yield Segment(segment.first, segment.count, plain)
        offset += size
