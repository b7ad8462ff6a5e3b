"""A bare HTTP client and small releases, for tests that look at HQ from outside."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry, Manifest, build_manifest
from bitstation.testing.local_hq import LocalHq

SESSIONS = "/api/v1/publish/sessions"
TOOL_JSON = json.dumps(
    {
        "tool_id": "add",
        "name": "Add numbers",
        "version": "1.0.0",
        "platforms": ["windows", "linux"],
        "entrypoint_windows": "main.py",
        "io_schema": {"input": {}, "output": {}},
        "category": "math",
    }
).encode()


class Reply(NamedTuple):
    """A whole answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Stable code of a problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["type"] == f"/docs#{problem['code']}"
        return str(problem["code"])


class Caller:
    """Requests to one HQ over one connection that is kept open."""

    def __init__(self, hq: LocalHq) -> None:
        parts = urlsplit(hq.url)
        self.address = (parts.hostname or "", parts.port or 0)
        self._token = hq.token
        self._connection = http.client.HTTPConnection(*self.address, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Answer to a request that carries no token."""
        self._connection.request(method, path, body, dict(headers or {}))
        response = self._connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, fields, response.read())

    def get(self, path: str, **headers: str) -> Reply:
        """Answer to GET; header names may be written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", path, headers=named)

    def authorized(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Answer to a request that carries the publisher token."""
        token = {"Authorization": f"Bearer {self._token}"}
        return self.send(method, path, body, token | dict(headers or {}))

    def open_session(self, manifest: Manifest) -> Any:
        """Session of a manifest."""
        reply = self.authorized("POST", SESSIONS, manifest.encode())
        assert reply.status == 201, reply
        return reply.json

    def put(self, session: Any, data: bytes, digest: str | None = None, **headers: str) -> Reply:
        """Answer to sending a blob, or with Content_Range a span of it."""
        path = f"{SESSIONS}/{session['session_id']}/blobs/{digest or digest_of(data)}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.authorized("PUT", path, data, named)

    def commit(self, session: Any) -> Reply:
        """Answer to the commit of a session."""
        return self.authorized("POST", f"{SESSIONS}/{session['session_id']}/commit")

    def publish(self, files: Mapping[str, bytes], tool_id: str, version: str) -> Manifest:
        """Manifest of a release that is visible now."""
        manifest = manifest_of(files, tool_id, version)
        session = self.open_session(manifest)
        wanted = {blob["sha256"] for blob in session["wanted"]}
        for data in files.values():
            if digest_of(data) in wanted:
                assert self.put(session, data).status == 200
        assert self.commit(session).status == 200
        return manifest


def manifest_of(
    files: Mapping[str, bytes], tool_id: str = "add", version: str = "1.0.0"
) -> Manifest:
    """Manifest of files given by their content."""
    entries = [Entry(path, digest_of(data), len(data)) for path, data in files.items()]
    return build_manifest(tool_id, version, entries, created_at="2026-01-01T00:00:00Z", fields={})


def manifest_of_entry(path: str, digest: Digest, size: int, version: str = "1.0.0") -> Manifest:
    """Manifest of one file of which only digest and size are told."""
    return build_manifest(
        "big", version, [Entry(path, digest, size)], created_at="2026-01-01T00:00:00Z", fields={}
    )


@contextmanager
def calling(hq: LocalHq) -> Iterator[Caller]:
    """Caller of an HQ, closed at the end."""
    caller = Caller(hq)
    try:
        yield caller
    finally:
        caller.close()
