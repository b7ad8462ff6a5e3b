"""What kind of model a file is, by its bytes: names change, and other programs store by digest."""

from __future__ import annotations

from bitstation.models import gguf, safetensors
from bitstation.models.layout import Layout, LayoutFault, Reader


def detect(name: str, reader: Reader, size_bytes: int) -> Layout | None:
    """Layout of a GGUF or safetensors file; None for a file that is neither by bytes nor by name.

    Raises LayoutFault for a file that says it is a model (``name`` ends in .gguf or .safetensors,
    or it begins with GGUF) and is not one that we take apart. It is opaque then, like one of None;
    the message is worth telling its publisher, for it may be cut short.
    Cost: 9 bytes read of a file that is no model; else what the parsers say.
    """
    start = reader.read_at(0, min(size_bytes, 9))
    if start[:4] == gguf.MAGIC or name.lower().endswith(".gguf"):
        return gguf.parse_gguf(reader, size_bytes)
    named = name.lower().endswith(".safetensors")
    if named or _begins_as_safetensors(start, size_bytes):
        try:
            return safetensors.parse_safetensors(reader, size_bytes)
        except LayoutFault:
            # The format has no magic: 9 bytes may look like it by chance.
            if named:
                raise
    return None


def _begins_as_safetensors(start: bytes, size_bytes: int) -> bool:
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and 2 <= length <= min(safetensors.MAX_HEADER_BYTES, size_bytes - 8)
