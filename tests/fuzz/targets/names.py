"""Tool ids and versions, one a line, and the names of a publication that are made of them."""

from __future__ import annotations

from itertools import combinations

from bitstation.core.assets import is_asset_name, package_name
from bitstation.core.names import is_older, newest, tool_id_fault, version_fault, version_key


def check(data: bytes) -> bool:
    """Versions that pass have one order, and names that pass make names of packages."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")[:8]
    versions = [line for line in lines if version_fault(line) is None]
    ids = [line for line in lines if tool_id_fault(line) is None]
    for one, other in combinations(versions, 2):
        assert is_older(one, other) + is_older(other, one) == (one != other)
    if versions:
        assert newest(versions) in versions
        in_order = sorted(versions, key=version_key)
        assert in_order == sorted(reversed(versions), key=version_key)
    for tool_id in ids:
        assert tool_id.isascii()
        for version in versions:
            assert is_asset_name(package_name(tool_id, version))
    return bool(versions or ids)
