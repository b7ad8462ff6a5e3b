"""Models as blocks: what stays equal when a file changes, and which files are models at all."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.models.cutting import BLOCK_BYTES, cut_model, is_too_fine
from bitstation.models.detect import detect
from bitstation.models.layout import Layout, LayoutFault, SpanKind
from tests.unit.model_files import (
    ARRAY,
    STRING,
    Held,
    Tensor,
    check_covers,
    gguf,
    key_value,
    raw_safetensors,
    safetensors,
    tensor_blocks,
)

F32, BF16 = 0, 30


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def layout_of(data: bytes, name: str = "file") -> Layout:
    layout = detect(name, Held(data), len(data))
    assert layout is not None
    check_covers(layout, len(data))
    return layout


def digests(data: bytes, *, tensors_only: bool = False) -> list[bytes]:
    layout = layout_of(data)
    return [
        hashlib.sha256(data[block.offset : block.offset + block.length]).digest()
        for block in cut_model(layout)
        if not tensors_only or layout.spans[block.span].kind is SpanKind.TENSOR
    ]


LARGE = [Tensor(f"blk.{n}", F32, (300_001,), noise(n, 1_200_004)) for n in range(3)]
VOCABULARY = key_value("tokenizer.ggml.tokens", ARRAY, (STRING, [f"t{n}" for n in range(2000)]))


@given(st.binary(max_size=5000))
def test_an_edit_of_gguf_metadata_leaves_every_tensor_block_equal(text: bytes) -> None:
    small = [tensor._replace(dimensions=(5,), data=tensor.data[:20]) for tensor in LARGE]
    before = gguf(small, [key_value("note", STRING, b"")])
    after = gguf(small, [key_value("note", STRING, text)])
    assert digests(before, tensors_only=True) == digests(after, tensors_only=True)


def test_an_edit_of_gguf_metadata_costs_one_small_block_and_padding() -> None:
    before = gguf(LARGE, [key_value("template", STRING, "x" * 100), VOCABULARY])
    after = gguf(LARGE, [key_value("template", STRING, "y" * 777), VOCABULARY])
    known = set(digests(before))
    layout = layout_of(after)
    new = [
        block.length
        for block, digest in zip(cut_model(layout), digests(after), strict=True)
        if digest not in known
    ]
    assert sum(new) < 1000
    assert len(new) <= 2


def test_blocks_of_a_tensor_begin_with_the_tensor_in_every_file() -> None:
    plain = gguf(LARGE)
    reordered = gguf(LARGE[::-1], [key_value("note", STRING, "n" * 1001)])
    assert sorted(digests(plain, tensors_only=True)) == sorted(
        digests(reordered, tensors_only=True)
    )
    lengths = [len(block) for block in tensor_blocks(layout_of(plain), plain)]
    assert lengths == [BLOCK_BYTES, 1_200_004 - BLOCK_BYTES] * 3


def test_the_same_weights_are_the_same_blocks_in_both_formats() -> None:
    odd = Tensor("odd", BF16, (33,), noise(9, 66))
    weights = [*(tensor._replace(kind=BF16, dimensions=(600_002,)) for tensor in LARGE), odd]
    other = safetensors([(t.name, "BF16", [*t.dimensions], t.data) for t in weights])
    mine = gguf(weights)
    assert tensor_blocks(layout_of(mine), mine) == tensor_blocks(layout_of(other), other)


def test_a_tensor_that_grew_keeps_all_blocks_but_the_last() -> None:
    data = noise(1, 3 * BLOCK_BYTES + 400)
    before = gguf([Tensor("embedding", F32, (len(data) // 4,), data)])
    grown = data + noise(2, 4000)
    after = gguf([Tensor("embedding", F32, (len(grown) // 4,), grown)])
    assert digests(before, tensors_only=True)[:3] == digests(after, tensors_only=True)[:3]


def test_a_map_of_a_large_model_stays_small() -> None:
    layout = layout_of(gguf([Tensor(f"t{n}", F32, (1 << 20,), bytes(1 << 22)) for n in range(10)]))
    assert sum(1 for _ in cut_model(layout)) == 42
    assert not is_too_fine(layout)


def test_a_model_of_crumbs_is_not_worth_a_map() -> None:
    crumbs = [(f"t{n}", "U8", [9], bytes(9)) for n in range(500)]
    assert is_too_fine(layout_of(safetensors(crumbs)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("app.py", b"print('GGUF')"),
        ("empty.bin", b""),
        ("small.json", b"{}"),
        ("chance.bin", (2).to_bytes(8, "little") + b"{this was never a model"),
        ("zero.bin", bytes(100)),
    ],
)
def test_other_files_are_no_models(name: str, data: bytes) -> None:
    assert detect(name, Held(data), len(data)) is None


@pytest.mark.parametrize("name", ["sha256-0a1b", "model.bin", "x.safetensors.part"])
def test_models_are_known_by_their_bytes(name: str) -> None:
    assert layout_of(gguf(LARGE[:1]), name).format == "gguf"
    assert layout_of(safetensors([("a", "U8", [1], b"x")]), name).format == "safetensors"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.gguf", b""),
        ("MODEL.GGUF", b"not a model"),
        ("model.safetensors", b"raw weights without a header"),
        ("model.safetensors", raw_safetensors("{]")),
        ("any.bin", gguf(LARGE[:1])[:-100]),
    ],
)
def test_what_says_that_it_is_a_model_must_be_one(name: str, data: bytes) -> None:
    with pytest.raises(LayoutFault):
        detect(name, Held(data), len(data))


@given(st.sampled_from(["a", "a.gguf", "a.safetensors"]), st.binary(max_size=200))
def test_nothing_else_ever_happens(name: str, data: bytes) -> None:
    for start in (b"", b"GGUF\3\0\0\0", b"\x10\0\0\0\0\0\0\0{"):
        try:
            layout = detect(name, Held(start + data), len(start + data))
        except LayoutFault:
            continue
        if layout is not None:
            check_covers(layout, len(start + data))
