"""Where everything lies below the address of an HQ, or the root of a static mirror: the same paths.

A mirror is an HQ frozen into files, so that one client reads both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from bitstation.core.digest import Digest, is_digest
from bitstation.core.names import tool_id_fault, version_fault
from bitstation.core.wire import API_PREFIX, GuideRef, ReleaseOffer
from bitstation.errors import ManifestError, UsageError

OFFER_NAME = "offer.json"
MAX_OFFER_BYTES = 16 * 1024
"""An offer with four guides takes 900 bytes."""
MAX_GUIDES = 8
"""Of one release: the one from nothing, and those from other releases."""
MAX_BASES = MAX_GUIDES - 1
MAX_PACKS = 1000

API = API_PREFIX.removeprefix("/")
TOOLS = f"{API}/tools"
BLOBS = f"{API}/blobs/sha256"
METADATA = "metadata"
"""Folder of what is signed, beside the API: its names are those of The Update Framework."""
PACKED_SUFFIX = ".zst"
"""Of the same metadata as a zstd frame: names and digests are half as long there."""

_METADATA_NAME = re.compile(
    r"(?:timestamp|[1-9][0-9]{0,15}\.(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2}){1,192})\.json(?:\.zst)?",
    re.ASCII,
)


def tool_path(tool_id: str) -> str:
    """Path of a tool. Raises UsageError for what is no tool id, and could be another path."""
    if fault := tool_id_fault(tool_id):
        raise UsageError(detail=fault)
    return f"{TOOLS}/{tool_id}"


def offer_path(tool_id: str, version: str | None = None) -> str:
    """Path of the offer of a tool, or of one of its releases. Raises UsageError."""
    folder = tool_path(tool_id)
    if version is None:
        return f"{folder}/{OFFER_NAME}"
    if fault := version_fault(version):
        raise UsageError(detail=fault)
    return f"{folder}/{version}/{OFFER_NAME}"


def blob_path(digest: Digest) -> str:
    """Path of a blob. Raises ValueError for what is no digest, and could be another path."""
    if not is_digest(digest):
        raise ValueError(f"{digest!r} is not a digest")
    return f"{BLOBS}/{digest}"


def metadata_path(name: str) -> str:
    """Path of a file of signed metadata. Raises ValueError for what could be another path."""
    if not is_metadata_name(name):
        raise ValueError(f"{name!r} is no name of a metadata file")
    return f"{METADATA}/{name}"


def is_metadata_name(name: str) -> bool:
    """Say whether a file of signed metadata may be called so."""
    return _METADATA_NAME.fullmatch(name) is not None


def merge_guides(known: Sequence[GuideRef], more: Sequence[GuideRef]) -> tuple[GuideRef, ...]:
    """Guides of a release after more were added, the one from nothing first.

    From the same base the new one counts; of too many, earlier ones from other bases go.
    """
    added = {ref.base: ref for ref in more}
    kept = [ref for ref in known if ref.base not in added]
    found = sorted((*more, *kept), key=lambda ref: ref.base is not None)
    return tuple(found[:MAX_GUIDES])


def encode_offer(offer: ReleaseOffer) -> bytes:
    """Bytes of an offer, without a sign too many: a worker that has nothing to do reads only it."""
    return msgspec.json.encode(offer)


def parse_offer(data: bytes, *, what: str = "the offer") -> ReleaseOffer:
    """Checked offer; unknown fields are ignored. Raises ManifestError."""
    if len(data) > MAX_OFFER_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_OFFER_BYTES} bytes"])
    try:
        return msgspec.json.decode(data, type=ReleaseOffer)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ManifestError.of(what, [str(error)]) from error
