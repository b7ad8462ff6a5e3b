"""The one JSON form that is hashed, and strict reading of JSON that others wrote."""

from __future__ import annotations

import json
import math

from bitstation.core.digest import Digest, digest_of

MAX_INTEGER = 2**53 - 1
"""Integers beyond this lose bits in readers that hold numbers as IEEE doubles (RFC 8259, 6)."""

MAX_NESTING = 64

JsonValue = None | bool | int | str | list["JsonValue"] | dict[str, "JsonValue"]


class JsonFault(ValueError):
    """The text is not JSON as BitStation accepts it; the message says where it differs."""


def parse_json(data: bytes, *, any_number: bool = False) -> JsonValue:
    """Parse UTF-8 JSON strictly: no BOM, no repeated key, no float, no NaN, integers within 2^53.

    ``any_number`` takes every finite number, for documents of which not all is hashed. Raises
    JsonFault. Repeated keys are refused because two readers may keep different ones.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise JsonFault("begins with a byte order mark")
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_finite if any_number else _no_float,
            parse_int=None if any_number else _integer,
            parse_constant=_no_float,
        )
    except UnicodeDecodeError as error:
        raise JsonFault(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise JsonFault(f"not JSON: {error.msg} at character {error.pos}") from error
    except JsonFault:
        raise
    except ValueError as error:
        raise JsonFault(f"a number is too long: {error}") from error
    except RecursionError:
        # The cause would carry thousands of frames and says nothing more.
        raise JsonFault("nested too deeply") from None
    if _depth_exceeds(value, MAX_NESTING):
        raise JsonFault(f"nested deeper than {MAX_NESTING}")
    return value


def canonical_bytes(value: JsonValue) -> bytes:
    """Canonical form: keys sorted by code point, no spaces, nothing escaped that need not be.

    Raises JsonFault for a lone surrogate, which has no UTF-8 form.
    Source: RFC 8785, but for key order (code points, not UTF-16 units) and numbers (integers).
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise JsonFault(f"lone surrogate at character {error.start}") from error


def canonical_digest(value: JsonValue) -> Digest:
    """SHA-256 of the canonical form."""
    return digest_of(canonical_bytes(value))


def pretty_bytes(value: JsonValue) -> bytes:
    """Form in which files are written: indent 2, LF, non-ASCII as it is, no end-of-file newline."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8")


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonFault(f"key {repeated!r} stands twice in one object")
    return result


def _no_float(text: str) -> JsonValue:
    raise JsonFault(f"number {text[:40]} is not an integer")


def _finite(text: str) -> JsonValue:
    number = float(text)
    if not math.isfinite(number):
        raise JsonFault(f"number {text[:40]} is too large")
    return number  # type: ignore[return-value]  # no value that is hashed holds one


def _integer(text: str) -> int:
    # A negative zero is a second spelling of zero, and long digits cost quadratic time to convert.
    if len(text) > 17 or text == "-0" or abs(number := int(text)) > MAX_INTEGER:
        raise JsonFault(f"number {text[:40]} is not an integer within 2^53")
    return number


def _depth_exceeds(value: JsonValue, limit: int) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(limit):
        below: list[JsonValue] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(child for child in item.values() if isinstance(child, (dict, list)))
            elif isinstance(item, list):
                below.extend(child for child in item if isinstance(child, (dict, list)))
        if not below:
            return False
        level = below
    return True
