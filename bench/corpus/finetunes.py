"""E, E2: a bf16 model and the same after training, imitated by noise on 70 % of its weights."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpus.weights import MB, from_bf16, gauss, rng, to_bf16

if TYPE_CHECKING:
    from corpus.__main__ import Order

_HIDDEN, _INNER, _SHARED = 2048, 5632, 512
_LAYER = {
    "input_layernorm": (_HIDDEN,),
    "self_attn.q_proj": (_HIDDEN, _HIDDEN),
    "self_attn.k_proj": (_SHARED, _HIDDEN),
    "self_attn.v_proj": (_SHARED, _HIDDEN),
    "self_attn.o_proj": (_HIDDEN, _HIDDEN),
    "mlp.gate_proj": (_INNER, _HIDDEN),
    "mlp.up_proj": (_INNER, _HIDDEN),
    "mlp.down_proj": (_HIDDEN, _INNER),
    "post_attention_layernorm": (_HIDDEN,),
}


def short(order: Order) -> None:
    """E: a short one, after which most bf16 weights are the same."""
    _pair(order, 1e-3)


def long(order: Order) -> None:
    """E2: ten times the noise, after which most are not."""
    _pair(order, 1e-2)


def _pair(order: Order, noise: float) -> None:
    shapes = _shapes(0.35 * order.scale)
    size = sum(prod(shape) * 2 for shape in shapes.values())
    untouched: set[str] = set()
    kept = 0
    for name, shape in shapes.items():
        if "norm" in name or "embed" in name or kept < 0.30 * size:
            untouched.add(name)
            kept += prod(shape) * 2
    for side in (order.old, order.new):
        trained = set(shapes) - untouched if side is order.new else set()
        _write(side / "model.safetensors", shapes, trained, noise)


def _shapes(scale: float) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (int(32_000 * min(1.0, scale)) or 512, _HIDDEN)
    }
    size, layer = prod(shapes["model.embed_tokens.weight"]) * 2, 0
    while size < int(500 * MB * scale):
        for name, shape in _LAYER.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
            size += prod(shape) * 2
        layer += 1
    return shapes


def _write(path: Path, shapes: dict[str, tuple[int, ...]], trained: set[str], noise: float) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + prod(shape) * 2
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            weights = gauss(rng("ft", name), prod(shape), 0.02)
            bits = to_bf16(weights + np.float32(1) if "norm" in name else weights)
            if name in trained:
                factor = 1 + gauss(rng("ft-noise", name), prod(shape), noise)
                bits = to_bf16(from_bf16(bits) * factor)
            bits.tofile(file)
