"""safetensors files taken apart: header, tensors.

Source: README.md of safetensors ("Format") and tensor.rs (``Metadata::validate``): 8 bytes with the
length of a JSON object, the object, then the tensors without gap, overlap or anything after them.

The header is read by patterns on its bytes, entry by entry: a general JSON reader would build
objects of many times its size before anything could be judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Annotated

import msgspec

from bitstation.models.layout import (
    MAX_NAME_BYTES,
    MAX_TENSORS,
    MIN_PIECE_BYTES,
    Layout,
    LayoutFault,
    Reader,
    Span,
    SpanKind,
    element_count,
    lay_out,
    pieces,
    read_exactly,
)

MAX_HEADER_BYTES = 32 << 20
"""The format allows 100 MB; MAX_TENSORS usual entries take 32 MB."""

_LENGTH_BYTES = 8
_MAX_ENTRY_BYTES = 4096
_METADATA = "__metadata__"

# dtype: bits of an element. Source: tensor.rs, Dtype::bitsize.
_BITS = MappingProxyType(
    {
        "BOOL": 8,
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "C64": 64,
        "F64": 64,
        "I64": 64,
        "U64": 64,
    }
)

# Possessive, so that no input makes them slow or deep.
_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"'
_PAIR = _STRING + _SPACE + rb":" + _SPACE + _STRING + _SPACE
_KEY = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_TEXTS = re.compile(
    rb"\{" + _SPACE + rb"(?:" + _PAIR + rb"(?:," + _SPACE + _PAIR + rb")*+)?+\}", re.DOTALL
)
_ENTRY = re.compile(rb"\{[^{}]{0,%d}\}" % _MAX_ENTRY_BYTES)
_NEXT = re.compile(_SPACE + rb"([,}])")
_EMPTY = re.compile(rb"\{" + _SPACE + rb"\}")

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    dtype: str
    shape: list[_Count]
    data_offsets: tuple[_Count, _Count]


_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_text = msgspec.json.Decoder(str).decode


def parse_safetensors(reader: Reader, size_bytes: int) -> Layout:
    """Layout of a safetensors file. Raises LayoutFault.

    A long list of tensors after ``__metadata__`` gets a span of its own, and the spaces that fill
    the header up to 8 bytes another: an edit of the metadata then leaves the list equal.
    Cost: the header in memory once, about 3 microseconds a tensor.
    """
    if size_bytes < _LENGTH_BYTES:
        raise LayoutFault("it is shorter than the length of its header")
    length = int.from_bytes(read_exactly(reader, 0, _LENGTH_BYTES), "little")
    if length > min(MAX_HEADER_BYTES, size_bytes - _LENGTH_BYTES):
        raise LayoutFault(f"its header claims {length} bytes")
    header = read_exactly(reader, _LENGTH_BYTES, length)
    tensors: list[Span] = []
    list_start = 0
    for number, (name, start, end) in enumerate(_entries(header)):
        if name != _METADATA:
            tensors.append(_tensor(name, header[start:end], _LENGTH_BYTES + length))
        elif number == 0:
            list_start = end
    layout = lay_out("safetensors", size_bytes, _head(header, list_start), tensors, alignment=1)
    if layout.spans[-1].kind is SpanKind.TAIL:
        raise LayoutFault("bytes after the last tensor belong to nothing")
    return layout


def _head(header: bytes, list_start: int) -> list[Span]:
    """Spans before the first tensor; ``list_start``: where the metadata ends, if it comes first."""
    end = _LENGTH_BYTES + len(header)
    list_end = len(header.rstrip(b" "))
    if not list_start or list_end - list_start < MIN_PIECE_BYTES:
        return pieces([(0, "")], end)
    filling = _LENGTH_BYTES + list_end
    spans = pieces([(0, ""), (_LENGTH_BYTES + list_start, "")], filling)
    if filling < end:
        spans.append(Span(SpanKind.PADDING, filling, end - filling))
    return spans


def _entries(header: bytes) -> Iterator[tuple[str, int, int]]:
    """Names and where in the header their values stand."""
    if header[:1] != b"{":
        raise LayoutFault("its header does not begin with {")
    seen: set[str] = set()
    at, more = 1, _EMPTY.match(header) is None
    if not more:
        at = header.index(b"}") + 1
    while more:
        key = _match(_KEY, header, at)
        name = _name(key[1])
        if name in seen or len(seen) > MAX_TENSORS:
            raise LayoutFault(f"{name!r} stands twice, or is one of too many")
        seen.add(name)
        value = _match(_TEXTS if name == _METADATA else _ENTRY, header, key.end())
        yield name, value.start(), value.end()
        after = _match(_NEXT, header, value.end())
        at, more = after.end(), after[1] == b","
    if header[at:].strip(b" \t\n\r"):
        raise LayoutFault("its header goes on after its end")


def _match(pattern: re.Pattern[bytes], header: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(header, at)
    if found is None:
        raise LayoutFault(f"its header is not as the format says near byte {at}")
    return found


def _name(raw: bytes) -> str:
    try:
        name: str = _decode_text(raw)
        size_bytes = len(name.encode("utf-8"))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise LayoutFault(f"name {raw[:80]!r} is no text") from error
    if size_bytes > MAX_NAME_BYTES:
        raise LayoutFault(f"name {raw[:80]!r} is longer than {MAX_NAME_BYTES} bytes")
    return name


def _tensor(name: str, raw: bytes, data_start: int) -> Span:
    # Three keys and one text value, spelled plainly: msgspec would keep the last of a repeated key.
    if raw.count(b'"') != 8 or b"\\" in raw:
        raise LayoutFault(f"tensor {name!r} is not described by three fields")
    try:
        entry = _decode_entry(raw)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise LayoutFault(f"tensor {name!r}: {error}") from error
    bits = _BITS.get(entry.dtype)
    if bits is None:
        raise LayoutFault(f"dtype {entry.dtype[:80]!r} of tensor {name!r} is not known here")
    begin, end = entry.data_offsets
    elements = element_count(entry.shape, name)
    if elements * bits != 8 * (end - begin):
        raise LayoutFault(f"tensor {name!r} is not as long as its shape and dtype say")
    return Span(SpanKind.TENSOR, data_start + begin, end - begin, name, entry.dtype, elements)
