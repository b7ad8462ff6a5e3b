"""GGUF files taken apart: what is right, what is refused, and that nothing else happens."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.models.ggml_types import TYPES
from bitstation.models.gguf import MAX_HEADER_BYTES, parse_gguf
from bitstation.models.layout import Layout, LayoutFault, SpanKind
from tests.unit.model_files import (
    ARRAY,
    STRING,
    Held,
    Tensor,
    check_covers,
    gguf,
    key_value,
    string,
    tensor_info,
)

F32, F16, Q4_K, Q6_K, UNKNOWN = 0, 1, 12, 14, 4711
ONE = Tensor("one", F32, (3,), b"a" * 12)
TWO = Tensor("two", F16, (5, 2), b"b" * 20)
ALIGNMENT = "general.alignment"

HELD = {
    0: 200, 1: -100, 2: 60_000, 3: -30_000, 4: 2**32 - 1, 5: -(2**31), 6: 1.5, 7: True,
    8: "text", 9: (4, [1, 2, 3]), 10: 2**64 - 1, 11: -(2**63), 12: 2.5,
}  # fmt: skip


def parsed(data: bytes) -> Layout:
    layout = parse_gguf(Held(data), len(data))
    check_covers(layout, len(data))
    return layout


def refused(data: bytes, why: str) -> None:
    with pytest.raises(LayoutFault, match=why):
        parse_gguf(Held(data), len(data))


@pytest.mark.parametrize("version", [2, 3])
def test_spans_say_what_each_byte_is(version: int) -> None:
    data = gguf([ONE, TWO], [key_value("a.b", STRING, "c")], version=version)
    start = data.index(b"a" * 12)
    head = 24 + len(key_value("a.b", STRING, "c")) + sum(len(tensor_info(t, 0)) for t in (ONE, TWO))
    layout = parsed(data)
    assert [(span.kind.name, span.offset, span.length) for span in layout.spans] == [
        ("HEADER", 0, head),
        ("PADDING", head, start - head),
        ("TENSOR", start, 12),
        ("PADDING", start + 12, 20),
        ("TENSOR", start + 32, 20),
        ("PADDING", start + 52, 12),
    ]
    told = [(span.name, span.dtype, span.elements) for span in layout.tensors]
    assert told == [("one", "F32", 3), ("two", "F16", 10)]


@pytest.mark.parametrize("kind", HELD)
def test_every_metadata_type_is_gone_over(kind: int) -> None:
    alone = key_value("alone", kind, HELD[kind])
    array = key_value("array", ARRAY, (kind, [HELD[kind]] * 3))
    nested = key_value("nested", ARRAY, (ARRAY, [(kind, []), (kind, [HELD[kind]])]))
    layout = parsed(gguf([ONE], [alone, array, nested]))
    assert [span.name for span in layout.tensors] == ["one"]


def test_without_tensors_there_is_no_padding_and_no_tail() -> None:
    data = gguf(metadata=[key_value("a", STRING, "vocabulary")])
    assert [span.kind for span in parsed(data).spans] == [SpanKind.HEADER]


def test_the_last_tensor_needs_no_padding_and_something_may_follow() -> None:
    data = gguf([ONE], last_padded=False)
    assert parsed(data).spans[-1].kind is SpanKind.TENSOR
    tail = parsed(gguf([ONE]) + b"more").spans[-1]
    assert (tail.kind, tail.length) == (SpanKind.TAIL, 4)


def test_tensors_need_not_be_listed_in_the_order_of_the_file() -> None:
    infos = tensor_info(TWO, 32) + tensor_info(ONE, 0)
    head = struct.pack("<4sI2Q", b"GGUF", 3, 2, 0) + infos
    data = head + bytes(-len(head) % 32) + ONE.data + bytes(20) + TWO.data
    assert [span.name for span in parsed(data).tensors] == ["one", "two"]


def test_a_tensor_without_elements_has_no_span() -> None:
    empty = Tensor("empty", F32, (0, 4), b"")
    assert [span.name for span in parsed(gguf([ONE, empty, TWO])).tensors] == ["one", "two"]


def test_a_type_that_is_not_known_is_bounded_by_its_neighbours() -> None:
    new = Tensor("new", UNKNOWN, (7,), b"n" * 40)
    layout = parsed(gguf([ONE, new, TWO, Tensor("last", UNKNOWN, (1,), b"l" * 3)]))
    assert [(span.dtype, span.length) for span in layout.tensors] == [
        ("F32", 12),
        ("ggml-4711", 64),
        ("F16", 20),
        ("ggml-4711", 32),
    ]


def test_large_values_and_the_list_of_tensors_have_header_spans_of_their_own() -> None:
    tokens = key_value("tokens", ARRAY, (STRING, [f"token{n}" for n in range(1000)]))
    scores = key_value("scores", ARRAY, (6, [0.0] * 2000))
    small = [key_value("name", STRING, "x"), key_value("licence", STRING, "y" * 100)]
    many = [Tensor(f"tensor{n}", F32, (8,), bytes(32)) for n in range(200)]
    layout = parsed(gguf(many, [small[0], tokens, scores, small[1]]))
    head = [(span.name, span.length) for span in layout.spans if span.kind is SpanKind.HEADER]
    assert head == [
        ("", 24 + len(small[0])),
        ("tokens", len(tokens)),
        ("scores", len(scores)),
        ("", len(small[1])),
        ("", sum(len(tensor_info(tensor, 0)) for tensor in many)),
    ]


def test_a_header_longer_than_a_window_is_read_once() -> None:
    texts = ["t" * (n % 3000) for n in range(2000)]
    data = gguf([ONE], [key_value("texts", ARRAY, (STRING, texts)), key_value("end", 4, 1)])
    reader = Held(data)
    layout = parse_gguf(reader, len(data))
    assert len(data) > 2_000_000
    assert [span.name for span in layout.tensors] == ["one"]
    assert reader.bytes_read <= len(data) + 1000


def test_a_long_text_is_not_read_at_all() -> None:
    data = gguf([ONE], [key_value("text", STRING, "t" * 20_000_000)])
    reader = Held(data)
    parse_gguf(reader, len(data))
    assert reader.bytes_read < 3_000_000


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_another_alignment(alignment: int) -> None:
    key = key_value(ALIGNMENT, 4, alignment)
    layout = parsed(gguf([ONE, TWO], [key], alignment=alignment))
    assert [span.length for span in layout.tensors] == [12, 20]
    assert all(span.length < alignment for span in layout.spans if span.kind is SpanKind.PADDING)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (key_value(ALIGNMENT, 4, 0), "power of two"),
        (key_value(ALIGNMENT, 4, 48), "power of two"),
        (key_value(ALIGNMENT, 4, 1 << 31), "power of two"),
        (key_value(ALIGNMENT, 10, 32), "32-bit"),
        (key_value("", 4, 1), "empty"),
        (key_value("k" * 65_536, 4, 1), "longer"),
        (string("k") + struct.pack("<I", 13), "type 13"),
        (string("k") + struct.pack("<IIQ", ARRAY, 13, 1), "type 13"),
        (string("k") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 9, "nest"),
        (string("k") + struct.pack("<IQ", STRING, 2**63), "beyond"),
        (string("k") + struct.pack("<IIQ", ARRAY, 0, 2**63), "beyond"),
        (string("k") + struct.pack("<IIQ", ARRAY, STRING, 2**60), "beyond"),
        (string("k") + struct.pack("<IIQQ", ARRAY, STRING, 1, 2**60), "beyond"),
        (string("k") + struct.pack("<IIQ", ARRAY, ARRAY, 2**60), "beyond"),
    ],
)
def test_metadata_that_cannot_be_is_refused(key: bytes, why: str) -> None:
    refused(gguf([ONE], [key]) + bytes(64), why)


def test_a_key_that_stands_twice_is_refused() -> None:
    refused(gguf([ONE], [key_value("k", 4, 1)] * 2), "twice")


def _listed(info: bytes, size_bytes: int = 4096) -> bytes:
    head = struct.pack("<4sI2Q", b"GGUF", 3, 2, 0) + tensor_info(ONE, 0) + info
    return head.ljust(size_bytes, b"\0")


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (tensor_info(TWO, 33), "not aligned"),
        (tensor_info(TWO, 0), "begins inside"),
        (tensor_info(TWO, 64), "belong to no tensor"),
        (tensor_info(TWO, 1 << 40), "beyond the end"),
        (tensor_info(TWO._replace(dimensions=(1 << 40,)), 32), "beyond the end"),
        (tensor_info(TWO._replace(dimensions=(1 << 62, 1 << 62)), 32), "more elements"),
        (tensor_info(TWO._replace(dimensions=(1,) * 9), 32), "9 dimensions"),
        (tensor_info(TWO._replace(kind=Q4_K, dimensions=(255,)), 32), "no whole blocks"),
        (tensor_info(TWO._replace(kind=UNKNOWN), 1 << 40), "beyond the end"),
        (tensor_info(ONE, 32), "twice"),
        (tensor_info(TWO._replace(name="n" * 1025), 32), "longer"),
        (string(b"\xff") + struct.pack("<IIQ", 0, 0, 32), "UTF-8"),
    ],
)
def test_tensors_that_cannot_be_are_refused(info: bytes, why: str) -> None:
    refused(_listed(info), why)


def test_a_file_cut_short_is_refused() -> None:
    data = gguf([ONE, TWO], [key_value("a", STRING, "b")], last_padded=False)
    for length in range(len(data)):
        refused(data[:length], "beyond|ends at|begin with")


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (struct.pack(">4sI2Q", b"GGUF", 3, 0, 0), "big-endian"),
        (struct.pack("<4sI2Q", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack("<4sI2Q", b"GGUF", 4, 0, 0), "version 4"),
        (struct.pack("<4sI2Q", b"GGML", 3, 0, 0), "begin with GGUF"),
    ],
)
def test_other_formats_are_refused(start: bytes, why: str) -> None:
    refused(start + bytes(100), why)


@pytest.mark.parametrize(
    ("tensors", "keys"),
    [(2**64 - 1, 0), (0, 2**64 - 1), (250_001, 0), (0, 65_537), (250_000, 0), (0, 65_536)],
)
def test_counts_that_lie_cost_nothing(tensors: int, keys: int) -> None:
    reader = Held(struct.pack("<4sI2Q", b"GGUF", 3, tensors, keys) + bytes(1000))
    tracemalloc.start()
    with pytest.raises(LayoutFault):
        parse_gguf(reader, 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_header_that_claims_more_than_its_bound_is_refused_before_it_is_read() -> None:
    data = gguf([ONE], [string("k") + struct.pack("<IQ", STRING, MAX_HEADER_BYTES)])
    with pytest.raises(LayoutFault, match="beyond byte 67108864"):
        parse_gguf(Held(data + bytes(2_000_000)), 1 << 40)


def test_a_model_of_20_gb_costs_its_header() -> None:
    rows = 1 << 20
    length = rows // 256 * 210 * 100
    tensors = [Tensor(f"blk.{n}", Q6_K, (rows, 100), b"") for n in range(230)]
    head = struct.pack("<4sI2Q", b"GGUF", 3, len(tensors), 0)
    head += b"".join(tensor_info(tensor, n * length) for n, tensor in enumerate(tensors))
    start = len(head) + -len(head) % 32
    reader = Held(head.ljust(1 << 20, b"\0"))
    tracemalloc.start()
    layout = parse_gguf(reader, start + len(tensors) * length)
    check_covers(layout, layout.size_bytes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert layout.size_bytes > 19_000_000_000
    assert peak < 3_000_000


def test_block_layouts_are_those_of_ggml() -> None:
    reason = "not under Wine: gguf needs numpy, which fails there"
    constants = pytest.importorskip("gguf.constants", reason=reason)
    sizes = {kind.value: (kind.name, *size) for kind, size in constants.GGML_QUANT_SIZES.items()}
    for number, known in TYPES.items():
        assert sizes[number] == tuple(known)


names = st.text(max_size=8)
kinds = st.sampled_from([0, 1, 2, 8, 12, 14, 24, 30, 39, UNKNOWN])


@st.composite
def models(draw: st.DrawFn) -> tuple[bytes, list[Tensor]]:
    alignment = draw(st.sampled_from([8, 32, 64]))
    keys = draw(
        st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from([*HELD]), max_size=4)
    )
    metadata = [key_value(ALIGNMENT, 4, alignment)]
    for key, kind in keys.items():
        metadata.append(key_value(key, kind, HELD[kind]))
        metadata.append(
            key_value(key + ".array", ARRAY, (kind, [HELD[kind]] * draw(st.integers(0, 3))))
        )
    tensors = []
    for name in draw(st.lists(names, unique=True, max_size=5)):
        kind = draw(kinds)
        _, elements, size = TYPES.get(kind, ("", 1, alignment))
        rows, blocks = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        content = draw(st.binary(min_size=1, max_size=4)) * (rows * blocks * size)
        tensors.append(
            Tensor(name, kind, (blocks * elements, rows), content[: rows * blocks * size])
        )
    return gguf(tensors, metadata, alignment=alignment), tensors


@given(models())
def test_any_model_is_covered_and_every_tensor_found(model: tuple[bytes, list[Tensor]]) -> None:
    data, tensors = model
    found = {span.name: data[span.offset : span.end] for span in parsed(data).tensors}
    assert found == {tensor.name: tensor.data for tensor in tensors if tensor.data}


@given(models(), st.data())
def test_whatever_happens_to_a_model_it_is_covered_or_refused(
    model: tuple[bytes, list[Tensor]], draws: st.DataObject
) -> None:
    data = bytearray(model[0])
    for _ in range(draws.draw(st.integers(1, 4))):
        at = draws.draw(st.integers(0, max(len(data) - 1, 0)))
        length = draws.draw(st.integers(0, 16))
        data[at : at + length] = draws.draw(st.binary(max_size=16))
    try:
        parsed(bytes(data))
    except LayoutFault:
        pass
