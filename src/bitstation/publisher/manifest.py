"""The manifest of a tool folder, made from its files and its tool.json.

Whether the version may have this content is not asked here: changing a tool and making its
manifest again is daily work. ``pack`` and ``publish`` refuse a version that exists otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import msgspec

from bitstation.core.globs import matches_any
from bitstation.core.manifest import (
    DATE_TIME_PATTERN,
    DEFAULT_BASE_URL,
    MAX_MANIFEST_BYTES,
    Entry,
    Manifest,
    build_manifest,
    file_url,
    parse_manifest,
)
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.core.toolfile import ToolFile
from bitstation.errors import ManifestError, UsageError
from bitstation.publisher.lock import is_web_address
from bitstation.publisher.validate import CheckedTool, raise_faults
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.proving import Proof

_EXECUTABLE_SUFFIXES = (".ps1", ".sh", ".py")
_EXECUTABLE_NAMES = ("run", "setup")


class MakingOptions(msgspec.Struct, frozen=True):
    """What a publisher may say of the making of manifests."""

    base_url: str = DEFAULT_BASE_URL
    created_at: str | None = None
    """Moment to state; None: of an existing manifest that is equal but for it, else now."""


def making_options(base_url: str | None = None, created_at: str | None = None) -> MakingOptions:
    """Options from arguments, else from BITSTATION_FILES_BASE_URL and SOURCE_DATE_EPOCH.

    Raises UsageError.
    """
    base = base_url or os.environ.get("BITSTATION_FILES_BASE_URL") or DEFAULT_BASE_URL
    if not is_web_address(base) or urlsplit(base).query or urlsplit(base).fragment:
        raise UsageError(detail=f"base URL {base!r} is not a plain http or https address")
    moment = created_at or _source_date(os.environ.get("SOURCE_DATE_EPOCH"))
    if moment is not None and not re.fullmatch(DATE_TIME_PATTERN, moment):
        raise UsageError(detail=f"{moment!r} is not a moment such as 2026-02-28T12:00:00+00:00")
    return MakingOptions(base, moment)


def make_manifest(
    checked: CheckedTool, options: MakingOptions, *, known: Iterable[Path] = ()
) -> Manifest:
    """Manifest of a tool folder without faults.

    ``known``: manifest files, besides the folder's own, whose created_at holds for an equal one.
    Raises ToolFolderInvalid naming every fault, ManifestError when it would be too large.
    """
    raise_faults([checked])
    tool = checked.tool
    assert tool is not None  # else there were faults
    entries = [
        _entry(path, proof, tool, options.base_url)
        for path, proof in zip(checked.inventory.paths, checked.proofs, strict=True)
    ]
    manifest = build_manifest(
        tool.tool_id,
        tool.version,
        entries,
        created_at=options.created_at or datetime.now(UTC).isoformat(timespec="microseconds"),
        fields=tool.manifest_fields(),
    )
    if options.created_at is None:
        manifest = _dated_as_known(manifest, [checked.inventory.root / MANIFEST_NAME, *known])
    if len(manifest.encode()) > MAX_MANIFEST_BYTES:
        raise ManifestError.of("the manifest", [f"larger than {MAX_MANIFEST_BYTES} bytes"])
    return manifest


def save_manifest(checked: CheckedTool, manifest: Manifest, disk: Disk) -> bool:
    """Write manifest.json into the tool folder; False when it stands there already.

    Raises StoreError.
    """
    path, data = checked.inventory.root / MANIFEST_NAME, manifest.encode()
    with disk_errors(path, len(data)):
        if path.is_file() and path.read_bytes() == data:
            return False
        disk.write_file(path, data)
    return True


def is_executable(path: str, globs: Iterable[str]) -> bool:
    """Say whether a file is executable: by its name, never by a mode that Windows cannot keep."""
    name = PurePosixPath(path.lower())
    return (
        name.suffix in _EXECUTABLE_SUFFIXES
        or name.name in _EXECUTABLE_NAMES
        or matches_any(path, globs)
    )


def _entry(path: str, proof: Proof, tool: ToolFile, base_url: str) -> Entry:
    assert proof.digest is not None  # else there were faults
    assert proof.facts is not None
    return Entry(
        path=path,
        sha256=proof.digest,
        size=proof.facts.size,
        url=file_url(base_url, tool.tool_id, tool.version, path),
        executable=is_executable(path, tool.executables),
    )


def _dated_as_known(manifest: Manifest, known: Iterable[Path]) -> Manifest:
    for path in known:
        try:
            with path.open("rb") as file:
                earlier = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1))
        except (OSError, ManifestError):
            continue
        if earlier.manifest_hash == manifest.manifest_hash and earlier.created_at:
            document = {**manifest.document, "created_at": earlier.created_at}
            return msgspec.structs.replace(manifest, document=document)
    return manifest


def _source_date(text: str | None) -> str | None:
    """Moment of SOURCE_DATE_EPOCH. Source: reproducible-builds.org specification."""
    if not text:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(detail=f"SOURCE_DATE_EPOCH {text!r} is not a number of seconds") from error
