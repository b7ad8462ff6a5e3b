"""GGUF files taken apart: metadata, list of tensors, tensors, padding.

Source: ggml docs/gguf.md ("File Structure"), and gguf.cpp of llama.cpp for what readers enforce.
Versions 2 and 3, little-endian. Values of metadata are gone over, not kept and not judged: only
``general.alignment`` has a say in where things lie.

Large metadata values (a vocabulary of 450 KB is usual) get header spans of their own, key included,
and so does the list of tensors, whose offsets count from the first tensor. An edit of a licence or
a chat template then leaves all of them equal, in this file and in every other with that vocabulary.
"""

from __future__ import annotations

from types import MappingProxyType

from bitstation.models.cursor import Cursor
from bitstation.models.ggml_types import TYPES
from bitstation.models.layout import (
    MAX_NAME_BYTES,
    MAX_TENSORS,
    MIN_PIECE_BYTES,
    UNKNOWN_LENGTH,
    Layout,
    LayoutFault,
    Reader,
    Span,
    SpanKind,
    element_count,
    lay_out,
    pieces,
)

MAGIC = b"GGUF"

MAX_HEADER_BYTES = 64 << 20
"""The largest vocabularies (256,000 tokens with merges) take some 16 MB."""

MAX_KEYS = 65_536
"""Real files have less than a hundred."""

MAX_KEY_BYTES = 65_535
MAX_ALIGNMENT = 1 << 20
MAX_DIMENSIONS = 8
"""ggml has 4; the specification says that this may change."""

MAX_NESTING = 8
"""Arrays within arrays: the specification allows them, llama.cpp takes none."""

_DEFAULT_ALIGNMENT = 32
_VERSIONS = (2, 3)
_U32, _STRING, _ARRAY = 4, 8, 9
# Type id: bytes. u8 i8 u16 i16 u32 i32 f32 bool, then u64 i64 f64.
_FIXED = MappingProxyType({0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8})
_LEAST_KEY_BYTES = 8 + 1 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8


def parse_gguf(reader: Reader, size_bytes: int) -> Layout:
    """Layout of a GGUF file. Raises LayoutFault.

    Cost: reads the header once, in windows of 1 MiB; 0.2 microseconds a token of the vocabulary and
    3 a tensor.
    """
    cursor = Cursor(reader, min(size_bytes, MAX_HEADER_BYTES))
    tensor_count, key_count = _parse_start(cursor)
    alignment, borders = _skip_metadata(cursor, key_count)
    list_start = cursor.position
    tensors = _parse_tensors(cursor, tensor_count, alignment)
    end = cursor.position
    if end - list_start >= MIN_PIECE_BYTES:
        borders.append((list_start, ""))
    data_start = end + -end % alignment
    spans = [
        Span(SpanKind.TENSOR, data_start + offset, length, name, dtype, elements)
        for name, dtype, elements, offset, length in tensors
    ]
    return lay_out("gguf", size_bytes, pieces(borders, end), spans, alignment)


def _parse_start(cursor: Cursor) -> tuple[int, int]:
    """Numbers of tensors and of metadata keys."""
    if cursor.take(4) != MAGIC:
        raise LayoutFault("it does not begin with GGUF")
    version = cursor.u32()
    if version & 0xFFFF == 0:
        raise LayoutFault("it is big-endian, or no GGUF")
    if version not in _VERSIONS:
        raise LayoutFault(f"GGUF version {version} is not known here")
    tensor_count, key_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise LayoutFault(f"it claims {tensor_count} tensors and {key_count} metadata keys")
    cursor.expect(tensor_count * _LEAST_TENSOR_BYTES + key_count * _LEAST_KEY_BYTES)
    return tensor_count, key_count


def _skip_metadata(cursor: Cursor, key_count: int) -> tuple[int, list[tuple[int, str]]]:
    """Alignment, and the borders (offset, key) that large values make in the header."""
    alignment = _DEFAULT_ALIGNMENT
    borders = [(0, "")]
    seen: set[bytes] = set()
    for _ in range(key_count):
        start = cursor.position
        key = _parse_string(cursor, MAX_KEY_BYTES, "a metadata key")
        if not key or key in seen:
            raise LayoutFault(f"metadata key {key[:80]!r} is empty or stands twice")
        seen.add(key)
        kind = cursor.u32()
        if key == b"general.alignment":
            alignment = _parse_alignment(cursor, kind)
        else:
            _skip_value(cursor, kind)
        if cursor.position - start >= MIN_PIECE_BYTES:
            name = key[:MAX_NAME_BYTES].decode("utf-8", "replace")
            borders += [(start, name), (cursor.position, "")]
    return alignment, borders


def _parse_alignment(cursor: Cursor, kind: int) -> int:
    if kind != _U32:
        raise LayoutFault("general.alignment is not an unsigned 32-bit number")
    alignment = cursor.u32()
    if not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise LayoutFault(f"alignment {alignment} is not a power of two up to 1 MiB")
    return alignment


def _skip_value(cursor: Cursor, kind: int) -> None:
    size = _FIXED.get(kind)
    if size:
        cursor.skip(size)
    elif kind == _STRING:
        cursor.skip(cursor.u64())
    elif kind == _ARRAY:
        _skip_array(cursor, 1)
    else:
        raise LayoutFault(f"metadata type {kind} is not known")


def _skip_array(cursor: Cursor, depth: int) -> None:
    if depth > MAX_NESTING:
        raise LayoutFault(f"metadata arrays nest deeper than {MAX_NESTING}")
    kind, count = cursor.u32(), cursor.u64()
    size = _FIXED.get(kind)
    if size:
        cursor.skip(size * count)
    elif kind == _STRING:
        cursor.skip_strings(count)
    elif kind == _ARRAY:
        cursor.expect(12 * count)
        for _ in range(count):
            _skip_array(cursor, depth + 1)
    else:
        raise LayoutFault(f"metadata type {kind} is not known")


def _parse_tensors(
    cursor: Cursor, count: int, alignment: int
) -> list[tuple[str, str, int, int, int]]:
    """Rows (name, dtype, elements, offset from the first tensor, length) of the list of tensors."""
    rows = []
    seen: set[str] = set()
    for _ in range(count):
        raw = _parse_string(cursor, MAX_NAME_BYTES, "a tensor's name")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise LayoutFault(f"tensor name {raw[:80]!r} is not UTF-8") from error
        if name in seen:
            raise LayoutFault(f"tensor {name!r} stands twice")
        seen.add(name)
        dimension_count = cursor.u32()
        if dimension_count > MAX_DIMENSIONS:
            raise LayoutFault(f"tensor {name!r} has {dimension_count} dimensions")
        dimensions = cursor.u64s(dimension_count)
        elements = element_count(dimensions, name)
        kind, offset = cursor.u32(), cursor.u64()
        if offset % alignment:
            raise LayoutFault(f"tensor {name!r} is not aligned to {alignment} bytes")
        length = _length(kind, dimensions, elements, name)
        known = TYPES.get(kind)
        rows.append((name, known.name if known else f"ggml-{kind}", elements, offset, length))
    return rows


def _length(kind: int, dimensions: tuple[int, ...], elements: int, name: str) -> int:
    """Bytes of a tensor; UNKNOWN_LENGTH for a type that is not known here."""
    known = TYPES.get(kind)
    if elements == 0:
        return 0
    if known is None:
        return UNKNOWN_LENGTH
    row = dimensions[0] if dimensions else 1
    if row % known.block_elements:
        raise LayoutFault(f"rows of tensor {name!r} are no whole blocks of {known.name}")
    return elements // known.block_elements * known.block_bytes


def _parse_string(cursor: Cursor, limit: int, what: str) -> bytes:
    length = cursor.u64()
    if length > limit:
        raise LayoutFault(f"{what} of {length} bytes is longer than {limit}")
    return cursor.take(length)
