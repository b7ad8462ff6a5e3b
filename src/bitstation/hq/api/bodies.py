"""Bodies of requests: bounded, checked, and never waited for endlessly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import NamedTuple, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bitstation.core.canonical import JsonFault, parse_json
from bitstation.errors import UsageError

# A sender who says nothing for so long has gone without saying so.
IDLE_S = 20.0
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})\Z", re.ASCII)

_Message = TypeVar("_Message", bound=msgspec.Struct)


class UploadSpan(NamedTuple):
    """Bytes of a blob that a body carries: ``length`` of them, from ``first`` on."""

    first: int
    length: int


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """Body as it arrives.

    Raises ClientDisconnect when the sender is gone, HTTPException 408 when he fell silent.
    """
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                chunk = await anext(chunks, b"")
        except TimeoutError as error:
            silence = f"nothing arrived for {IDLE_S:.0f} s"
            raise HTTPException(408, silence, {"Connection": "close"}) from error
        if not chunk:
            return
        yield chunk


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Whole body. Raises HTTPException 413 when it is larger than the limit."""
    body = bytearray()
    async for chunk in body_chunks(request):
        body += chunk
        if len(body) > limit_bytes:
            raise HTTPException(413, f"the body is larger than {limit_bytes} bytes")
    return bytes(body)


async def read_message(request: Request, kind: type[_Message], limit_bytes: int) -> _Message:
    """Message of a JSON body. Raises UsageError."""
    body = await read_body(request, limit_bytes)
    try:
        return msgspec.convert(parse_json(body), kind)
    except (JsonFault, msgspec.ValidationError) as error:
        raise UsageError(detail=f"the body is not a {kind.__name__}: {error}") from error


def upload_span(request: Request, size_bytes: int) -> UploadSpan:
    """Which bytes of a blob of this size a PUT carries; without Content-Range all of them.

    Raises UsageError. Source: RFC 9110, sections 14.4 and 14.5.
    """
    span = _stated_span(request.headers.get("content-range"), size_bytes)
    length = request.headers.get("content-length", str(span.length))
    if length != str(span.length):
        raise UsageError(detail=f"the body has {length} bytes, not {span.length}")
    return span


def _stated_span(field: str | None, size_bytes: int) -> UploadSpan:
    if field is None:
        return UploadSpan(0, size_bytes)
    match = _CONTENT_RANGE.match(field)
    if match is None:
        raise UsageError(detail="Content-Range is not of the form 'bytes FIRST-LAST/SIZE'")
    first, last, size = map(int, match.groups())
    if size != size_bytes or not first <= last < size:
        raise UsageError(detail=f"{field!r} is not a span of a blob of {size_bytes} bytes")
    return UploadSpan(first, last + 1 - first)
