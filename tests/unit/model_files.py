"""Small model files for tests: a writer of our own, a reader, and what must hold for any layout."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import NamedTuple

from bitstation.models.cutting import BLOCK_BYTES, cut_model
from bitstation.models.layout import Layout, SpanKind

FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Held:
    """A reader of bytes in memory; counts what it is asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes_read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        part = self.data[offset : offset + length]
        self.bytes_read += len(part)
        return part


class Tensor(NamedTuple):
    name: str
    kind: int
    dimensions: tuple[int, ...]
    data: bytes


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, held: object) -> bytes:
    """A metadata value without its type; an array is given as (type of elements, elements)."""
    if kind == STRING:
        return string(held)  # type: ignore[arg-type]
    if kind == ARRAY:
        element, items = held  # type: ignore[misc]
        start = struct.pack("<IQ", element, len(items))
        return start + b"".join(value(element, item) for item in items)
    return struct.pack("<" + FORMS[kind], held)


def key_value(key: str, kind: int, held: object) -> bytes:
    return string(key) + struct.pack("<I", kind) + value(kind, held)


def tensor_info(tensor: Tensor, offset: int) -> bytes:
    dimensions = struct.pack(
        f"<I{len(tensor.dimensions)}Q", len(tensor.dimensions), *tensor.dimensions
    )
    return string(tensor.name) + dimensions + struct.pack("<IQ", tensor.kind, offset)


def gguf(
    tensors: Sequence[Tensor] = (),
    metadata: Sequence[bytes] = (),
    *,
    alignment: int = 32,
    version: int = 3,
    last_padded: bool = True,
) -> bytes:
    """A GGUF file; ``metadata`` as ``key_value`` makes it, an alignment other than 32 included."""
    infos, data = [], b""
    for tensor in tensors:
        infos.append(tensor_info(tensor, len(data)))
        data += tensor.data
        if last_padded or tensor is not tensors[-1]:
            data += bytes(-len(data) % alignment)
    head = struct.pack("<4sI2Q", b"GGUF", version, len(tensors), len(metadata))
    head += b"".join(metadata) + b"".join(infos)
    return head + bytes(-len(head) % alignment if tensors else 0) + data


def safetensors(
    entries: Sequence[tuple[str, str, list[int], bytes]],
    metadata: dict[str, str] | None = None,
    *,
    fill: bool = True,
) -> bytes:
    """A safetensors file of entries (name, dtype, shape, data)."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, dtype, shape, raw in entries:
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8 if fill else 0)
    return struct.pack("<Q", len(text)) + text + data


def raw_safetensors(header: str | bytes, data: bytes = b"") -> bytes:
    """A file with whatever header."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text)) + text + data


def check_covers(layout: Layout, size_bytes: int) -> None:
    """What the values promise: spans and blocks, in order, cover the file exactly."""
    assert layout.size_bytes == size_bytes
    position = 0
    for span in layout.spans:
        assert span.offset == position
        assert span.length > 0
        position = span.end
    assert position == size_bytes
    position, span_number = 0, 0
    for block in cut_model(layout):
        assert block.offset == position
        assert 0 < block.length <= BLOCK_BYTES
        assert block.span >= span_number
        span = layout.spans[block.span]
        assert span.offset <= block.offset
        assert block.offset + block.length <= span.end
        position, span_number = block.offset + block.length, block.span
    assert position == size_bytes


def tensor_blocks(layout: Layout, data: bytes) -> list[bytes]:
    """Content of every block of every tensor, in the order of the file."""
    return [
        data[block.offset : block.offset + block.length]
        for block in cut_model(layout)
        if layout.spans[block.span].kind is SpanKind.TENSOR
    ]
