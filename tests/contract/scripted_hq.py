"""An HQ made of a scripted server: honest but for what a test twists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from bitstation.core.digest import digest_of
from bitstation.core.wire import Problem, ReleaseRef, Requirement, ToolSummary
from bitstation.testing.releases import Release
from bitstation.transport.hq import HqClient, HqSource
from tests.contract.web_server import Asked, Said, WebServer, said

Twist = Callable[[Asked, Said], Said]
BLOBS = "/api/v1/blobs/sha256/"


def problem(status: int, code: str, detail: str = "for a reason") -> Said:
    """An error as HQ states it."""
    body = msgspec.json.encode(Problem("about:blank", "So", status, code, detail))
    return said(status, body, {"Content-Type": "application/problem+json"})


class ScriptedHq:
    """Answers as an HQ that holds these releases of one tool, the last of them the latest.

    ``twist`` is given every request and its honest answer, and decides what is sent.
    """

    def __init__(self, *releases: Release) -> None:
        self.required: Release | None = None
        self.twist: Twist = lambda _asked, honest: honest
        self._releases = releases
        self._blobs = {key: data for each in releases for key, data in each.blobs.items()}

    def __call__(self, asked: Asked) -> Said:
        return self.twist(asked, self._honest(asked))

    def lie_about_blobs(self, lie: Twist) -> None:
        """Twist the answers to requests for blobs only."""
        self.twist = lambda asked, honest: (
            lie(asked, honest) if asked.target.startswith(BLOBS) else honest
        )

    def _honest(self, asked: Asked) -> Said:
        tool_id = self._releases[0].manifest.tool_id
        found: dict[str, Callable[[], bytes]] = {
            f"/api/v1/tools/{tool_id}": self._summary,
            "/api/v1/tools": lambda: b"[" + self._summary() + b"]",
        }
        for release in self._releases:
            place = f"/api/v1/tools/{tool_id}/{release.version}/manifest.json"
            found[place] = release.manifest.encode
        if asked.target in found:
            return said(200, found[asked.target]())
        data = self._blobs.get(asked.target.removeprefix(BLOBS))  # type: ignore[call-overload]
        return problem(404, "not-found") if data is None else span_of(data, asked)

    def _summary(self) -> bytes:
        rows = [
            ReleaseRef(
                each.manifest.tool_id,
                each.version,
                each.manifest.manifest_hash,
                each.manifest.total_bytes,
                len(each.files),
                "2026-01-01T00:00:00Z",
            )
            for each in reversed(self._releases)
        ]
        demands = ()
        if self.required:
            found = self.required.manifest
            demands = (
                Requirement(found.tool_id, "stable", found.tool_version, found.manifest_hash),
            )
        return msgspec.json.encode(
            ToolSummary(rows[0].tool_id, rows[0].version, tuple(rows), demands)
        )


def span_of(data: bytes, asked: Asked) -> Said:
    """The whole, or the span that a request asks for."""
    etag = f'"{digest_of(data)}"'
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
    if span is None or asked.headers.get("if-range", etag) != etag:
        return said(200, data, {"ETag": etag})
    first, last = int(span[1]), int(span[2] or len(data) - 1)
    if not first <= last < len(data):
        return said(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    stated = {"ETag": etag, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return said(206, data[first : last + 1], stated)


@contextmanager
def source_of(server: WebServer) -> Iterator[HqSource]:
    """A source that asks this server, closed at the end."""
    source = HqSource(HqClient(server.url))
    try:
        yield source
    finally:
        source.close()
