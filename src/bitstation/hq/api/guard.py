"""The first look at every request: an address must mean one thing, whoever reads it."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitstation.hq.api.problems import http_problem

# An encoded slash, backslash, control character or dot: nobody needs to spell them so, and a
# proxy before us may read them in another way than we do.
_AMBIGUOUS = re.compile(rb"%(2[ef]|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class Guard:
    """Layer around the application that refuses ambiguous addresses with 400."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and forbid that what is answered is taken for another type."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _NOSNIFF]
            await send(message)

        if _is_plain(scope["raw_path"]):
            await self._app(scope, receive, guarded)
        else:
            refusal = HTTPException(400, "the address has several readings")
            answer = await http_problem(Request(scope), refusal)
            await answer(scope, receive, guarded)


def _is_plain(raw_path: bytes) -> bool:
    if _AMBIGUOUS.search(raw_path):
        return False
    try:
        unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
