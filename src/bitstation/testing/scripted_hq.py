"""An HQ made of a scripted server: honest but for what a test twists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import parse_manifest
from bitstation.core.mirror import blob_path, encode_offer, offer_path
from bitstation.core.wire import BlobRef, GuideRef, Problem, ReleaseOffer, ReleaseRef, ToolSummary
from bitstation.testing.releases import Release
from bitstation.testing.web_server import Asked, Said, WebServer, said
from bitstation.transport.hq import HqClient, HqSource

Twist = Callable[[Asked, Said], Said]
BLOBS = "/api/v1/blobs/sha256/"


def problem(status: int, code: str, detail: str = "for a reason") -> Said:
    """An error as HQ states it."""
    body = msgspec.json.encode(Problem("about:blank", "So", status, code, detail))
    return said(status, body, {"Content-Type": "application/problem+json"})


class ScriptedHq:
    """Answers as an HQ that holds these releases of one tool, the last of them the latest.

    ``guides``, given as base and bytes, are beside every one of them. ``twist`` is given
    every request and its honest answer, and decides what is sent.
    """

    def __init__(
        self, *releases: Release, guides: tuple[tuple[Digest | None, bytes], ...] = ()
    ) -> None:
        self.required: Release | None = None
        self.twist: Twist = lambda _asked, honest: honest
        self._releases = releases
        self._places = {
            f"/{path}": data for each in releases for path, data in layout_of(each, *guides).items()
        }
        self._guides = guides

    def __call__(self, asked: Asked) -> Said:
        """What is sent to who asked."""
        return self.twist(asked, self._honest(asked))

    def lie_about_blobs(self, lie: Twist) -> None:
        """Twist the answers to requests for blobs only."""
        self.twist = lambda asked, honest: (
            lie(asked, honest) if asked.target.startswith(BLOBS) else honest
        )

    def _honest(self, asked: Asked) -> Said:
        target = asked.target.partition("?")[0]
        latest = self._releases[-1].manifest
        if target == "/api/v1/tools":
            return said(200, b"[" + self._summary() + b"]")
        if target == f"/api/v1/tools/{latest.tool_id}":
            return said(200, self._summary())
        for release in self._releases:
            manifest, required = release.manifest, self.required is release
            is_of_tool = target == "/" + offer_path(manifest.tool_id)
            wanted = self.required or self._releases[-1]
            if target == "/" + offer_path(manifest.tool_id, manifest.tool_version) or (
                is_of_tool and release is wanted
            ):
                offer = msgspec.structs.replace(offer_of(release, *self._guides), required=required)
                return said(200, encode_offer(offer))
        data = self._places.get(target)
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
        return msgspec.json.encode(ToolSummary(rows[0].tool_id, rows[0].version, tuple(rows)))


def offer_of(release: Release, *guides: tuple[Digest | None, bytes]) -> ReleaseOffer:
    """Offer of a release; the hash that it states is true, whatever the manifest says."""
    manifest = release.manifest.encode()
    return ReleaseOffer(
        release.manifest.tool_id,
        release.version,
        parse_manifest(manifest, legacy=True).manifest_hash,
        BlobRef(digest_of(manifest), len(manifest)),
        tuple(GuideRef(digest_of(data), len(data), base) for base, data in guides),
    )


def layout_of(release: Release, *guides: tuple[Digest | None, bytes]) -> dict[str, bytes]:
    """The files of a static mirror of one release, by their path below its root."""
    offer = encode_offer(offer_of(release, *guides))
    tool_id = release.manifest.tool_id
    datas = [*release.blobs.values(), release.manifest.encode(), *(data for _, data in guides)]
    return {
        offer_path(tool_id): offer,
        offer_path(tool_id, release.version): offer,
        **{blob_path(digest_of(data)): data for data in datas},
    }


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
