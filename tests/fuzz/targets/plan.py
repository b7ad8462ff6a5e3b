"""The plan of an update as it lies on the disk."""

from __future__ import annotations

from bitstation.core.plan import How, parse_plan
from bitstation.errors import StoreCorrupt


def check(data: bytes) -> bool:
    """What is built covers its file; what is written is read as it was."""
    try:
        plan = parse_plan(data, "plan")
    except StoreCorrupt:
        return False
    assert parse_plan(plan.encode(), "plan") == plan
    for entry in plan.entries:
        if entry.how in (How.BUILD, How.REWORK):
            assert sum(segment.count for segment in entry.segments) == len(entry.blockmap)
            assert 0 <= entry.reuse_bytes <= entry.size_bytes
            assert all(segment in entry.segments for segment in entry.fetched())
    return True
