"""Atlases: maps and recipes of a release."""

from __future__ import annotations

from bitstation.core.atlas import encode_atlas, parse_atlas
from bitstation.errors import ManifestError


def check(data: bytes) -> bool:
    """What is written is read as it was, and no recipe leaves its file."""
    try:
        found = parse_atlas(data)
    except ManifestError:
        return False
    written = encode_atlas(found)
    assert parse_atlas(written) == found
    assert encode_atlas(parse_atlas(written)) == written
    for digest, recipe in found.recipes.items():
        blocks = len(found.maps[digest]) if digest in found.maps else 1
        assert all(segment.end <= blocks for segment in recipe)
    assert all(len(pack) == 64 for pack in found.packs)
    return True
