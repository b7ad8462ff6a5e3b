"""Tool folders become a publication: packages, manifests, catalogue, checksums, in one folder.

Everything is written and proved in a work folder beside, then moved in, the catalogue at the end.

Crash: assets of the new release may lie in the folder without being in the catalogue; running
again finishes. No file is ever under its final name with other than its whole content.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.core.assets import CATALOG_NAME, guide_name, manifest_name, package_name
from bitstation.core.catalog import Catalog
from bitstation.core.manifest import Manifest
from bitstation.core.toolfile import ToolFile
from bitstation.errors import DiskFull, MissingExtra, UsageError
from bitstation.publisher.cache import locked
from bitstation.publisher.catalog import catalog_row, merge_catalog, write_checksums
from bitstation.publisher.guides import work_folder
from bitstation.publisher.manifest import MakingOptions, make_manifest
from bitstation.publisher.maps import MapCache
from bitstation.publisher.package import DEFAULT_MAX_ASSET_BYTES, Asset, PackageWriter
from bitstation.publisher.progress import Progress
from bitstation.publisher.prove import prove_package
from bitstation.publisher.publication import Publication
from bitstation.publisher.signing import FolderSigner
from bitstation.publisher.validate import CheckedTool, raise_faults
from bitstation.recipes.release import make_release
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors, free_bytes
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.reuse import move_file
from bitstation.transport.folder import FolderSource
from bitstation.trust.keyring import Keyring
from bitstation.trust.signing import ReleaseName

WORK_NAME = ".packing"


class PackOptions(msgspec.Struct, frozen=True):
    """What is published where."""

    out: Path
    max_asset_bytes: int = DEFAULT_MAX_ASSET_BYTES
    release_tag: str | None = None
    download_base: str | None = None
    """Address below which a release host keeps assets, as ``{base}/{tag}/{name}``."""


class PlannedRelease(msgspec.Struct, frozen=True):
    """A release that may be packed: sound, and its version not taken by other content."""

    checked: CheckedTool
    tool: ToolFile
    manifest: Manifest


class PackedRelease(msgspec.Struct, frozen=True):
    """A release with its packages."""

    plan: PlannedRelease
    package: Asset
    frontend: Asset | None
    is_new: bool = True
    """False when the same packages lay there already."""


def plan_pack(
    tools: Sequence[CheckedTool], options: PackOptions, making: MakingOptions
) -> list[PlannedRelease]:
    """Releases to be packed from checked tool folders; writes nothing.

    Raises ToolFolderInvalid naming every fault, ReleaseConflict when a version is published with
    other content, UsageError when the publication would become part of a tool.
    """
    raise_faults(tools)
    for checked in tools:
        if _lies_in(options.out, checked.inventory.root):
            raise UsageError(
                detail=f"{options.out} lies in the tool folder: it would be packed too"
            )
    with disk_errors(options.out):
        publication = Publication(options.out)
        return [_planned(checked, publication, making) for checked in tools]


def _lies_in(folder: Path, parent: Path) -> bool:
    """Say whether a folder, absent perhaps, is another or lies in it; spellings do not count."""
    resolved = folder.resolve()
    return any(above.exists() and above.samefile(parent) for above in (resolved, *resolved.parents))


def _planned(
    checked: CheckedTool, publication: Publication, making: MakingOptions
) -> PlannedRelease:
    tool = checked.tool
    assert tool is not None  # else there were faults
    beside = publication.out / manifest_name(tool.tool_id, tool.version)
    manifest = make_manifest(checked, making, known=[beside])
    publication.refuse_conflict(manifest)
    return PlannedRelease(checked, tool, manifest)


class Packing:
    """Packs planned releases into ``options.out``.

    With a ``keyring`` releases are signed, too, below ``metadata/`` beside them.

    Raises FileChanged, StoreError, DiskFull, StoreLocked, UpdateCancelled, what installing a
    package raises when it is not good, and what ``FolderSigner`` raises.
    """

    def __init__(
        self,
        options: PackOptions,
        ledger: Ledger,
        progress: Progress,
        *,
        disk: Disk | None = None,
        stop: Stop | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._progress = progress
        self._disk = disk or Disk()
        self._stop = stop
        self._work = host.native_path(options.out.absolute()) / WORK_NAME
        self._signer = FolderSigner(self._work.parent, keyring) if keyring else None

    def pack(self, plans: Sequence[PlannedRelease]) -> tuple[list[PackedRelease], Catalog]:
        """Write, prove and move in what is not there yet, then the catalogue and the checksums."""
        out = self._work.parent
        with disk_errors(out), locked(str(self._options.out.resolve())):
            self._disk.make_dir(out)
            publication = Publication(out)
            for plan in plans:
                # Once more, for another run may have published since they were planned.
                publication.refuse_conflict(plan.manifest)
                if self._signer is not None:
                    # Before a package is replaced whose manifest was signed with another time.
                    self._signer.check(ReleaseName.of(plan.manifest))
            packed = {
                plan.tool.tool_id: found
                for plan in plans
                if (found := self._packed_earlier(plan, publication))
            }
            lacking = [plan for plan in plans if plan.tool.tool_id not in packed]
            packed |= {one.plan.tool.tool_id: one for one in self._packed_now(lacking)}
            releases = [packed[plan.tool.tool_id] for plan in plans]
            catalog = self._merged(publication.catalog, releases)
            for release in releases:
                self._guide(release)
            if self._signer is not None:
                self._signer.sign(*(ReleaseName.of(plan.manifest) for plan in plans))
            self._disk.write_file(out / CATALOG_NAME, catalog.encode())
            write_checksums(out, self._disk, self._ledger)
        return releases, catalog

    def _packed_earlier(
        self, plan: PlannedRelease, publication: Publication
    ) -> PackedRelease | None:
        found = publication.packed(plan.manifest, self._options.max_asset_bytes, self._ledger)
        return PackedRelease(plan, *found, is_new=False) if found else None

    def _packed_now(self, plans: Sequence[PlannedRelease]) -> list[PackedRelease]:
        out, needed_bytes = self._work.parent, _needed_bytes(plans)
        if free_bytes(out) < needed_bytes:
            raise DiskFull(path=str(out), needed_bytes=needed_bytes, free_bytes=free_bytes(out))
        self._disk.remove_tree(self._work)
        try:
            self._disk.make_dir(self._work)
            packed = [self._packed(plan) for plan in plans]
            for release in packed:
                self._place(release)
        finally:
            self._disk.remove_tree(self._work)
        return packed

    def _packed(self, plan: PlannedRelease) -> PackedRelease:
        manifest, size_bytes = plan.manifest, plan.manifest.total_bytes
        writer = PackageWriter(
            self._work,
            self._options.max_asset_bytes,
            self._disk,
            self._ledger,
            self._progress,
            self._stop,
        )
        package = writer.write_release(plan.checked, manifest)
        frontend = writer.write_frontend(plan.checked, manifest)
        prove_package(
            self._work / package.files[0].name,
            manifest,
            self._work / "proof",
            on_bytes=self._progress("prove", package.name, size_bytes),
            stop=self._stop,
        )
        return PackedRelease(plan, package, frontend)

    def _place(self, release: PackedRelease) -> None:
        """Move a release's assets in, and remove those of an earlier packing cut otherwise."""
        out, manifest = self._work.parent, release.plan.manifest
        whole = package_name(manifest.tool_id, manifest.tool_version)
        assets = [release.package, *([release.frontend] if release.frontend else [])]
        names = [file.name for asset in assets for file in asset.files]
        for name in names:
            move_file(self._work / name, out / name, self._disk, self._ledger)
        for path in out.iterdir():
            if path.name not in names and (path.name == whole or path.name.startswith(whole + ".")):
                self._disk.remove(path)
        self._disk.write_file(
            out / manifest_name(manifest.tool_id, manifest.tool_version), manifest.encode()
        )

    def _guide(self, release: PackedRelease) -> None:
        """Write the guide that lies beside a package: maps only, for packing gains nothing here.

        Where nothing is installed that cuts files there is none, and packages are as good.
        """
        checked, manifest = release.plan.checked, release.plan.manifest
        path = self._work.parent / guide_name(manifest.tool_id, manifest.tool_version)
        if path.is_file() and not release.is_new:
            return
        data = manifest.encode()
        with suppress(MissingExtra), work_folder(str(path)) as work:
            made = make_release(
                manifest,
                data,
                FolderSource(checked.inventory.root, data),
                (),
                work=work,
                cache=MapCache(self._disk),
                disk=self._disk,
                stop=self._stop or Stop(),
                progress=self._progress,
                packed=False,
            )
            self._disk.write_file(path, made.guides[0].data)

    def _merged(self, earlier: Catalog | None, packed: Sequence[PackedRelease]) -> Catalog:
        options = self._options
        address = None
        if options.download_base and options.release_tag:
            address = f"{options.download_base.rstrip('/')}/{options.release_tag}"
        rows = [
            catalog_row(one.plan.tool, one.plan.manifest, one.package, one.frontend, address)
            for one in packed
        ]
        # created_at begins YYYY-MM-DD.
        days = [(one.plan.manifest.created_at or "")[:10].replace("-", ".") for one in packed]
        return merge_catalog(earlier, rows, day=max(days), release_tag=options.release_tag)


def _needed_bytes(plans: Sequence[PlannedRelease]) -> int:
    """All packages, and the largest release once more while it is proved."""
    sizes = [plan.manifest.total_bytes for plan in plans]
    return sum(sizes) + max(sizes, default=0)
