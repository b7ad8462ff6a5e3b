"""zstd frames and patches: each states its size, and nothing grows beyond the size asked for.

Source: RFC 8878; zstd manual, ``ZSTD_CCtx_refPrefix`` (patches are frames with a base as prefix).
Python 3.14 has zstd in its standard library, ``backports.zstd`` is the same code for 3.11 to 3.13.

Memory beyond arguments and result, measured: to decompress or to apply, the size of the result
(zstd's window) and of the base (zstd keeps a copy); to compress, the size of the result and 10 MiB;
to make a patch, the sizes of the base and of the result and 80 MiB. A bare process that makes the
largest patch allowed, all bytes in its memory, took 268 MiB; one that applies it 211 MiB.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Bytes = bytes | bytearray | memoryview

MAX_SIZE_BYTES = 64 << 20
"""Of the content of one frame; and of a base."""

MAX_PATCH_BYTES = 96 << 20
"""Of a base and the content made from it together, which bounds the memory of both sides."""

DEFAULT_LEVEL = 3
PATCH_LEVEL = 9
"""On shared libraries (2 to 48 MB, next version) 3 % smaller than level 6 and as fast within noise;
level 12 gains 1 % for 1.4 times the time, level 19 another 15 % for twenty times."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES = 1 << 20
_WINDOW_LOG_MAX = 27
_LEAST_WINDOW_LOG = 10
# Levels index some 4 MiB of a prefix, and the rest is as if it were not there: a library of 35 MB
# took 11.5 MB at level 9, and 7.1 MB once every position had its place. 24 means 80 MiB of memory.
_HASH_LOG_MAX = 24
_HASH_LOG_LEAST = 17
# Beyond that a second, sparse index of long matches finds what has no place: 31 MB became 0.1 MB
# for 64 MiB of noise with 50 insertions. On shorter bases it made patches up to 5 % larger.
_LONG_BASE_BYTES = 32 << 20


class ZstdFault(ValueError):
    """A frame is damaged, or is not what it was said to be."""


class PatchBase:
    """A base as zstd keeps it: the bytes it was made of may go, and none is copied at each call.

    Raises ZstdFault where it is too long. With it the largest patch allowed is made in 220 MiB.
    """

    def __init__(self, data: Bytes) -> None:
        _check_size(len(data), MAX_SIZE_BYTES, "base")
        self.size_bytes = len(data)
        # zstd takes no dictionary of less than 8 bytes, and finds nothing in one.
        kept = zstd.ZstdDict(data, is_raw=True) if len(data) >= 8 else None
        self._kept = kept

    @property
    def prefix(self) -> tuple[zstd.ZstdDict, int] | None:
        """What zstd is given."""
        return self._kept.as_prefix if self._kept else None


def compress(data: Bytes, level: int = DEFAULT_LEVEL) -> bytes:
    """One frame that states its content's size; ``data`` of at most MAX_SIZE_BYTES."""
    _check_size(len(data), MAX_SIZE_BYTES, "content")
    return zstd.compress(data, options={zstd.CompressionParameter.compression_level: level})


def compress_parts(parts: Sequence[Bytes], level: int = DEFAULT_LEVEL) -> bytes:
    """One frame of all parts one after the other, in which none shares a block with the next."""
    size_bytes = sum(map(len, parts))
    _check_size(size_bytes, MAX_SIZE_BYTES, "content")
    compressor = zstd.ZstdCompressor(level=level)
    compressor.set_pledged_input_size(size_bytes)
    frames = [compressor.compress(part, compressor.FLUSH_BLOCK) for part in parts]
    return b"".join([*frames, compressor.flush(compressor.FLUSH_FRAME)])


def decompress(frame: Bytes, size_bytes: int) -> bytearray:
    """Content of a frame, which must be exactly ``size_bytes`` long. Raises ZstdFault.

    The frame must be alone and must state that size: it is refused before anything is allocated
    otherwise, and as soon as it expands beyond.
    """
    return _expand(frame, size_bytes, None)


def decompress_bounded(frame: Bytes, most_bytes: int) -> bytearray:
    """Content of a frame that states its size, when that is at most so much. Raises ZstdFault."""
    stated = _frame_info(frame).decompressed_size
    if stated is None or stated > most_bytes:
        raise ZstdFault(f"zstd frame states {stated} bytes, at most {most_bytes} are allowed")
    return _expand(frame, stated, None)


def patch_from(base: Bytes | PatchBase, data: Bytes, level: int = PATCH_LEVEL) -> bytes:
    """Frame that gives ``data`` to whoever has ``base``. Raises ZstdFault where one is too long.

    Cost: 15 to 30 MB/s a thread at level 9; zstd copies and indexes the base at every call, which
    takes 64 MiB and 0.2 s for 64 MiB: make one patch of several MB rather than many of 1 MiB.
    """
    known = _kept(base, len(data))
    window_log = max(_LEAST_WINDOW_LOG, (known.size_bytes + len(data)).bit_length())
    parameter = zstd.CompressionParameter
    options: Mapping[int, int] = {
        parameter.compression_level: level,
        parameter.window_log: window_log,
        parameter.hash_log: max(_HASH_LOG_LEAST, min(window_log, _HASH_LOG_MAX)),
        parameter.enable_long_distance_matching: int(known.size_bytes > _LONG_BASE_BYTES),
    }
    return zstd.compress(data, options=options, zstd_dict=known.prefix)


def apply_patch(base: Bytes | PatchBase, patch: Bytes, size_bytes: int) -> bytearray:
    """What ``patch_from`` was given, for the same base. Raises ZstdFault.

    Another base may give other bytes of the same length: whoever calls checks the digest.
    Cost: 300 to 500 MB/s a thread, the copy of the base included.
    """
    return _expand(patch, size_bytes, _kept(base, size_bytes))


def _kept(base: Bytes | PatchBase, size_bytes: int) -> PatchBase:
    """The base, and a look at the sizes before zstd copies anything."""
    base_bytes = base.size_bytes if isinstance(base, PatchBase) else len(base)
    _check_size(base_bytes, MAX_SIZE_BYTES, "base")
    _check_size(size_bytes, MAX_SIZE_BYTES, "content")
    _check_size(base_bytes + size_bytes, MAX_PATCH_BYTES, "base and content")
    return base if isinstance(base, PatchBase) else PatchBase(base)


def _expand(frame: Bytes, size_bytes: int, base: PatchBase | None) -> bytearray:
    _check_size(size_bytes, MAX_SIZE_BYTES, "content")
    _check_frame(frame, size_bytes)
    try:
        return _decode(frame, size_bytes, base)
    except zstd.ZstdError as error:
        raise ZstdFault(f"zstd frame is damaged: {error}") from error


def _decode(frame: Bytes, size_bytes: int, base: PatchBase | None) -> bytearray:
    decoder = zstd.ZstdDecompressor(
        zstd_dict=base.prefix if base else None,
        options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX},
    )
    content = bytearray(size_bytes)
    at, pending = 0, frame
    while not decoder.eof:
        # Piece by piece: asked for all at once, Python collects parts and joins them, another copy.
        piece = decoder.decompress(pending, max_length=_PIECE_BYTES)
        pending = b""
        if at + len(piece) > size_bytes:
            raise ZstdFault(f"zstd frame expands beyond the {size_bytes} bytes it stated")
        content[at : at + len(piece)] = piece
        at += len(piece)
        if not piece and not decoder.eof:
            raise ZstdFault("zstd frame is cut short")
    if at != size_bytes or decoder.unused_data:
        raise ZstdFault(f"zstd frame gives {at} of {size_bytes} bytes, or something follows it")
    return content


def _frame_info(frame: Bytes) -> zstd.FrameInfo:
    # Skippable frames have another magic, and would state a size of 0.
    if bytes(frame[:4]) != _MAGIC:
        raise ZstdFault("it is no zstd frame")
    try:
        return zstd.get_frame_info(frame)
    except zstd.ZstdError as error:
        raise ZstdFault(f"zstd frame is damaged: {error}") from error


def _check_frame(frame: Bytes, size_bytes: int) -> None:
    info = _frame_info(frame)
    if info.decompressed_size != size_bytes or info.dictionary_id:
        stated = info.decompressed_size
        raise ZstdFault(f"zstd frame states {stated} bytes, expected are {size_bytes}")


def _check_size(size_bytes: int, limit: int, what: str) -> None:
    if not 0 <= size_bytes <= limit:
        raise ZstdFault(f"{what} of {size_bytes} bytes is beyond the {limit} allowed")
