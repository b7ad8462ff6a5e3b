"""manifest.json version "1.0": parsed, checked, hashed, written.

A ``Manifest`` exists only when every rule holds and its manifest_hash was recomputed from its
content, so whoever holds one need not check again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from bitstation.core.canonical import (
    MAX_INTEGER,
    JsonFault,
    JsonValue,
    canonical_digest,
    parse_json,
    pretty_bytes,
)
from bitstation.core.digest import Digest, is_digest
from bitstation.core.extras import extras_faults
from bitstation.core.names import tool_id_fault, version_fault
from bitstation.core.relpath import collisions, path_fault
from bitstation.core.scopes import MANIFEST_NAME, Scope, scope_of
from bitstation.errors import ManifestError, ManifestHashMismatch

MANIFEST_VERSION: Final = "1.0"
MAX_MANIFEST_BYTES: Final = 32 * 1024 * 1024
MAX_ENTRIES: Final = 100_000
MAX_URL_CHARS: Final = 8192
DELETE_POLICIES: Final = ("safe", "aggressive", "manual")
DEFAULT_BASE_URL: Final = "https://hq.bitstation.local/api/v1/tools/"
DEFAULT_IGNORE_GLOBS: Final = (
    "venv/**",
    ".venv/**",
    "cache/**",
    "user_data/**",
    "logs/**",
    "*.log",
    ".env",
    "config.local.*",
    "__pycache__/**",
    "*.pyc",
)
DATE_TIME_PATTERN: Final = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])$"
)

_DATE_TIME = re.compile(DATE_TIME_PATTERN[1:-1] + r"\Z", re.ASCII)
_UNHASHED = ("manifest_hash", "created_at")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One row of a manifest. ``url`` is a hint only: workers ask their own sources by digest."""

    path: str
    sha256: Digest
    size: int
    url: str = ""
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """A checked manifest. ``document`` is the whole JSON object, unknown fields included."""

    tool_id: str
    tool_version: str
    manifest_hash: Digest
    entries: tuple[Entry, ...]
    delete_policy: str
    ignore_globs: tuple[str, ...]
    document: dict[str, JsonValue]

    @property
    def created_at(self) -> str | None:
        """ISO 8601 moment of making; not covered by the hash."""
        value = self.document.get("created_at")
        return value if isinstance(value, str) else None

    @property
    def total_bytes(self) -> int:
        """Sum of the sizes of all entries."""
        return sum(entry.size for entry in self.entries)

    def encode(self) -> bytes:
        """Bytes of manifest.json as it is written to disk."""
        return pretty_bytes(self.document)


def parse_manifest(
    data: bytes, *, legacy: bool = False, any_scope: bool = False, what: str = "the manifest"
) -> Manifest:
    """Manifest of ``data``; every fault is named at once.

    ``legacy`` takes a manifest whose stated hash is absent or does not recompute under its true
    hash, which is the one the returned value and its document carry. ``any_scope`` (implied by
    ``legacy``) takes listed files of other scopes, as real legacy manifests have in ``output/``,
    as ordinary files of the release: our own installed copies are read so.

    Raises ManifestError, ManifestHashMismatch. Cost: about 10 microseconds an entry.
    """
    return manifest_from(_document(data, what), legacy=legacy, any_scope=any_scope, what=what)


def manifest_from(
    document: Mapping[str, JsonValue],
    *,
    legacy: bool = False,
    any_scope: bool = False,
    what: str = "the manifest",
) -> Manifest:
    """Manifest of a JSON object that is already parsed; rules and errors as ``parse_manifest``."""
    document = dict(document)
    stated = document.get("manifest_hash")
    faults = _head_faults(document) + ([] if legacy else _hash_faults(stated))
    entries = _entries(document.get("files"), faults, any_scope=legacy or any_scope)
    if faults:
        raise ManifestError.of(what, faults)
    try:
        computed = manifest_hash_of(document)
    except JsonFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault
    if computed != stated and not legacy:
        raise ManifestHashMismatch(what=what, stated=stated, computed=computed)
    document["manifest_hash"] = computed
    return Manifest(
        tool_id=str(document["tool_id"]),
        tool_version=str(document["tool_version"]),
        manifest_hash=computed,
        entries=tuple(entries),
        delete_policy=str(document.get("delete_policy", "safe")),
        ignore_globs=_strings(document.get("ignore_globs", [])),
        document=document,
    )


class ManifestReport(msgspec.Struct, frozen=True):
    """What ``manifest verify`` says of a manifest that may be anything."""

    computed: Digest | None
    stated: str | None
    lists_itself: bool
    problems: tuple[str, ...]


def inspect_manifest(data: bytes, *, what: str = "the manifest") -> ManifestReport:
    """Every fault of a manifest's form and its true hash; raises nothing of its own.

    Files of other scopes are no fault of the form: real manifests list ``output/``. Whether they
    may be installed is for ``parse_manifest`` to say.
    """
    try:
        document = _document(data, what)
        computed = manifest_hash_of(document)
    except (ManifestError, JsonFault) as error:
        return ManifestReport(None, None, False, (str(error),))
    stated, files = document.get("manifest_hash"), document.get("files")
    problems = _head_faults(document) + _hash_faults(stated)
    _entries(files, problems, any_scope=True)
    if is_digest(stated) and computed != stated:
        problems.append(str(ManifestHashMismatch(what=what, stated=stated, computed=computed)))
    rows = files if isinstance(files, list) else []
    itself = any(isinstance(row, dict) and row.get("path") == MANIFEST_NAME for row in rows)
    return ManifestReport(
        computed, stated if isinstance(stated, str) else None, itself, tuple(problems)
    )


def build_manifest(
    tool_id: str,
    version: str,
    entries: Iterable[Entry],
    *,
    created_at: str,
    fields: Mapping[str, JsonValue],
) -> Manifest:
    """Manifest of entries (sorted here by path) and of the further ``fields``, in their order.

    Raises ManifestError.
    """
    document: dict[str, JsonValue] = {
        "manifest_version": MANIFEST_VERSION,
        "tool_id": tool_id,
        "tool_version": version,
        "created_at": created_at,
        "files": [_row(entry) for entry in sorted(entries, key=lambda entry: entry.path)],
        **fields,
    }
    document["manifest_hash"] = manifest_hash_of(document)
    return manifest_from(document)


def manifest_hash_of(document: Mapping[str, JsonValue]) -> Digest:
    """SHA-256 of the canonical document without manifest_hash and created_at."""
    return canonical_digest({key: value for key, value in document.items() if key not in _UNHASHED})


def file_url(base_url: str, tool_id: str, version: str, path: str) -> str:
    """Address of one file of a release below ``base_url``; only the path needs quoting."""
    slash = "" if base_url.endswith("/") else "/"
    return f"{base_url}{slash}{tool_id}/{version}/files/{quote(path, safe='/')}"


def _document(data: bytes, what: str) -> dict[str, JsonValue]:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError.of(what, [f"larger than {MAX_MANIFEST_BYTES} bytes"])
    try:
        document = parse_json(data)
    except JsonFault as fault:
        raise ManifestError.of(what, [str(fault)]) from fault
    if not isinstance(document, dict):
        raise ManifestError.of(what, ["not a JSON object"])
    return document


def _row(entry: Entry) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {
        "path": entry.path,
        "sha256": entry.sha256,
        "size": entry.size,
        "url": entry.url,
    }
    if entry.executable:
        row["executable"] = True
    return row


def _head_faults(document: Mapping[str, JsonValue]) -> list[str]:
    faults = []
    if document.get("manifest_version") != MANIFEST_VERSION:
        faults.append(f"manifest_version is not {MANIFEST_VERSION!r}")
    if fault := tool_id_fault(document.get("tool_id")):
        faults.append(fault)
    if fault := version_fault(document.get("tool_version")):
        faults.append(f"tool_version: {fault}")
    created_at = document.get("created_at", "1970-01-01T00:00:00Z")
    if not isinstance(created_at, str) or not _DATE_TIME.match(created_at):
        faults.append("created_at is not an ISO 8601 date and time with a zone")
    # An unknown policy is read as safe: it may delete less than asked, never more.
    if not isinstance(document.get("delete_policy", "safe"), str):
        faults.append("delete_policy is not a string")
    globs = document.get("ignore_globs", [])
    if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
        faults.append("ignore_globs is not a list of strings")
    return faults + extras_faults(document)


def _hash_faults(stated: JsonValue) -> list[str]:
    return [] if is_digest(stated) else ["manifest_hash is not 64 lower-case hexadecimal digits"]


def _entries(files: JsonValue, faults: list[str], *, any_scope: bool) -> list[Entry]:
    if not isinstance(files, list) or not files:
        faults.append("files is not a list with at least one entry")
        return []
    if len(files) > MAX_ENTRIES:
        faults.append(f"more than {MAX_ENTRIES} entries")
        return []
    entries = []
    for number, row in enumerate(files):
        if fault := _row_fault(row, any_scope):
            faults.append(f"files[{number}]: {fault}")
        elif isinstance(row, dict) and row["path"] != MANIFEST_NAME:
            # Legacy manifests list themselves with the digest of their predecessor: never true.
            entries.append(msgspec.convert(row, Entry))
    faults.extend(collisions(entry.path for entry in entries))
    sizes: dict[str, int] = {}
    for entry in entries:
        if sizes.setdefault(entry.sha256, entry.size) != entry.size:
            faults.append(f"{entry.path!r} states another size for content that is listed before")
    return entries


def _row_fault(row: JsonValue, any_scope: bool) -> str | None:
    if not isinstance(row, dict):
        return "not an object"
    path, size, url = row.get("path"), row.get("size"), row.get("url", "")
    if not isinstance(path, str):
        return "path is not a string"
    if fault := path_fault(path):
        return f"path {path[:120]!r}: {fault}"
    scope, rule = scope_of(path)
    # A twin of manifest.json is refused in every scope: it would be that file on Windows.
    is_twin = scope is Scope.MANIFEST and path != MANIFEST_NAME
    if is_twin or (scope not in (Scope.RELEASE, Scope.MANIFEST) and not any_scope):
        return f"path {path!r} belongs to the {scope.value} scope ({rule}), not to a release"
    if not is_digest(row.get("sha256")):
        return f"sha256 of {path!r} is not 64 lower-case hexadecimal digits"
    if type(size) is not int or not 0 <= size <= MAX_INTEGER:
        return f"size of {path!r} is not an integer from 0 to 2^53-1"
    if not isinstance(url, str) or len(url) > MAX_URL_CHARS:
        return f"url of {path!r} is not a string of at most {MAX_URL_CHARS} characters"
    if type(row.get("executable", False)) is not bool:
        return f"executable of {path!r} is not true or false"
    return None


def _strings(value: JsonValue) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
