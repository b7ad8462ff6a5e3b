"""Block maps."""

from __future__ import annotations

from bitstation.core.blockmap import MAX_BLOCK_BYTES, encode_blockmap, parse_blockmap
from bitstation.errors import ManifestError


def check(data: bytes) -> bool:
    """What is read is written byte for byte, and its blocks cover the file."""
    try:
        found = parse_blockmap(data)
    except ManifestError:
        return False
    assert encode_blockmap(found) == data
    end = 0
    for block in found.blocks():
        assert block.offset == end
        assert 0 < block.length <= MAX_BLOCK_BYTES
        assert len(block.digest) == 32
        end += block.length
    assert end == found.size_bytes
    last = 0
    for group in found.groups:
        assert last <= group.first
        assert group.count >= 2
        last = group.first + group.count
    assert last <= len(found)
    return True
