"""catalog.json and checksums.sha256: what a publication holds, told to programs and to people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bitstation.core.assets import CATALOG_NAME, CHECKSUMS_NAME, is_asset_name
from bitstation.core.catalog import Catalog, CatalogTool, Part
from bitstation.core.manifest import Manifest
from bitstation.core.names import is_older
from bitstation.core.toolfile import ToolFile
from bitstation.publisher.package import Asset, proved_assets
from bitstation.storage.durable import Disk
from bitstation.storage.ledger import Ledger


def catalog_row(
    tool: ToolFile, manifest: Manifest, package: Asset, frontend: Asset | None, address: str | None
) -> CatalogTool:
    """Row of a release. ``address``: folder of the assets on the web, where it is known.

    Of a package in parts, ``download_url`` is what the names of the parts begin with too.
    """
    parts = tuple(Part(file.name, file.size, file.sha256) for file in package.files)
    return CatalogTool(
        tool_id=tool.tool_id,
        name=tool.name,
        latest=tool.version,
        asset_name=package.name,
        sha256=package.sha256,
        size=package.size_bytes,
        manifest_hash=manifest.manifest_hash,
        platforms=tool.platforms,
        has_frontend=frontend is not None,
        parts=parts if len(parts) > 1 else (),
        category=tool.category,
        download_url=f"{address}/{package.name}" if address else None,
        frontend_url=f"{address}/{frontend.name}" if address and frontend else None,
        frontend_sha256=frontend.sha256 if frontend else None,
        api_contract=tool.api_contract,
        supports_gpu_persistence=tool.supports_gpu_persistence or None,
    )


def merge_catalog(
    earlier: Catalog | None, rows: Iterable[CatalogTool], *, day: str, release_tag: str | None
) -> Catalog:
    """Catalogue with new rows in place of older ones; a newer release already there stays.

    ``day``: YYYY.MM.DD of the newest manifest. Taken from there and not from the clock, so that
    the same releases give the same catalogue.
    """
    by_id = {row.tool_id: row for row in earlier.tools} if earlier else {}
    for row in rows:
        known = by_id.get(row.tool_id)
        if known is None or not is_older(row.latest, known.latest):
            by_id[row.tool_id] = row
    return Catalog(
        catalog_version=max(day, earlier.catalog_version if earlier else day),
        tools=tuple(by_id[tool_id] for tool_id in sorted(by_id)),
        release_tag=release_tag or (earlier.release_tag if earlier else None),
    )


def write_checksums(out: Path, disk: Disk, ledger: Ledger) -> None:
    """Write the SHA-256 of every asset in ``out``, in the form that ``sha256sum -c`` reads.

    Cost: only files that the ledger does not prove are read. Raises OSError, FileChanged.
    """
    paths = [
        path
        for path in sorted(out.iterdir())
        if is_asset_name(path.name) or path.name == CATALOG_NAME
    ]
    lines = [f"{file.sha256}  {file.name}\n" for file in proved_assets(paths, ledger, out.name)]
    disk.write_file(out / CHECKSUMS_NAME, "".join(lines).encode())
