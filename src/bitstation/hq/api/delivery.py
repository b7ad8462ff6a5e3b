"""What is said of a blob before its bytes: conditions, ranges, validators, caching."""

from __future__ import annotations

import base64

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitstation.hq.api.conditions import Conditions, select
from bitstation.hq.api.sending import BlobSender
from bitstation.hq.releases import BlobRef

OCTETS = "application/octet-stream"
_FOREVER = "public, max-age=31536000, immutable"


def blob_answer(
    sender: BlobSender, request: Request, blob: BlobRef, *, etag: str, media_type: str = OCTETS
) -> ASGIApp:
    """Answer with a blob, or a span of it, under the conditions that a request states.

    Raises HTTPException 412 and 416.
    """
    headers = {"ETag": f'"{etag}"', "Cache-Control": _FOREVER}
    selected = select(request.method, _conditions(request), headers["ETag"], blob.size)
    if selected.status == 304:
        return Response(status_code=304, headers=headers)
    if selected.status == 412:
        raise HTTPException(412, "If-Match names other content")
    if selected.status == 416:
        unsatisfied = {"Content-Range": f"bytes */{blob.size}"}
        raise HTTPException(416, f"the blob has {blob.size} bytes only", unsatisfied)
    headers |= _representation(blob, media_type)
    headers["Content-Length"] = str(selected.length)
    if selected.status == 206:
        last = selected.first + selected.length - 1
        headers["Content-Range"] = f"bytes {selected.first}-{last}/{blob.size}"
    # HEAD never touches the disk: a fleet that asks what it knows costs nothing.
    has_body = request.method == "GET" and selected.length > 0
    if not has_body:
        return Response(status_code=selected.status, headers=headers)
    start = _start(selected.status, headers)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        span = selected.first, selected.length
        await sender.send_span(blob.digest, span, start, receive, send)

    return respond


def _conditions(request: Request) -> Conditions:
    return Conditions(
        range=_field(request, "range"),
        if_range=_field(request, "if-range"),
        if_match=_field(request, "if-match"),
        if_none_match=_field(request, "if-none-match"),
    )


def _field(request: Request, name: str) -> str | None:
    # Lines of one name mean the same as one line with commas: RFC 9110, section 5.3.
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


def _representation(blob: BlobRef, media_type: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(blob.digest)).decode("ascii")
    return {
        "Content-Type": media_type,
        "Accept-Ranges": "bytes",
        "X-File-SHA256": blob.digest,
        "Repr-Digest": f"sha-256=:{digest}:",
    }


def _start(status: int, headers: dict[str, str]) -> Message:
    raw = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}
