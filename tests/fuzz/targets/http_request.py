"""What a client may ask of HQ: a size, and then the header fields and the body, one a line."""

from __future__ import annotations

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bitstation.core.wire import GuidesNamed, RequireRequest
from bitstation.errors import UsageError
from bitstation.hq.api.bodies import read_body, read_message, upload_span
from bitstation.hq.api.conditions import Conditions, select

_ETAG = '"' + "a" * 64 + '"'
_PLAIN = re.compile(r"bytes=([0-9]+)-([0-9]+)")


def check(data: bytes) -> bool:
    """A selection lies within its object; bodies end in a message or in a refusal."""
    size = int.from_bytes(data[:2], "little")
    lines = [*data[2:].split(b"\n", 5), *[b""] * 6][:6]
    return _selects(size, lines[:4]) | _uploads(size, lines[:2]) | asyncio.run(_reads(lines[5]))


def _selects(size: int, lines: list[bytes]) -> bool:
    fields = [line.decode("latin-1") or None for line in lines]
    asked = Conditions(*(field and field.replace("ETAG", _ETAG) for field in fields))
    found = select("GET", asked, _ETAG, size)
    assert found.status in (200, 206, 304, 412, 416)
    assert select("HEAD", asked, _ETAG, size).status in (200, 304, 412)
    if found.status == 206:
        assert found.first >= 0
        assert found.length > 0
        assert found.first + found.length <= size
        plain = _PLAIN.fullmatch(asked.range or "")
        if plain:
            assert found.first == int(plain[1])
            assert found.length == min(int(plain[2]), size - 1) - found.first + 1
    else:
        assert (found.first, found.length) == (0, size if found.status == 200 else 0)
    return found.status == 206


def _uploads(size: int, lines: list[bytes]) -> bool:
    names = (b"content-range", b"content-length")
    headers = [(name, line) for name, line in zip(names, lines, strict=True) if line]
    try:
        span = upload_span(Request({"type": "http", "headers": headers}), size)
    except UsageError:
        return False
    assert 0 <= span.first <= span.first + span.length <= size
    return bool(headers)


async def _reads(body: bytes) -> bool:
    taken = False
    for kind in (RequireRequest, GuidesNamed):
        try:
            await read_message(_request(body), kind, 512)
            taken = True
        except (UsageError, HTTPException) as error:
            assert str(error)
    try:
        assert len(await read_body(_request(body), 64)) <= 64
    except HTTPException:
        assert len(body) > 64
    return taken


def _request(body: bytes) -> Request:
    pieces = [body[:7], body[7:]]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return Request({"type": "http", "headers": []}, receive)
