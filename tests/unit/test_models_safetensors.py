"""safetensors files taken apart: what is right, what is refused, and that nothing else happens."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.models.layout import Layout, LayoutFault, SpanKind
from bitstation.models.safetensors import MAX_HEADER_BYTES, parse_safetensors
from tests.unit.model_files import Held, check_covers, raw_safetensors, safetensors

BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
ENTRY = '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'


def parsed(data: bytes) -> Layout:
    layout = parse_safetensors(Held(data), len(data))
    check_covers(layout, len(data))
    return layout


def refused(data: bytes, why: str) -> None:
    with pytest.raises(LayoutFault, match=why):
        parse_safetensors(Held(data), len(data))


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_has_its_length(dtype: str) -> None:
    raw = b"x" * (BITS[dtype] * 24 // 8)
    data = safetensors([("a", dtype, [2, 3, 4], raw), ("b", dtype, [8], raw[: len(raw) // 3])])
    spans = list(parsed(data).tensors)
    assert [(span.name, span.dtype, span.elements) for span in spans] == [
        ("a", dtype, 24),
        ("b", dtype, 8),
    ]
    assert spans[0].offset == len(data) - len(raw) - len(raw) // 3


def test_a_scalar_an_empty_tensor_and_no_tensor() -> None:
    data = safetensors([("scalar", "F32", [], b"1234"), ("empty", "F32", [0, 9], b"")])
    assert [span.name for span in parsed(data).tensors] == ["scalar"]
    assert [span.kind for span in parsed(safetensors([])).spans] == [SpanKind.HEADER]
    assert [span.kind for span in parsed(raw_safetensors("{ }  ")).spans] == [SpanKind.HEADER]


def test_keys_come_in_any_order_and_tensors_too() -> None:
    header = """{ "b" : {"shape":[2], "data_offsets": [4,6], "dtype":"U8"},
      "__metadata__": {"k": "v", "w\\"": "\\u00e9\\n"},
      "\\u0061" : {"data_offsets":[0,4],"shape":[1],"dtype":"F32"} } """
    assert [span.name for span in parsed(raw_safetensors(header, b"123456")).tensors] == ["a", "b"]


def test_an_edit_of_the_metadata_changes_no_other_span() -> None:
    entries = [(f"tensor{n}", "F16", [4], bytes([n]) * 8) for n in range(100)]

    def contents(metadata: dict[str, str]) -> list[bytes]:
        data = safetensors(entries, metadata)
        assert data[: len(data) - 800].endswith(b" ")
        layout = parsed(data)
        kinds = [span.kind for span in layout.spans[:3]]
        assert kinds == [SpanKind.HEADER, SpanKind.HEADER, SpanKind.PADDING]
        return [data[span.offset : span.end] for span in layout.spans]

    before, after = contents({"format": "pt"}), contents({"format": "pt", "note": "n" * 999})
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert before[3:] == after[3:]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("", "begin with"),
        ("[]", "begin with"),
        (' {"a":' + ENTRY + "}", "begin with"),
        ('{"a":' + ENTRY, "near byte"),
        ('{"a":' + ENTRY + "}}", "after its end"),
        ('{"a":' + ENTRY + ",}", "near byte"),
        ('{"a":' + ENTRY + ',"a":' + ENTRY + "}", "twice"),
        ('{"a":' + ENTRY + ',"\\u0061":' + ENTRY + "}", "twice"),
        ('{"a":4}', "near byte"),
        ('{"a":{"dtype":"U8","shape":[4]}}', "three fields"),
        ('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}}', "three fields"),
        ('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"dtype":"I8"}}', "three fields"),
        ('{"a":{"dtype":"U8","shape":[4],"shape":[0,4]}}', "missing"),
        ('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}', "length 2"),
        ('{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}', ">= 0"),
        ('{"a":{"dtype":"U8","shape":[4.5],"data_offsets":[0,4]}}', "int"),
        ('{"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}', "array"),
        ('{"a":{"dtype":"Q8","shape":[4],"data_offsets":[0,4]}}', "Q8"),
        ('{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,4]}}', "as long as"),
        ('{"a":{"dtype":"F4","shape":[7],"data_offsets":[0,4]}}', "as long as"),
        ('{"a":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}', "belong to no tensor"),
        ('{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}', "as long as"),
        ('{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]}}', "elements"),
        ('{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]}}', "elements"),
        ('{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', "beyond the end"),
        ('{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}', "belong to nothing"),
        ('{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}', "belong to no tensor"),
        ('{"a":' + ENTRY + ',"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}', "inside"),
        ('{"a":' + ENTRY + ',"__metadata__":{"k":1}}', "near byte"),
        ('{"a":' + ENTRY + ',"__metadata__":{"k":"v",}}', "near byte"),
        ('{"a":' + ENTRY + ',"__metadata__":{},"__metadata__":{}}', "twice"),
        ('{"' + "n" * 1025 + '":' + ENTRY + "}", "longer than"),
        ('{"\\ud800":' + ENTRY + "}", "no text"),
        (b'{"\xff":' + ENTRY.encode() + b"}", "no text"),
        ('{"a\n":' + ENTRY + "}", "near byte"),
        ('{"a":{"dtype":"U8","shape":[' + "1," * 5000 + '4],"data_offsets":[0,4]}}', "near byte"),
    ],
)
def test_headers_that_cannot_be_are_refused(header: str | bytes, why: str) -> None:
    refused(raw_safetensors(header, b"1234"), why)


@pytest.mark.parametrize("length", [101, 2**63, 2**64 - 1, MAX_HEADER_BYTES + 1])
def test_a_header_length_that_lies_is_refused_before_anything_is_read(length: int) -> None:
    reader = Held(struct.pack("<Q", length) + bytes(100))
    with pytest.raises(LayoutFault, match="claims"):
        parse_safetensors(reader, 108)
    assert reader.bytes_read == 8


def test_a_file_cut_short_is_refused() -> None:
    data = safetensors([("a", "U8", [4], b"1234")], {"k": "v"})
    for length in range(len(data)):
        refused(data[:length], "shorter|claims|beyond the end")


@pytest.mark.parametrize(
    "header",
    [
        b'{"a' + b"\\\\" * 2_000_000,
        b'{"__metadata__":{"k":"' + b'\\"' * 2_000_000,
        b'{"__metadata__":{' + b'"k":"v",' * 500_000,
        b"{" + b'"a":' * 1_000_000,
        b"{" + b" " * 4_000_000,
        b'{"a":' + b"[" * 4_000_000,
        b'{"a":' + b"{" * 4_000_000,
        b'{"a":{"shape":[' + b"0," * 2_000_000,
    ],
)
def test_a_hostile_header_costs_little_time_and_memory(header: bytes) -> None:
    data = raw_safetensors(header)
    start_s = time.process_time()
    tracemalloc.start()
    refused(data, "near byte")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(data)
    assert time.process_time() - start_s < 5


def test_files_of_the_library_itself(tmp_path: Path) -> None:
    reason = "not under Wine: needs numpy, which fails there"
    numpy = pytest.importorskip("numpy", reason=reason)
    library = pytest.importorskip("safetensors.numpy", reason=reason)
    tensors = {f"t{n}": numpy.arange(n * 3).astype(dtype) for n, dtype in enumerate("fdhiq?e")}
    data = library.save(tensors, {"format": "np"})
    found = {span.name: data[span.offset : span.end] for span in parsed(data).tensors}
    assert found == {name: tensor.tobytes() for name, tensor in tensors.items() if tensor.size}


@st.composite
def models(draw: st.DrawFn) -> tuple[bytes, dict[str, bytes]]:
    held = {}
    entries = []
    for name in draw(st.lists(st.text(max_size=6), unique=True, max_size=5)):
        dtype = draw(st.sampled_from([*BITS]))
        shape = [*draw(st.lists(st.integers(0, 3), max_size=3)), 4]
        count = 1
        for length in shape:
            count *= length
        size = count * BITS[dtype] // 8
        raw = (draw(st.binary(min_size=1, max_size=4)) * size)[:size]
        if name != "__metadata__":
            entries.append((name, dtype, shape, raw))
            held[name] = raw
    metadata = draw(st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
    return safetensors(entries, metadata, fill=draw(st.booleans())), held


@given(models())
def test_any_model_is_covered_and_every_tensor_found(model: tuple[bytes, dict[str, bytes]]) -> None:
    data, held = model
    found = {span.name: data[span.offset : span.end] for span in parsed(data).tensors}
    assert found == {name: raw for name, raw in held.items() if raw}


@given(models(), st.data())
def test_whatever_happens_to_a_model_it_is_covered_or_refused(
    model: tuple[bytes, dict[str, bytes]], draws: st.DataObject
) -> None:
    data = bytearray(model[0])
    for _ in range(draws.draw(st.integers(1, 4))):
        at = draws.draw(st.integers(0, len(data)))
        length = draws.draw(st.integers(0, 8))
        data[at : at + length] = draws.draw(
            st.binary(max_size=8) | st.sampled_from([b"0", b'"', b"}"])
        )
    try:
        parsed(bytes(data))
    except LayoutFault:
        pass


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_json_stands_in_a_header_it_is_covered_or_refused(value: object) -> None:
    for header in (value, {"a": value}, {"__metadata__": value}):
        try:
            parsed(raw_safetensors(json.dumps(header)))
        except LayoutFault:
            pass
