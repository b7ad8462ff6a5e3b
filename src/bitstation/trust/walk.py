"""Where a place's roots are, for who pins one now and needs none of the earlier ones."""

from __future__ import annotations

from bitstation.trust.believed import ReadMetadata
from bitstation.trust.roles import MAX_ROOT_ROTATIONS, ROOT, file_name, max_bytes


def newest_root(read: ReadMetadata) -> bytes | None:
    """The newest root of a place; None where there is none. It is only read, not believed."""
    data: bytes | None = None
    for version in range(1, MAX_ROOT_ROTATIONS + 2):
        found = read(file_name(ROOT, version), max_bytes(ROOT))
        if found is None:
            break
        data = found
    return data
