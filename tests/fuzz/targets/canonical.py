"""JSON read strictly, and its canonical form, which RFC 8785 gives too where keys sort alike."""

from __future__ import annotations

import json

from bitstation.core.canonical import (
    JsonFault,
    JsonValue,
    canonical_bytes,
    parse_json,
    pretty_bytes,
)

try:
    import rfc8785
except ImportError:  # pragma: no cover - not among the packages for Wine
    rfc8785 = None  # type: ignore[assignment]


def check(data: bytes) -> bool:
    """What is taken means what Python's own reader says, and is written in one way only."""
    try:
        value = parse_json(data)
    except JsonFault:
        _any_number(data)
        return False
    assert value == json.loads(data)
    assert value == _any_number(data)
    try:
        written = canonical_bytes(value)
    except JsonFault:
        assert _has_surrogate(value)
        return False
    assert parse_json(written) == value
    assert canonical_bytes(parse_json(written)) == written
    assert parse_json(pretty_bytes(value)) == value
    if rfc8785 is not None and _sorts_alike(value):
        assert written == rfc8785.dumps(value)
    return True


def _any_number(data: bytes) -> JsonValue:
    try:
        return parse_json(data, any_number=True)
    except JsonFault:
        return None


def _has_surrogate(value: JsonValue) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in json.dumps(value, ensure_ascii=False))


def _sorts_alike(value: JsonValue) -> bool:
    """Say whether code points and UTF-16 units give the same order of keys at every level."""
    if isinstance(value, list):
        return all(map(_sorts_alike, value))
    if isinstance(value, dict):
        same = sorted(value) == sorted(value, key=lambda key: key.encode("utf-16-be"))
        return same and all(map(_sorts_alike, value.values()))
    return True
