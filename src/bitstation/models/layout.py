"""A model file as spans: what each of its bytes belongs to, in order, without gap or overlap.

Both formats end here: their parsers say which tensors there are and ``lay_out`` holds them against
the file. Nothing but the header of a file is read, and no claim of it is believed before it is held
against the file's size, so that memory follows what is there, not what is claimed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

MAX_TENSORS = 250_000
"""The largest single files hold some thousands, for models of 100,000 tensors come in many files.
A span takes about 250 bytes of memory, so this bounds a hostile file to some 60 MB."""

MAX_NAME_BYTES = 1024
"""ggml allows 64, its relatives up to 160; safetensors states no bound."""

MAX_ELEMENTS = 2**63 - 1

MIN_PIECE_BYTES = 4096
"""Smallest part of a header that is worth its own block: its row in a map is then below 1 %."""

UNKNOWN_LENGTH = -1


class LayoutFault(ValueError):
    """The file is not a model that we take apart; the message says why. It is opaque then."""


class Reader(Protocol):
    """Random access to the bytes of one file. Its own errors (OSError) pass through the parsers."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes, or fewer where the file ends."""


class SpanKind(enum.IntEnum):
    """What a span holds; ids are never given a second meaning."""

    HEADER = 1
    """Metadata and the list of tensors, or a part of them that is cut off for its own sake."""
    TENSOR = 2
    PADDING = 3
    """What aligns the next tensor; shorter than the alignment."""
    TAIL = 4
    """Bytes after all that the format describes."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """A stretch of the file, never empty.

    ``name``: the tensor's, or the key of a metadata value that has the span for itself.
    ``dtype``: as the format spells it (``F16``, ``Q4_K``), ``ggml-N`` for types not known here.
    """

    kind: SpanKind
    offset: int
    length: int
    name: str = ""
    dtype: str = ""
    elements: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.length


class Layout(msgspec.Struct, frozen=True):
    """All spans of a file: the first begins at 0, each at the end of the one before it."""

    format: str
    size_bytes: int
    spans: tuple[Span, ...]

    @property
    def tensors(self) -> Iterator[Span]:
        """Spans of the tensors, in the order of the file. Tensors without elements have none."""
        return (span for span in self.spans if span.kind is SpanKind.TENSOR)


def lay_out(
    form: str, size_bytes: int, head: Sequence[Span], tensors: list[Span], alignment: int
) -> Layout:
    """Layout of a file that begins with the spans ``head``, and has these tensors after them.

    ``tensors`` come in any order and are sorted in place; one of UNKNOWN_LENGTH reaches to the next
    tensor or to the end of the file. What lies between tensors is at most the padding that
    ``alignment`` needs: more would mean that we misjudge a tensor's length. Raises LayoutFault.
    """
    tensors.sort(key=lambda span: (span.offset, span.length if span.length >= 0 else MAX_ELEMENTS))
    spans = list(head)
    position = spans[-1].end
    for number, tensor in enumerate(tensors):
        if tensor.length == UNKNOWN_LENGTH:
            following = tensors[number + 1] if number + 1 < len(tensors) else None
            end = following.offset if following else size_bytes
            tensor = msgspec.structs.replace(tensor, length=end - tensor.offset)
        _check_place(tensor, position, size_bytes, alignment)
        if tensor.offset > position:
            spans.append(Span(SpanKind.PADDING, position, tensor.offset - position))
        if tensor.length:
            spans.append(tensor)
        position = tensor.end
    padding = min(size_bytes - position, -position % alignment)
    if padding:
        spans.append(Span(SpanKind.PADDING, position, padding))
    if position + padding < size_bytes:
        rest = position + padding
        spans.append(Span(SpanKind.TAIL, rest, size_bytes - rest))
    return Layout(form, size_bytes, tuple(spans))


def _check_place(tensor: Span, position: int, size_bytes: int, alignment: int) -> None:
    if tensor.offset < position:
        raise LayoutFault(f"tensor {tensor.name!r} begins inside what stands before it")
    if tensor.end > size_bytes or tensor.length < 0:
        raise LayoutFault(f"tensor {tensor.name!r} reaches beyond the end of the file")
    if tensor.offset - position >= alignment:
        gap = tensor.offset - position
        raise LayoutFault(f"{gap} bytes before tensor {tensor.name!r} belong to no tensor")


def pieces(borders: Sequence[tuple[int, str]], end: int) -> list[Span]:
    """Header spans between borders (offset, name of what begins there), the last ending at ``end``.

    Borders ascend; of several at one offset the last counts.
    """
    starts = dict(borders)
    ends = [*list(starts)[1:], end]
    return [
        Span(SpanKind.HEADER, start, stop - start, name)
        for (start, name), stop in zip(starts.items(), ends, strict=True)
        if stop > start
    ]


def read_exactly(reader: Reader, offset: int, length: int) -> bytes:
    """Bytes of the file. Raises LayoutFault where it ends earlier."""
    data = reader.read_at(offset, length)
    if len(data) != length:
        raise LayoutFault(f"it ends at byte {offset + len(data)}, inside its header")
    return data


def element_count(dimensions: Sequence[int], name: str) -> int:
    """Product of the dimensions of a tensor. Raises LayoutFault where 63 bits do not hold it."""
    count = 1
    for dimension in dimensions:
        if dimension < 0:
            raise LayoutFault(f"tensor {name!r} has a negative dimension")
        count *= dimension
        if count > MAX_ELEMENTS:
            raise LayoutFault(f"tensor {name!r} has more elements than any file can hold")
    return count
