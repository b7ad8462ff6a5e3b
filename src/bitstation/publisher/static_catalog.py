"""catalog.json at the root of a static mirror."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.assets import CATALOG_NAME
from bitstation.core.catalog import (
    MAX_CATALOG_BYTES,
    Catalog,
    CatalogTool,
    parse_catalog,
    unpacked_row,
)
from bitstation.core.manifest import MAX_MANIFEST_BYTES, parse_manifest
from bitstation.core.toolfile import MAX_TOOL_FILE_BYTES, TOOL_FILE_NAME, parse_tool_file
from bitstation.core.wire import ReleaseOffer
from bitstation.errors import ManifestError
from bitstation.storage.durable import Disk
from bitstation.transport.source import Source


def update_catalog(root: Path, source: Source, latest: ReleaseOffer, disk: Disk) -> None:
    """Let the catalogue name the latest release of a tool, whose blobs ``source`` has.

    Raises ManifestError, SourceError, OSError.
    """
    path = root / CATALOG_NAME
    rows: dict[str, CatalogTool] = {}
    day = ""
    if path.is_file():
        with path.open("rb") as file:
            catalog = parse_catalog(file.read(MAX_CATALOG_BYTES + 1), what=str(path))
        rows = {row.tool_id: row for row in catalog.tools}
        day = catalog.catalog_version
    row = rows.get(latest.tool_id)
    if row and (row.latest, row.manifest_hash) == (latest.version, latest.manifest_hash):
        return
    made_on, rows[latest.tool_id] = _row(source, latest)
    tools = tuple(rows[tool_id] for tool_id in sorted(rows))
    disk.write_file(path, Catalog(max(day, made_on), tools).encode())


def _row(source: Source, offer: ReleaseOffer) -> tuple[str, CatalogTool]:
    """Day of a release (YYYY.MM.DD) and its row."""
    manifest = parse_manifest(source.read_object(offer.manifest.sha256, MAX_MANIFEST_BYTES))
    tool = None
    for entry in manifest.entries:
        if entry.path == TOOL_FILE_NAME and entry.size <= MAX_TOOL_FILE_BYTES:
            try:
                tool = parse_tool_file(source.read_object(entry.sha256, MAX_TOOL_FILE_BYTES))
            except ManifestError:
                # Released by other means than ours; the release is as good.
                tool = None
    day = (manifest.created_at or "1970-01-01")[:10].replace("-", ".")
    return day, unpacked_row(offer.tool_id, offer.version, offer.manifest_hash, tool)
