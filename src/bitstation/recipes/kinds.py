"""What each block of a file holds, as far as it decides how the block is packed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from bitstation.codec.chunking import MAX_BYTES
from bitstation.core.blockmap import BlockMap, Cut
from bitstation.core.recipe import Codec
from bitstation.models.cutting import cut_model
from bitstation.models.ggml_types import TYPES
from bitstation.models.layout import Layout, Span, SpanKind

_FILLINGS = (0, 0x20, 0xFF)
"""Padding of GGUF, of safetensors, and of disks. A block of another value packs to 30 bytes."""


class Kind(NamedTuple):
    """Codecs worth a look; ``tensor`` numbers the span whose blocks share one choice.

    Blocks without a tensor are packed together with their neighbours.
    """

    codecs: tuple[Codec, ...]
    tensor: int | None = None


OPAQUE = Kind((Codec.ZSTD, Codec.PLANES_2, Codec.PLANES_4))
RAW = Kind(())

# Quantised weights are noise: zstd takes K-quants to 97.6 %. The simple quants of weights that are
# near to normal come to 95.5 (Q4_0) and 96.4 % (Q8_0), so that a sample is worth its time.
_QUANTS = frozenset(each.name for each in TYPES.values() if each.block_elements > 64)
_FLOATS = {"BF16": Codec.PLANES_2, "F16": Codec.PLANES_2, "F32": Codec.PLANES_4}


def kinds_of(blockmap: BlockMap, layout: Layout | None) -> Sequence[Kind]:
    """Kind of each block; all opaque where the map does not follow the layout."""
    opaque = [OPAQUE] * len(blockmap)
    if layout is None:
        return opaque
    blocks = list(cut_model(layout))
    if [block.length for block in blocks] != list(blockmap.lengths):
        return opaque
    kinds = [_kind(number, span) for number, span in enumerate(layout.spans)]
    return [kinds[block.span] for block in blocks]


def _kind(number: int, span: Span) -> Kind:
    if span.kind is SpanKind.PADDING:
        return RAW
    if span.kind is not SpanKind.TENSOR:
        return OPAQUE
    if span.dtype in _QUANTS or span.dtype.startswith("ggml-"):
        return RAW
    planes = _FLOATS.get(span.dtype)
    return Kind((Codec.ZSTD,) if planes is None else (Codec.ZSTD, planes), number)


def filling(blockmap: BlockMap, number: int) -> int | None:
    """Value of the byte that a block repeats; None where it is no usual filling.

    By digest, so that nothing need be read for it.
    """
    length = blockmap.lengths[number]
    if blockmap.cut is not Cut.TENSORS and length != MAX_BYTES:
        # Cut by content, bytes that repeat make chunks of the largest size; all others are of as
        # many lengths as there are chunks, and each length would cost as much as to hash them.
        return None
    return _fillings(length).get(blockmap.digest(number))


@lru_cache(maxsize=256)
def _fillings(length: int) -> dict[bytes, int]:
    return {hashlib.sha256(bytes([value]) * length).digest(): value for value in _FILLINGS}
