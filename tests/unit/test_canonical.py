"""The one JSON form that is hashed, and strict reading."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.canonical import (
    MAX_INTEGER,
    MAX_NESTING,
    JsonFault,
    canonical_bytes,
    canonical_digest,
    parse_json,
    pretty_bytes,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert parse_json(canonical_bytes(value)) == value  # type: ignore[arg-type]
    assert parse_json(pretty_bytes(value)) == value  # type: ignore[arg-type]


@given(VALUES)
def test_the_canonical_form_is_a_fixed_point(value: object) -> None:
    once = canonical_bytes(value)  # type: ignore[arg-type]
    assert canonical_bytes(parse_json(once)) == once


@given(st.dictionaries(TEXT, st.integers(0, 9), min_size=2))
def test_the_order_of_keys_changes_nothing(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_digest(turned) == canonical_digest(value)  # type: ignore[arg-type]


def test_keys_are_sorted_by_code_point_at_every_level_and_nothing_is_escaped() -> None:
    value = {"\U0001f600": 1, "\uff21": {"b": 1, "a": [True, None]}, "é": "/\u2028\x7f", "Z": -1}
    assert (
        canonical_bytes(value)
        == ('{"Z":-1,"é":"/\u2028\x7f","\uff21":{"a":[true,null],"b":1},"\U0001f600":1}').encode()
    )


def test_only_what_json_must_escape_is_escaped() -> None:
    assert canonical_bytes('"\\\x00\x1f\n') == b'"\\"\\\\\\u0000\\u001f\\n"'


def test_files_are_indented_by_two_and_end_without_a_line_end() -> None:
    assert pretty_bytes({"a": ["ñ"]}) == '{\n  "a": [\n    "ñ"\n  ]\n}'.encode()


def test_a_lone_surrogate_has_no_form() -> None:
    with pytest.raises(JsonFault, match="surrogate"):
        canonical_bytes({"\ud800": 1})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"1 2", "not JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        ('"ñ"'.encode("latin-1"), "not UTF-8 at byte 1"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        (b"1.0", "not an integer"),
        (b"1e3", "not an integer"),
        (b"NaN", "not an integer"),
        (b"-Infinity", "not an integer"),
        (b"-0", "not an integer"),
        (str(MAX_INTEGER + 1).encode(), "not an integer"),
        (str(-MAX_INTEGER - 1).encode(), "not an integer"),
        (b"9" * 5000, "not an integer"),
        (b"[" * 100_000, "not JSON|nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "nested deeper"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(JsonFault, match=words):
        parse_json(data)


def test_the_bounds_themselves_are_taken() -> None:
    deep = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert json.dumps(parse_json(deep)).encode() == deep
    assert parse_json(str(MAX_INTEGER).encode()) == MAX_INTEGER
    assert parse_json(str(-MAX_INTEGER).encode()) == -MAX_INTEGER


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = parse_json(data)
    except JsonFault:
        return
    assert parse_json(canonical_bytes(value)) == value
