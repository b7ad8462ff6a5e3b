"""Errors as readers of HQ see them: RFC 9457 problem details with the code of the error."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bitstation.core.wire import Problem
from bitstation.errors import (
    BitStationError,
    DiskFull,
    IntegrityError,
    KeyRefused,
    ManifestError,
    NotFound,
    NotSigned,
    PermissionRefused,
    ReleaseConflict,
    ReleaseIncomplete,
    SignatureRefused,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    TokenRefused,
    UploadOffset,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[BitStationError], int] = {
    UsageError: 400,
    TokenRefused: 401,
    NotFound: 404,
    ReleaseConflict: 409,
    ReleaseIncomplete: 409,
    UploadOffset: 409,
    KeyRefused: 422,
    NotSigned: 422,
    SignatureRefused: 422,
    ManifestError: 422,
    IntegrityError: 422,
    StoreLocked: 423,
    DiskFull: 507,
    BitStationError: 500,
}
ANYWHERE: frozenset[type[BitStationError]] = frozenset(
    {BitStationError, NotFound, PermissionRefused, StoreCorrupt, StoreError, UsageError}
)
"""Errors that any request may meet."""

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 423: {"Retry-After": "1"}}


def status_of(error: type[BitStationError]) -> int:
    """Status code under which an error is answered."""
    return next(_STATUS[kind] for kind in error.__mro__ if kind in _STATUS)


async def bitstation_problem(_request: Request, error: Exception) -> Response:
    """Answer for an error of ours."""
    assert isinstance(error, BitStationError)
    status = status_of(type(error))
    return _answer(status, error.code, _detail(error), error.advice(), _HEADERS.get(status, {}))


async def http_problem(_request: Request, error: Exception) -> Response:
    """Answer for what HTTP itself has a name for."""
    assert isinstance(error, HTTPException)
    code = NotFound.code if error.status_code == 404 else UsageError.code
    return _answer(error.status_code, code, error.detail, "", dict(error.headers or {}))


async def unexpected_problem(_request: Request, _error: Exception) -> Response:
    """Answer for a fault of HQ itself; what it was stands in the log only."""
    return _answer(500, BitStationError.code, "HQ failed; its log says why", "", {})


def _answer(status: int, code: str, detail: str, hint: str, headers: dict[str, str]) -> Response:
    problem = Problem(
        type=f"/docs#{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        hint=hint,
    )
    body = msgspec.json.encode(problem)
    return Response(body, status, headers, MEDIA_TYPE)


def _detail(error: BitStationError) -> str:
    # Who answered is what the asker knows best; where HQ keeps its files is not his to know.
    if isinstance(error, NotFound):
        return str(error.fields.get("what"))
    if isinstance(error, TokenRefused):
        return str(error.fields.get("detail"))
    if "path" in error.fields and status_of(type(error)) >= 500:
        return type(error)(**{**error.fields, "path": "HQ's disk"}).text()
    return str(error)
