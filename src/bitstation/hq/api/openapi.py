"""The OpenAPI 3.1 document, made from the endpoints and the types of ``core.wire``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from bitstation import __version__
from bitstation.core.wire import Channel, HexDigest, Problem, ToolId, Version
from bitstation.hq.api import problems
from bitstation.hq.api.endpoint import Endpoint

_PARAMETERS: dict[str, Any] = {
    "tool_id": ToolId,
    "version": Version,
    "path": str,
    "sha256": HexDigest,
    "session_id": str,
    "channel": Channel,
    "file": str,
}
_TOKEN = "publisherToken"
_DESCRIPTION = (
    "HEAD is answered wherever GET is. Errors are RFC 9457 problem details with a stable code."
)

Document = dict[str, Any]


def openapi_document(endpoints: Sequence[Endpoint]) -> Document:
    """OpenAPI document of the endpoints, as JSON values."""
    schemas = _Schemas(endpoints)
    paths: Document = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "BitStation HQ", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """JSON Schemas of all types that the endpoints name."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        named = [kind for row in endpoints for kind in (row.answer, row.body) if kind]
        # A list of types, compared by equality: an annotated type need not be hashable.
        self._kinds = [Problem, *_PARAMETERS.values(), *named]
        self._schemas, self.components = msgspec.json.schema_components(
            self._kinds, ref_template="#/components/schemas/{name}"
        )

    def of(self, kind: Any) -> Document:
        """Schema of a type."""
        return self._schemas[self._kinds.index(kind)]

    def content(self, kind: Any, media_type: str) -> Document:
        """Content of a body; plain bytes have no schema."""
        return {media_type: {} if kind is bytes else {"schema": self.of(kind)}}


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Document:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    places = [(name, "path") for name in names] + [(name, "query") for name in endpoint.query]
    operation: Document = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "parameters": [
            {
                "name": name,
                "in": place,
                "required": place == "path",
                "schema": schemas.of(_PARAMETERS[name]),
            }
            for name, place in places
        ],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.body is not None:
        content = schemas.content(endpoint.body, endpoint.body_media_type)
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.needs_token:
        operation["security"] = [{_TOKEN: []}]
    return operation


def _responses(endpoint: Endpoint, schemas: _Schemas) -> Document:
    answer = schemas.content(endpoint.answer, endpoint.media_type)
    responses: Document = {str(endpoint.status): {"description": "Done", "content": answer}}
    for status in endpoint.also:
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if status == HTTPStatus.PARTIAL_CONTENT:
            responses[str(status)]["content"] = answer
        elif status >= 400:
            responses[str(status)]["content"] = schemas.content(Problem, problems.MEDIA_TYPE)
    for status, codes in _codes(endpoint).items():
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
            "content": schemas.content(Problem, problems.MEDIA_TYPE),
        }
    return responses


def _codes(endpoint: Endpoint) -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {}
    for error in endpoint.all_errors:
        codes.setdefault(problems.status_of(error), []).append(error.code)
    return codes
