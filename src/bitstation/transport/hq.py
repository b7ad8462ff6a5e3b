"""HQ as its clients see it: a typed client, and the source of releases built on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.names import tool_id_fault, version_fault
from bitstation.core.wire import (
    DEFAULT_CHANNEL,
    Problem,
    PublishSession,
    Requirement,
    RequireRequest,
    ToolSummary,
)
from bitstation.errors import (
    BitStationError,
    NotFound,
    PublishRefused,
    SourceBroken,
    SourceError,
    StoreLocked,
    TokenRefused,
    UsageError,
)
from bitstation.transport.http import Answer, HttpClient
from bitstation.transport.http_stream import Stream
from bitstation.transport.source import Offer, RangeReader, Source

_MAX_TOKEN_BYTES = 4096
_TOKEN = re.compile(rb"[\x21-\x7e]+")

T = TypeVar("T")
TokenProvider = Callable[[], str | None]


def token_from(file: str | None) -> TokenProvider:
    """Provider of a token kept in a file, named by argument or BITSTATION_TOKEN_FILE.

    Read at each use: a token never stands in an argument, a plan, an event or a log.
    """

    def provide() -> str | None:
        path = file or os.environ.get("BITSTATION_TOKEN_FILE")
        if not path:
            return None
        try:
            with Path(path).open("rb") as reader:
                token = reader.read(_MAX_TOKEN_BYTES + 1).strip()
        except OSError as error:
            raise UsageError(detail=f"cannot read the token file {path}: {error}") from error
        # http.client would show the offending text, which may be a secret all the same.
        if len(token) > _MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise UsageError(detail=f"{path} does not hold a token: one line of ASCII signs")
        return token.decode("ascii")

    return provide


class HqClient:
    """Requests to one HQ. Raises SourceError and TrustError, with the code HQ stated."""

    def __init__(self, url: str, token: TokenProvider = lambda: None) -> None:
        self._token = token
        self.http = HttpClient(url, self._headers)
        self.name = f"HQ {self.http.name}"

    def close(self) -> None:
        """Close idle connections."""
        self.http.close()

    def abort(self) -> None:
        """End requests under way with a SourceError; may be called by a signal handler."""
        self.http.abort()

    def tools(self) -> list[ToolSummary]:
        """All tools that HQ offers."""
        return self._get("api/v1/tools", list[ToolSummary])

    def tool(self, tool_id: str) -> ToolSummary:
        """One tool with its releases and requirements."""
        return self._get(_tool_path(tool_id), ToolSummary)

    def manifest_bytes(self, tool_id: str, version: str) -> bytes:
        """Manifest of a release as published."""
        if fault := version_fault(version):
            raise UsageError(detail=fault)
        path = f"{_tool_path(tool_id)}/{quote(version)}/manifest.json"
        return self._answered("GET", path, max_bytes=MAX_MANIFEST_BYTES).body

    def requirements(self, channel: str = DEFAULT_CHANNEL) -> list[Requirement]:
        """What workers of a channel must run."""
        return self._get(
            f"api/v1/requirements?channel={quote(channel, safe='')}", list[Requirement]
        )

    def require(self, tool_id: str, version: str, channel: str = DEFAULT_CHANNEL) -> Requirement:
        """Demand exactly this release of the workers of a channel."""
        body = msgspec.json.encode(RequireRequest(version=version, channel=channel))
        answer = self._answered("PUT", f"{_tool_path(tool_id)}/requirement", body=body)
        return self._decoded(answer, Requirement)

    def open_session(self, manifest_bytes: bytes) -> PublishSession:
        """Begin or resume publishing; the answer names the blobs that HQ lacks."""
        answer = self._answered("POST", "api/v1/publish/sessions", body=manifest_bytes)
        return self._decoded(answer, PublishSession)

    def put_blob(
        self, session_id: str, digest: Digest, body: memoryview, offset: int, size_bytes: int
    ) -> None:
        """Upload one span of a blob that HQ lacks."""
        last = offset + len(body) - 1
        span = f"bytes {offset}-{last}/{size_bytes}"
        self._answered(
            "PUT",
            f"{_session_path(session_id)}/blobs/{digest}",
            body=body,
            headers={"Content-Range": span, "Content-Type": "application/octet-stream"},
        )

    def commit(self, session_id: str) -> PublishSession:
        """Make the release visible."""
        answer = self._answered("POST", f"{_session_path(session_id)}/commit")
        return self._decoded(answer, PublishSession)

    def open_blob(self, digest: Digest, offset: int, length: int | None) -> Stream:
        """Open a span of a blob. Raises NotFound, SourceBroken when the answer is another span."""
        whole = offset == 0 and length is None
        end = "" if length is None else str(offset + length - 1)
        headers = {} if whole else {"Range": f"bytes={offset}-{end}", "If-Range": f'"{digest}"'}
        stream = self.http.open("GET", f"api/v1/blobs/sha256/{digest}", headers=headers)
        try:
            if stream.status not in (200, 206):
                raise self._problem("GET", Answer(stream.status, stream.headers, _head_of(stream)))
            stream.check_plain() if length is not None else stream.check_whole()
            self._check_span(stream, digest, offset, length)
        except BaseException:
            stream.close()
            raise
        return stream

    def _check_span(self, stream: Stream, digest: Digest, offset: int, length: int | None) -> None:
        """Raises SourceBroken when what was sent is not the span asked for."""
        # Range ignored: usable only from the start, and only up to what was asked for.
        is_span = offset == 0
        if stream.status == 206:
            last = "[0-9]+" if length is None else str(offset + length - 1)
            span = stream.headers.get("content-range", "")
            was_asked = offset > 0 or length is not None
            is_span = was_asked and bool(re.match(rf"bytes {offset}-{last}/", span))
        declared = stream.headers.get("content-length", "")
        if not is_span or (length is not None and declared not in ("", str(length))):
            shown = stream.headers.get("content-range", f"{declared or 'unknown many'} bytes")
            raise SourceBroken(
                source=self.name,
                detail=f"HTTP {stream.status} with {shown[:80]!r}, asked for {length} at {offset}",
            )
        # Only of a span: going on in another file would spoil what is here already.
        etag = stream.headers.get("etag", "")
        if stream.status == 206 and etag not in ("", f'"{digest}"'):
            raise SourceBroken(
                source=self.name, detail=f"sent a span of another file: {etag[:80]!r}"
            )

    def _headers(self) -> Mapping[str, str]:
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _get(self, path: str, kind: type[T]) -> T:
        return self._decoded(self._answered("GET", path), kind)

    def _answered(self, method: str, path: str, **options: Any) -> Answer:
        answer = self.http.request(method, path, **options)
        # Nothing else is a whole answer: 204 says nothing, 206 a part.
        if answer.status not in (200, 201):
            raise self._problem(method, answer)
        return answer

    def _decoded(self, answer: Answer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise SourceBroken(source=self.name, detail=str(error)) from error

    def _problem(self, method: str, answer: Answer) -> BitStationError:
        try:
            problem = msgspec.json.decode(answer.body, type=Problem)
        except (msgspec.MsgspecError, UnicodeError):
            problem = Problem("about:blank", "", answer.status, "")
        said = problem.detail or problem.title
        detail = said or f"HTTP {answer.status}"
        if problem.code == StoreLocked.code:
            return StoreLocked(path=self.name, holder=detail)
        if answer.status in (401, 403):
            return TokenRefused(source=self.name, detail=detail)
        if answer.status == 404:
            return NotFound(source=self.name, what=detail)
        if 400 <= answer.status < 500 and problem.code and method != "GET":
            return PublishRefused(source=self.name, detail=detail)
        detail = f"HTTP {answer.status}" + (f": {said}" if said else "")
        return SourceError(source=self.name, detail=detail)


class HqSource(Source):
    """Releases of an HQ."""

    def __init__(self, client: HqClient, channel: str = DEFAULT_CHANNEL) -> None:
        self._client = client
        self._channel = channel
        self.name = client.name

    def required(self, tool_id: str) -> Requirement | None:
        """What HQ requires of this channel's workers for a tool."""
        found = self._client.tool(tool_id).required
        return next((row for row in found if row.channel == self._channel), None)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def abort(self) -> None:
        """End transfers under way with a SourceError; may be called by a signal handler."""
        self._client.abort()

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        if tool_id is None:
            raise UsageError(detail=f"{self.name} holds many tools: name one")
        summary = self._client.tool(tool_id)
        row = next((row for row in summary.required if row.channel == self._channel), None)
        wanted = version or (row.version if row else summary.latest)
        required = row is not None and row.version == wanted
        return Offer(
            tool_id,
            wanted,
            self._client.manifest_bytes(tool_id, wanted),
            manifest_hash=row.manifest_hash if row is not None and required else None,
            required=required,
        )

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        return self._client.open_blob(digest, offset, length)


def _tool_path(tool_id: str) -> str:
    """Path of a tool. Raises UsageError for what is no tool id, and could be another path."""
    if fault := tool_id_fault(tool_id):
        raise UsageError(detail=fault)
    return f"api/v1/tools/{tool_id}"


def _session_path(session_id: str) -> str:
    return f"api/v1/publish/sessions/{quote(session_id, safe='')}"


def _head_of(stream: Stream) -> bytes:
    """First 64 KiB of an error's body: enough for a problem document, bounded for anything else."""
    block = memoryview(bytearray(65536))
    try:
        return bytes(block[: stream.readinto(block)])
    except SourceError:
        # Its status says enough.
        return b""
