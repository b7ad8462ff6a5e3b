"""From what a user names to a source: an address is an HQ, a folder a release, a file a package."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.wire import DEFAULT_CHANNEL
from bitstation.errors import UsageError
from bitstation.transport.source import Source


def open_source(named: str | Path, *, channel: str = DEFAULT_CHANNEL) -> Source:
    """Source for an address, folder or package. Raises UsageError for what is none of them."""
    if isinstance(named, str) and named.startswith(("http://", "https://")):
        from bitstation.transport.hq import HqClient, HqSource

        return HqSource(HqClient(named), channel)
    path = Path(named)
    if path.is_dir():
        from bitstation.transport.folder import FolderSource

        return FolderSource(path)
    if path.is_file() or path.with_name(path.name + ".001").is_file():
        from bitstation.transport.package import PackageSource

        return PackageSource(path)
    raise UsageError(detail=f"{named} is no folder, no package and no http address")
