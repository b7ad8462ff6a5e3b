"""C, D, F: models as GGUF, written by the reference writer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import gguf
import numpy as np

from corpus.weights import MB, clone, gauss, q4_0, q8_0, rng, to_bf16

if TYPE_CHECKING:
    from corpus.__main__ import Order

_HIDDEN, _INNER, _SHARED = 2048, 5632, 512
_BYTES_A_WEIGHT = {"Q8_0": 34 / 32, "Q4_0": 18 / 32, "BF16": 2, "F32": 4}
_APP = "print('tool')\n" * 40
_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}<|sys|>{{ m.content }}<|end|>"
    "{% elif m.role == 'user' %}<|user|>{{ m.content }}<|end|>"
    "{% else %}<|bot|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
)
_TOOLS = (
    "{% if tools %}<|tools|>{% for t in tools %}{{ t.function.name }}: "
    "{{ t.function.description }} {{ t.function.parameters | tojson }}\n{% endfor %}"
    "<|end|>{% endif %}"
) * 5


class Tensor(NamedTuple):
    """A row of the plan."""

    name: str
    rows: int
    columns: int
    type: str

    @property
    def size(self) -> float:
        """Bytes."""
        return self.rows * self.columns * _BYTES_A_WEIGHT[self.type]


def metadata(order: Order) -> None:
    """C: the chat template grows, so that every tensor moves by some bytes."""
    plan = _plan(int(1000 * MB * order.scale), _mixed)
    for side, template in ((order.old, _TEMPLATE), (order.new, _TEMPLATE + _TOOLS)):
        _write(side / "models/model-Q4_M.gguf", plan, template)
        (side / "app.py").write_text(_APP, "utf-8")


def second(order: Order) -> None:
    """D: a second variant comes beside the first; 60 % of its bytes are tensors of the first."""
    plan = _plan(int(350 * MB * order.scale), lambda name: "F32" if "norm" in name else "Q8_0")
    _write(order.old / "models/model-Q8_0.gguf", plan, _TEMPLATE)
    clone(order.old, order.new)
    other: dict[str, str] = {}
    same = changed = 0.0
    for tensor in plan:
        if "norm" in tensor.name:
            continue
        if changed * 6 <= same * 4 and "token" not in tensor.name:
            other[tensor.name] = "Q4_0"
            changed += tensor._replace(type="Q4_0").size
        else:
            same += tensor.size
    _write(order.new / "models/model-Q4_mix.gguf", plan, _TEMPLATE, other)


def renamed(order: Order) -> None:
    """F: the model has another name in another folder."""
    plan = _plan(int(350 * MB * order.scale), _mixed)
    model = order.old / "models/model-Q4_M.gguf"
    _write(model, plan, _TEMPLATE)
    clone(model, order.new / "weights/llm/model-Q4_M-v2.gguf")
    for side in (order.old, order.new):
        (side / "app.py").write_text(_APP, "utf-8")


def _plan(target: int, type_of: Callable[[str], str]) -> list[Tensor]:
    """Tensors like those of a llama, of about ``target`` bytes."""
    plan: list[Tensor] = []

    def add(name: str, rows: int, columns: int) -> float:
        plan.append(Tensor(name, rows, columns, type_of(name)))
        return plan[-1].size

    size = add("token_embd.weight", 32000 if target > 300 * MB else 2048, _HIDDEN)
    layer = 0
    while size < target:
        shapes = (
            ("attn_norm", 1, _HIDDEN), ("attn_q", _HIDDEN, _HIDDEN), ("attn_k", _SHARED, _HIDDEN),
            ("attn_v", _SHARED, _HIDDEN), ("attn_output", _HIDDEN, _HIDDEN),
            ("ffn_gate", _INNER, _HIDDEN), ("ffn_up", _INNER, _HIDDEN),
            ("ffn_down", _HIDDEN, _INNER), ("ffn_norm", 1, _HIDDEN),
        )  # fmt: skip
        size += sum(add(f"blk.{layer}.{name}.weight", *shape) for name, *shape in shapes)
        layer += 1
    add("output_norm.weight", 1, _HIDDEN)
    return plan


def _mixed(name: str) -> str:
    """Real mixes keep norms F32, embeddings BF16, attention Q8_0, the rest Q4_0."""
    if "norm" in name:
        return "F32"
    if "token_embd" in name:
        return "BF16"
    return "Q8_0" if "attn" in name else "Q4_0"


def _weights(tensor: Tensor, stored: str) -> np.ndarray:
    source, count = rng("m", tensor.name), tensor.rows * tensor.columns
    if "norm" in tensor.name:
        return 1 + gauss(source, count, 0.05)
    if stored == "Q8_0":
        return q8_0(source, count).reshape(tensor.rows, -1)
    if stored == "Q4_0":
        return q4_0(source, count).reshape(tensor.rows, -1)
    return to_bf16(gauss(source, count, 0.02)).view(np.uint8).reshape(tensor.rows, -1)


def _write(
    path: Path, plan: list[Tensor], template: str, other: Mapping[str, str] | None = None
) -> None:
    """``other``: tensors that are stored as another type than the plan says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), "llama", use_temp_file=False)
    _describe(writer, plan, template)
    stored = {tensor.name: (other or {}).get(tensor.name, tensor.type) for tensor in plan}
    for name, rows, columns, _type in plan:
        kind = gguf.GGMLQuantizationType[stored[name]]
        count = rows * columns
        if "norm" in name:
            writer.add_tensor_info(name, (count,), np.dtype(np.float32), count * 4)
            continue
        block, size = gguf.GGML_QUANT_SIZES[kind]
        shape = (rows, columns // block * size)
        writer.add_tensor_info(
            name, shape, np.dtype(np.uint8), count // block * size, raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in plan:
        writer.write_tensor_data(_weights(tensor, stored[tensor.name]))
    writer.close()


def _describe(writer: gguf.GGUFWriter, plan: list[Tensor], template: str) -> None:
    letters = random.Random(3)
    tokens = [
        "".join(letters.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(letters.randint(2, 9)))
        for _ in range(32_000)
    ]
    writer.add_name("bench-model")
    writer.add_version("1.0")
    writer.add_context_length(8192)
    writer.add_block_count(sum("attn_norm" in tensor.name for tensor in plan))
    writer.add_embedding_length(_HIDDEN)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(-number) for number in range(32_000)])
    writer.add_chat_template(template)
