"""zstd frames, patches and packed blocks: four bytes of size, and then the frame."""

from __future__ import annotations

from bitstation.codec.blocks import pack_block, unpack_block
from bitstation.codec.zstd import ZstdFault, apply_patch, decompress, patch_from
from bitstation.core.recipe import Codec

BASE = bytes(range(256)) * 16


def check(data: bytes) -> bool:
    """A result has exactly the size asked for, and what was packed comes back."""
    size_bytes, frame = int.from_bytes(data[:3], "little"), data[3:]
    taken = False
    for codec in Codec:
        try:
            content = unpack_block(frame, codec, size_bytes)
        except ZstdFault:
            continue
        assert len(content) == size_bytes
        taken = True
    for base in (b"", BASE):
        try:
            assert len(apply_patch(base, frame, size_bytes)) == size_bytes
            taken = True
        except ZstdFault:
            pass
    _packed(frame[:4096])
    return taken


def _packed(content: bytes) -> None:
    for codec in Codec:
        assert unpack_block(pack_block(content, codec), codec, len(content)) == content
    assert apply_patch(BASE, patch_from(BASE, content, 1), len(content)) == content
    assert decompress(pack_block(content, Codec.ZSTD), len(content)) == content
