"""GGUF files."""

from __future__ import annotations

from bitstation.models.gguf import parse_gguf
from bitstation.models.layout import LayoutFault
from tests.unit.model_files import Held, check_covers


def check(data: bytes) -> bool:
    """Only a LayoutFault leaves; spans and blocks cover the file exactly."""
    held = Held(data)
    try:
        layout = parse_gguf(held, len(data))
    except LayoutFault:
        return False
    check_covers(layout, len(data))
    assert held.bytes_read <= 2 * len(data)
    return True
