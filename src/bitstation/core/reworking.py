"""Plans for volumes without room for two copies of a large file: files are remade in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from bitstation.core.digest import Digest
from bitstation.core.manifest import Manifest
from bitstation.core.plan import How, Plan, PlanEntry
from bitstation.core.recipe import Codec, Copy, Fetch, Fill, Segment


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
        origin = _origin(entry, free)
        if origin is not None:
            entries[number] = _reworked(entry, origin, free.pop(origin))
            write_bytes -= min(entry.size_bytes, sizes[origin])
    if write_bytes > room_bytes or write_bytes == plan.write_bytes:
        return plan
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
    segments = tuple(_kept_segments(entry, origin))
    fetch_bytes = sum(each.step.length for each in segments if isinstance(each.step, Fetch))
    return msgspec.structs.replace(
        entry, how=How.REWORK, origin=path, segments=segments, fetch_bytes=fetch_bytes
    )


def _kept_segments(entry: PlanEntry, origin: Digest) -> Iterator[Segment]:
    """Steps that still can be done; what needs another file of this machine is fetched."""
    lengths = entry.blockmap.lengths
    offset = 0
    for segment in entry.segments:
        step, size = segment.step, sum(lengths[segment.first : segment.end])
        is_here = isinstance(step, Copy) and step.blob == origin
        if is_here or isinstance(step, Fetch | Fill):
            yield segment
        else:
            plain = Fetch(Codec.RAW, entry.sha256, offset, size)
            yield Segment(segment.first, segment.count, plain)
        offset += size
