"""A publication folder as it stands: what its versions are, and which packages need no packing."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.assets import CATALOG_NAME, frontend_name, manifest_name, package_name
from bitstation.core.catalog import MAX_CATALOG_BYTES, Catalog, CatalogTool, parse_catalog
from bitstation.core.digest import Digest
from bitstation.core.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from bitstation.errors import ReleaseConflict
from bitstation.publisher.package import Asset, AssetFile
from bitstation.storage.ledger import Ledger
from bitstation.storage.parts import part_path
from bitstation.storage.proving import prove_files


class Publication:
    """What lies in a publication folder; it may be absent. Raises ManifestError, OSError."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.catalog = self._load_catalog()

    def manifest_path(self, manifest: Manifest) -> Path:
        """Where the manifest beside the package of a release lies."""
        return self.out / manifest_name(manifest.tool_id, manifest.tool_version)

    def refuse_conflict(self, manifest: Manifest) -> None:
        """Raise ReleaseConflict when this version is published with other content."""
        row = self._row(manifest)
        known = {row.manifest_hash} if row else set()
        path = self.manifest_path(manifest)
        if path.is_file():
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST_BYTES + 1)
            known.add(parse_manifest(data, what=str(path)).manifest_hash)
        if others := known - {manifest.manifest_hash}:
            raise ReleaseConflict(
                tool_id=manifest.tool_id,
                version=manifest.tool_version,
                known=others.pop(),
                offered=manifest.manifest_hash,
            )

    def packed(
        self, manifest: Manifest, max_asset_bytes: int, ledger: Ledger
    ) -> tuple[Asset, Asset | None] | None:
        """Package and pages of exactly this manifest, cut at this size, when they are here whole.

        Packing again would give the same bytes. Cost: what the ledger does not prove is read.
        """
        row, path = self._row(manifest), self.manifest_path(manifest)
        if row is None or not path.is_file() or path.read_bytes() != manifest.encode():
            return None
        package = _stated_package(row, manifest, max_asset_bytes)
        frontend = _stated_frontend(row, manifest, self.out)
        assets = [asset for asset in (package, frontend) if asset]
        files = [file for asset in assets for file in asset.files]
        proofs = prove_files([self.out / file.name for file in files], ledger)
        right = all(proof.digest == file.sha256 for file, proof in zip(files, proofs, strict=True))
        return (package, frontend) if package and right else None

    def _row(self, manifest: Manifest) -> CatalogTool | None:
        rows = self.catalog.tools if self.catalog else ()
        wanted = (manifest.tool_id, manifest.tool_version)
        return next((row for row in rows if (row.tool_id, row.latest) == wanted), None)

    def _load_catalog(self) -> Catalog | None:
        path = self.out / CATALOG_NAME
        try:
            with path.open("rb") as file:
                return parse_catalog(file.read(MAX_CATALOG_BYTES + 1), what=str(path))
        except FileNotFoundError:
            return None


def _stated_package(row: CatalogTool, manifest: Manifest, max_bytes: int) -> Asset | None:
    """The package as the catalogue states it; None when it would be cut otherwise now."""
    name = package_name(manifest.tool_id, manifest.tool_version)
    if row.asset_name != name or row.sha256 is None or row.size is None:
        return None
    count = -(-row.size // max_bytes)
    whole = AssetFile(name, row.size, Digest(row.sha256))
    parts = tuple(AssetFile(part.name, part.size, Digest(part.sha256)) for part in row.parts)
    names = [part_path(Path(name), number).name for number in range(1, count + 1)]
    cut = [(name, max_bytes) for name in names[:-1]]
    if count == 1:
        return Asset(name, whole.sha256, (whole,)) if not parts else None
    if [(part.name, part.size) for part in parts[:-1]] != cut or len(parts) != count:
        return None
    return Asset(name, whole.sha256, parts)


def _stated_frontend(row: CatalogTool, manifest: Manifest, out: Path) -> Asset | None:
    if row.frontend_sha256 is None:
        return None
    name, digest = frontend_name(manifest.tool_id, manifest.tool_version), row.frontend_sha256
    size = (out / name).stat().st_size if (out / name).is_file() else 0
    return Asset(name, Digest(digest), (AssetFile(name, size, Digest(digest)),))
