"""safetensors files: where both take one, the reference reader finds the same tensors."""

from __future__ import annotations

from bitstation.models.layout import Layout, LayoutFault
from bitstation.models.safetensors import parse_safetensors
from tests.unit.model_files import Held, check_covers

try:
    from safetensors import SafetensorError, deserialize
except ImportError:  # pragma: no cover - not among the packages for Wine
    deserialize = None


def check(data: bytes) -> bool:
    """Only a LayoutFault leaves; spans and blocks cover the file exactly."""
    try:
        layout = parse_safetensors(Held(data), len(data))
    except LayoutFault:
        return False
    check_covers(layout, len(data))
    if deserialize is not None:
        _compare(layout, data)
    return True


def _compare(layout: Layout, data: bytes) -> None:
    try:
        read = deserialize(data)
    except SafetensorError as error:
        # Texts of __metadata__ are gone over here and not judged; what is said of tensors is.
        assert "in header" in str(error)
        return
    known = {name: tensor for name, tensor in read if tensor["data"]}
    for span in layout.tensors:
        tensor = known.pop(span.name)
        assert bytes(tensor["data"]) == data[span.offset : span.end]
    assert not known
