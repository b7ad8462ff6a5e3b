"""From what a user names to a source: address, release folder, mirror, package or bundle."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.assets import PACKAGES_GLOB, is_asset_name
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.core.wire import DEFAULT_CHANNEL
from bitstation.errors import FolderOfPackages, UsageError
from bitstation.storage.parts import whole_path
from bitstation.transport.source import Source


def open_source(named: str | Path, *, channel: str = DEFAULT_CHANNEL) -> Source:
    """Source for an address, folder or file.

    Raises UsageError for what is none of them, FolderOfPackages for what ``pack`` made.

    An address is an HQ or a static mirror, which read alike.
    """
    if isinstance(named, str) and named.startswith(("http://", "https://")):
        from bitstation.transport.hq import HqClient, HqSource

        return HqSource(HqClient(named), channel)
    path = Path(named)
    if path.is_dir():
        return _open_folder(path)
    if path.is_file() or path.with_name(path.name + ".001").is_file():
        return _open_file(path)
    raise UsageError(detail=f"{named} is no folder, no package and no http address")


def _open_folder(path: Path) -> Source:
    from bitstation.transport.mirror import MirrorSource, is_mirror

    if not (path / MANIFEST_NAME).is_file():
        if is_mirror(path):
            return MirrorSource(path)
        _check_no_packages(path)
    from bitstation.transport.folder import FolderSource

    return FolderSource(path)


def _check_no_packages(folder: Path) -> None:
    names = [path.name for path in folder.glob(PACKAGES_GLOB) if is_asset_name(path.name)]
    if names:
        package = whole_path(folder / min(names))
        raise FolderOfPackages(folder=str(folder), package=str(package))


def _open_file(path: Path) -> Source:
    from bitstation.transport.bundle import BundleSource, is_bundle

    if is_bundle(path):
        return BundleSource(path)
    from bitstation.transport.package import PackageSource

    return PackageSource(path)
