"""Every message between worker, publisher and HQ, defined once; OpenAPI is generated from these.

Paths are below ``/api/v1``. Unknown fields are ignored on reading, so that either side may be the
newer one.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from bitstation.core.digest import HEX_PATTERN, Digest
from bitstation.core.names import MAX_VERSION_CHARS, TOOL_ID_PATTERN, VERSION_PATTERN

API_PREFIX = "/api/v1"
DEFAULT_CHANNEL = "stable"
CHANNEL_PATTERN = "^[a-z0-9][a-z0-9_-]{0,31}$"

HexDigest = Annotated[Digest, msgspec.Meta(pattern=HEX_PATTERN)]
ToolId = Annotated[str, msgspec.Meta(pattern=TOOL_ID_PATTERN)]
Version = Annotated[str, msgspec.Meta(pattern=VERSION_PATTERN, max_length=MAX_VERSION_CHARS)]
Channel = Annotated[str, msgspec.Meta(pattern=CHANNEL_PATTERN)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class ReleaseRef(msgspec.Struct, frozen=True):
    """A release that HQ holds; ``size`` is the sum of its files in bytes."""

    tool_id: ToolId
    version: Version
    manifest_hash: HexDigest
    size: Bytes
    files: int
    published_at: str


class Requirement(msgspec.Struct, frozen=True):
    """The release that workers of a channel must run."""

    tool_id: ToolId
    channel: Channel
    version: Version
    manifest_hash: HexDigest


class ToolSummary(msgspec.Struct, frozen=True):
    """A tool as ``GET /tools`` and ``GET /tools/{tool_id}`` show it, newest release first."""

    tool_id: ToolId
    latest: Version
    releases: tuple[ReleaseRef, ...]
    required: tuple[Requirement, ...] = ()


class BlobRef(msgspec.Struct, frozen=True):
    """A blob by its digest; size in bytes."""

    sha256: HexDigest
    size: Bytes


class GuideRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A guide to a release; ``base`` is the manifest_hash of the release that it starts from."""

    sha256: HexDigest
    size: Bytes
    base: HexDigest | None = None


class BaseRef(msgspec.Struct, frozen=True):
    """A release that a worker must have before another can be made from it."""

    version: Version
    manifest_hash: HexDigest


class ReleaseOffer(msgspec.Struct, frozen=True, omit_defaults=True):
    """``GET /tools/{tool_id}/offer.json`` and ``/tools/{tool_id}/{version}/offer.json``.

    The one small document from which a worker learns whether there is anything to do. A static
    web server gives it as the file of that name.
    """

    tool_id: ToolId
    version: Version
    manifest_hash: HexDigest
    manifest: BlobRef
    guides: tuple[GuideRef, ...] = ()
    required: bool = False
    """The channel asked for requires exactly this release."""


class GuidesNamed(msgspec.Struct, frozen=True):
    """Body of ``POST /publish/sessions/{session_id}/guides``: what shall lie beside the release.

    Guides replace earlier ones from the same base, and are visible after the next commit.
    """

    guides: tuple[GuideRef, ...]
    packs: tuple[BlobRef, ...] = ()


class RequireRequest(msgspec.Struct, frozen=True):
    """Body of ``PUT /tools/{tool_id}/requirement``."""

    version: Version
    channel: Channel = DEFAULT_CHANNEL


class BlobWanted(msgspec.Struct, frozen=True):
    """A blob that HQ lacks; ``received`` bytes of it are already there, so upload can go on."""

    sha256: HexDigest
    size: Bytes
    received: Bytes = 0


class GuidesWanted(msgspec.Struct, frozen=True):
    """Answer to ``POST /publish/sessions/{session_id}/guides``: the named blobs that HQ lacks."""

    wanted: tuple[BlobWanted, ...]


class PublishSession(msgspec.Struct, frozen=True):
    """Answer to ``POST /publish/sessions`` (body: the manifest's bytes) and to its GET."""

    session_id: str
    tool_id: ToolId
    version: Version
    manifest_hash: HexDigest
    wanted: tuple[BlobWanted, ...]
    state: str
    """OPEN, COMMITTED."""


class MetadataReceipt(msgspec.Struct, frozen=True):
    """Answer to ``PUT /metadata/{file}``: it is verified, durable, and shown."""

    file: str
    size: Bytes


class BlobReceipt(msgspec.Struct, frozen=True):
    """Answer to ``PUT /publish/sessions/{session_id}/blobs/{sha256}``.

    The blob is verified and durable once ``received`` equals ``size``.
    """

    sha256: HexDigest
    size: Bytes
    received: Bytes


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details; ``code`` is the stable code of ``bitstation.errors``."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""


class Health(msgspec.Struct, frozen=True):
    """Answer of ``/healthz`` and ``/readyz``."""

    status: str
