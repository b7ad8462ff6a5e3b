"""Adopted files: models that people already had, whose bytes serve releases and are never touched.

A row claims nothing that is believed: before its bytes are used they are proved like all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from bitstation.core.digest import HEX_PATTERN, Digest, is_digest
from bitstation.errors import StoreCorrupt

RECORD_VERSION = 1
MAX_ADOPTED = 100_000
MAX_RECORD_BYTES = 64 * 1024 * 1024
"""Rows of 100,000 files take some 20 MB."""

# Ollama, and most programs that store by digest; the Hugging Face cache names large blobs plainly.
_STATING = "sha256-"

_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=32_767, pattern="^[^\\x00]*$")]
_Hex = Annotated[Digest, msgspec.Meta(pattern=HEX_PATTERN)]


class Adopted(msgspec.Struct, frozen=True):
    """One file of somebody's: absolute path, SHA-256 and size in bytes when it was adopted.

    ``link``: its owner lets a release share it by a hard link, which makes it read-only.
    """

    path: _Path
    sha256: _Hex
    size: Annotated[int, msgspec.Meta(ge=0)]
    link: bool = False


class _Record(msgspec.Struct, frozen=True):
    files: tuple[Adopted, ...]
    adopted_version: int = RECORD_VERSION


_decoder = msgspec.json.Decoder(_Record)


def encode_adopted(files: Iterable[Adopted]) -> bytes:
    """Bytes of a record, its files sorted by path."""
    rows = tuple(sorted(files, key=lambda row: row.path))
    return msgspec.json.format(msgspec.json.encode(_Record(rows)), indent=1)


def parse_adopted(data: bytes, *, what: str = "the record") -> tuple[Adopted, ...]:
    """Files of a record. Raises StoreCorrupt."""
    if len(data) > MAX_RECORD_BYTES:
        raise StoreCorrupt(path=what, detail=f"larger than {MAX_RECORD_BYTES} bytes")
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise StoreCorrupt(path=what, detail=str(error)) from error
    if record.adopted_version != RECORD_VERSION:
        raise StoreCorrupt(path=what, detail=f"version {record.adopted_version} is not known")
    if len(record.files) > MAX_ADOPTED:
        raise StoreCorrupt(path=what, detail=f"more than {MAX_ADOPTED} files")
    return record.files


def stated_digest(name: str) -> Digest | None:
    """SHA-256 that a file's name states, as stores of other programs name blobs; never believed."""
    text = name.removeprefix(_STATING)
    return Digest(text) if is_digest(text) else None
