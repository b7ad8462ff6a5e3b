"""What is published: the release of a package, a release folder or a tool folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bitstation.core.assets import CATALOG_NAME
from bitstation.core.catalog import MAX_CATALOG_BYTES, parse_catalog
from bitstation.core.manifest import Manifest
from bitstation.core.toolfile import TOOL_FILE_NAME
from bitstation.errors import UsageError
from bitstation.publisher.destination import Cargo
from bitstation.publisher.manifest import MakingOptions, make_manifest
from bitstation.publisher.progress import Progress, silent
from bitstation.publisher.validate import check_tools
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.transport.folder import FolderSource
from bitstation.transport.open import open_source


class Wish(NamedTuple):
    """What a publisher named. ``tool_id``: whose release is expected, where that is known.

    ``making``: how to make the manifest of a tool folder; None: the one that lies there counts.
    """

    path: Path
    tool_id: str | None = None
    making: MakingOptions | None = None
    legacy: bool = False


class Freight(NamedTuple):
    """A release, and where its bytes come from."""

    manifest: Manifest
    manifest_bytes: bytes
    cargo: Cargo
    legacy: bool = False
    """Its manifest stated another hash than its own, and was taken as that was asked for."""


def wishes_in(path: Path, making: MakingOptions) -> list[Wish]:
    """Releases that a path names: of a folder that 'pack' wrote, those of its catalogue.

    Raises UsageError, ManifestError.
    """
    catalog_path = path / CATALOG_NAME
    if (path / TOOL_FILE_NAME).is_file() or not path.is_dir():
        return [Wish(path, making=making)]
    if not catalog_path.is_file():
        if not (path / "manifest.json").is_file():
            detail = f"{path} is no folder that 'pack' wrote, no tool and no release"
            raise UsageError(detail=detail)
        return [Wish(path)]
    try:
        with catalog_path.open("rb") as file:
            data = file.read(MAX_CATALOG_BYTES + 1)
    except OSError as error:
        raise UsageError(detail=f"cannot read {catalog_path}: {error.strerror}") from error
    catalog = parse_catalog(data, what=str(catalog_path))
    return [Wish(path / row.asset_name, row.tool_id) for row in catalog.tools if row.asset_name]


@contextmanager
def opened(
    wish: Wish, ledger: Ledger, stop: Stop, progress: Progress = silent
) -> Iterator[Freight]:
    """The release that was named, open until the block ends.

    Raises ToolFolderInvalid, ManifestError, PackageInvalid, SourceError, UnexpectedRelease.
    Cost: of a tool folder, what the ledger does not prove is read.
    """
    if wish.making is not None and (wish.path / TOOL_FILE_NAME).is_file():
        (checked,) = check_tools([wish.path], ledger, progress=progress, stop=stop)
        manifest = make_manifest(checked, wish.making)
        data = manifest.encode()
        folder = FolderSource(wish.path, data)
        yield Freight(manifest, data, Cargo(folder, folder.file_of))
        return
    source = open_source(wish.path)
    try:
        resolved = source.resolve(wish.tool_id, None, legacy=wish.legacy)
        is_folder = isinstance(source, FolderSource)
        cargo = Cargo(source, source.file_of) if is_folder else Cargo(source)  # type: ignore[attr-defined]
        yield Freight(resolved.manifest, resolved.manifest_bytes, cargo, resolved.legacy)
    finally:
        source.close()
