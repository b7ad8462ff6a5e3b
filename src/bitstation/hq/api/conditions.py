"""Which part of a stored object a request asks for, if any: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import re
from typing import NamedTuple

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SPAN = re.compile(r"([0-9]{0,40})-([0-9]{0,40})\Z")


class Conditions(NamedTuple):
    """Header fields that select; None where a field is absent."""

    range: str | None = None
    if_range: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None


class Selection(NamedTuple):
    """Answer: 200 whole, 206 a span of it, or 304, 412, 416 and no byte of it."""

    status: int
    first: int = 0
    length: int = 0


def select(method: str, asked: Conditions, etag: str, size: int) -> Selection:
    """Apply the conditions to an object of ``size`` bytes whose strong ``etag`` is quoted.

    Our objects never change, so there are no dates: fields that compare dates are ignored, as
    section 13.1 demands where an object has none. Several ranges are answered with the whole,
    which section 14.2 allows, so that nobody can ask for thousands of slivers.
    """
    if asked.if_match is not None and not _names(asked.if_match, etag, weakly=False):
        return Selection(412)
    if asked.if_none_match is not None and _names(asked.if_none_match, etag, weakly=True):
        return Selection(304)
    whole = Selection(200, 0, size)
    # Section 14.2: Range means something for GET only.
    if method != "GET" or asked.range is None:
        return whole
    if asked.if_range is not None and asked.if_range.strip() != etag:
        return whole
    return _span(asked.range, size) or whole


def _names(field: str, etag: str, *, weakly: bool) -> bool:
    if field.strip() == "*":
        return True
    tags = _TAG.findall(field)
    return any(tag == etag and (weakly or not weak) for weak, tag in tags)


def _span(field: str, size: int) -> Selection | None:
    """Selection of a Range field; None where it is to be ignored."""
    unit, equals, ranges = field.partition("=")
    match = _SPAN.match(ranges.strip(" \t"))
    if unit.strip().lower() != "bytes" or not equals or match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return Selection(416)
    end = min(int(last) + 1, size) if last else size
    return Selection(206, int(first), end - int(first))


def _suffix(length: int, size: int) -> Selection | None:
    if length == 0:
        return Selection(416)
    if size == 0:
        # Satisfiable, but Content-Range cannot say "no bytes": the whole is as short.
        return None
    length = min(length, size)
    return Selection(206, size - length, length)
