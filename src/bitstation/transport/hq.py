"""HQ as its clients see it: a typed client, and the source of releases built on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from bitstation.core.backoff import parse_http_date, parse_retry_after
from bitstation.core.catalog import MAX_CATALOG_BYTES, parse_catalog
from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES
from bitstation.core.mirror import MAX_OFFER_BYTES, metadata_path, offer_path, tool_path
from bitstation.core.names import version_fault
from bitstation.core.wire import (
    DEFAULT_CHANNEL,
    GuidesNamed,
    GuidesWanted,
    Problem,
    PublishSession,
    ReleaseOffer,
    ReleaseRef,
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
from bitstation.shown import keep_secret
from bitstation.transport.arrivals import SlowestRate
from bitstation.transport.blob_answer import Etags, Span, check_span, range_refused
from bitstation.transport.failures import SourceRefused
from bitstation.transport.http import Answer, HttpClient
from bitstation.transport.http_stream import Stream
from bitstation.transport.source import Offer, RangeReader, Source, offer_of

_MAX_TOKEN_BYTES = 4096
_TOKEN = re.compile(rb"[\x21-\x7e]+")
# Refusals that a later time may lift: timeout, too early, too many requests.
_LATER = (408, 425, 429)

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
        # An HQ, or who stands in its place, may repeat it in what it answers.
        keep_secret(token.decode("ascii"))
        return token.decode("ascii")

    return provide


class HqClient:
    """Requests to one HQ. Raises SourceError and TrustError, with the code HQ stated."""

    def __init__(
        self,
        url: str,
        token: TokenProvider = lambda: None,
        *,
        slowest: SlowestRate = SlowestRate(),  # noqa: B008 - frozen
    ) -> None:
        self._token = token
        self._etags = Etags()
        self.http = HttpClient(url, self._headers, slowest=slowest)
        self.name = f"HQ {self.http.name}"

    def close(self) -> None:
        """Close idle connections."""
        self.http.close()

    def abort(self) -> None:
        """End requests under way with a SourceError; may be called by a signal handler."""
        self.http.abort()

    def tools(self) -> list[ToolSummary]:
        """All tools that HQ offers; of a static mirror the newest release of each."""
        answer = self.http.request("GET", "api/v1/tools")
        if answer.status in (200, 201) and answer.body.lstrip().startswith(b"["):
            return self._decoded(answer, list[ToolSummary])
        if answer.status not in (200, 403, 404):
            raise self._problem("GET", answer)
        # A static server has no listing there, or a page that it makes of the folder.
        body = self._answered("GET", "catalog.json", max_bytes=MAX_CATALOG_BYTES).body
        catalog = parse_catalog(body, what=f"the catalog of {self.name}")
        return [
            ToolSummary(
                row.tool_id,
                row.latest,
                (ReleaseRef(row.tool_id, row.latest, Digest(row.manifest_hash), 0, 0, ""),),
            )
            for row in catalog.tools
        ]

    def tool(self, tool_id: str) -> ToolSummary:
        """One tool with its releases and requirements."""
        return self._get(tool_path(tool_id), ToolSummary)

    def offer(
        self, tool_id: str, version: str | None = None, channel: str = DEFAULT_CHANNEL
    ) -> ReleaseOffer:
        """A release and how to reach it; without a version the required one, else the latest.

        Raises NotFound, SourceError.
        """
        path = offer_path(tool_id, version)
        # Of no use to a static server, and a cache before it would keep one answer for each.
        if channel != DEFAULT_CHANNEL:
            path += f"?channel={quote(channel, safe='')}"
        answer = self.http.request("GET", path, max_bytes=MAX_OFFER_BYTES)
        if answer.status == 404 and not _is_problem(answer):
            wanted = f"release {version} of tool {tool_id}" if version else f"tool {tool_id}"
            raise NotFound(source=self.name, what=wanted)
        if answer.status != 200:
            raise self._problem("GET", answer)
        return self._decoded(answer, ReleaseOffer)

    def manifest_bytes(self, tool_id: str, version: str) -> bytes:
        """Manifest of a release as published."""
        if fault := version_fault(version):
            raise UsageError(detail=fault)
        path = f"{tool_path(tool_id)}/{quote(version)}/manifest.json"
        return self._answered("GET", path, max_bytes=MAX_MANIFEST_BYTES).body

    def requirements(self, channel: str = DEFAULT_CHANNEL) -> list[Requirement]:
        """What workers of a channel must run."""
        return self._get(
            f"api/v1/requirements?channel={quote(channel, safe='')}", list[Requirement]
        )

    def require(self, tool_id: str, version: str, channel: str = DEFAULT_CHANNEL) -> Requirement:
        """Demand exactly this release of the workers of a channel."""
        body = msgspec.json.encode(RequireRequest(version=version, channel=channel))
        answer = self._answered("PUT", f"{tool_path(tool_id)}/requirement", body=body)
        return self._decoded(answer, Requirement)

    def metadata(self, name: str, max_bytes: int) -> bytes | None:
        """Signed metadata by the name of their file; None where there are none of that name."""
        answer = self.http.request("GET", metadata_path(name), max_bytes=max_bytes)
        # Buckets say 403 of what is not there.
        if answer.status in (403, 404):
            return None
        if answer.status != 200:
            raise self._problem("GET", answer)
        return self._no_page(answer).body

    def put_metadata(self, name: str, data: bytes) -> None:
        """Give HQ what was signed elsewhere. Raises PublishRefused for what no worker takes."""
        self._answered("PUT", f"api/v1/{metadata_path(name)}", body=data)

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

    def name_guides(self, session_id: str, named: GuidesNamed) -> GuidesWanted:
        """Announce guides and packs of a session's release; the answer says which HQ lacks."""
        body = msgspec.json.encode(named)
        answer = self._answered("POST", f"{_session_path(session_id)}/guides", body=body)
        return self._decoded(answer, GuidesWanted)

    def commit(self, session_id: str) -> PublishSession:
        """Make the release visible, and the guides that were announced."""
        answer = self._answered("POST", f"{_session_path(session_id)}/commit")
        return self._decoded(answer, PublishSession)

    def open_blob(self, digest: Digest, offset: int, length: int | None) -> Stream:
        """Open a span of a blob; of a whole one that was sent instead, its beginning.

        Raises NotFound, RangeIgnored and RangeRefused (do not ask so again), SourceChanged (drop
        what was not proved), SourceRefused, SourceBroken when the answer is another span.
        """
        span = Span(digest, offset, length)
        stream = self.http.open("GET", f"api/v1/blobs/sha256/{digest}", headers=span.headers())
        try:
            if stream.status == 416:
                raise range_refused(span, self.name)
            if stream.status not in (200, 206):
                answer = Answer(stream.status, stream.headers, _head_of(stream))
                raise self._blob_problem(answer, digest)
            check_span(stream, span, self.name)
            self._etags.check(digest, stream.headers.get("etag", ""), self.name)
        except BaseException:
            stream.close()
            raise
        return stream

    def _blob_problem(self, answer: Answer, digest: Digest) -> BitStationError:
        """A file server forbids what it does not hold or may not list; HQ says which it is."""
        problem = self._problem("GET", answer)
        if answer.status == 403 and not _problem_in(answer).code:
            return SourceRefused(source=self.name, detail=f"HTTP 403 for blob {digest}")
        return problem

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
        return self._no_page(answer)

    def _no_page(self, answer: Answer) -> Answer:
        # What a network that wants a sign-in first answers in everybody's name.
        if answer.headers.get("content-type", "").lower().startswith("text/html"):
            detail = "sent a web page; does this network want you to sign in first?"
            raise SourceBroken(source=self.name, detail=detail)
        return answer

    def _decoded(self, answer: Answer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise SourceBroken(source=self.name, detail=str(error)) from error

    def _problem(self, method: str, answer: Answer) -> BitStationError:
        problem = _problem_in(answer)
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
        if 400 <= answer.status < 500 and answer.status not in _LATER:
            return SourceRefused(source=self.name, detail=detail)
        return SourceError(
            source=self.name, detail=detail, retry_after_s=_retry_after_s(answer.headers)
        )


class HqSource(Source):
    """Releases of an HQ."""

    def __init__(self, client: HqClient, channel: str = DEFAULT_CHANNEL) -> None:
        self._client = client
        self._channel = channel
        self.name = client.name

    def required(self, tool_id: str) -> Requirement | None:
        """What HQ requires of this channel's workers for a tool."""
        offer = self._client.offer(tool_id, channel=self._channel)
        if not offer.required:
            return None
        return Requirement(tool_id, self._channel, offer.version, offer.manifest_hash)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def abort(self) -> None:
        """End transfers under way with a SourceError; may be called by a signal handler."""
        self._client.abort()

    def _resolve(self, tool_id: str | None, version: str | None) -> Offer:
        if tool_id is None:
            raise UsageError(detail=f"{self.name} holds many tools: name one")
        offer = self._client.offer(tool_id, version, self._channel)
        return offer_of(offer, required=offer.required)

    def read_metadata(self, name: str, max_bytes: int) -> bytes | None:
        """A file of HQ's metadata."""
        return self._client.metadata(name, max_bytes)

    def _open(self, digest: Digest, offset: int, length: int | None) -> RangeReader:
        return self._client.open_blob(digest, offset, length)


def _is_problem(answer: Answer) -> bool:
    """Say whether an answer is one of HQ's error documents, and not a web server's page."""
    return answer.headers.get("content-type", "").startswith("application/problem+json")


def _session_path(session_id: str) -> str:
    return f"api/v1/publish/sessions/{quote(session_id, safe='')}"


def _problem_in(answer: Answer) -> Problem:
    try:
        return msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeError):
        return Problem("about:blank", "", answer.status, "")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    now = parse_http_date(headers.get("date", "")) or datetime.now(UTC)
    return parse_retry_after(headers.get("retry-after", ""), now)


def _head_of(stream: Stream) -> bytes:
    """First 64 KiB of an error's body: enough for a problem document, bounded for anything else."""
    block = memoryview(bytearray(65536))
    have = 0
    try:
        while have < len(block) and (count := stream.readinto(block[have:])):
            have += count
    except SourceError:
        # Its status says enough.
        pass
    return bytes(block[:have])
