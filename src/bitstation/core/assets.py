"""Names of the files of a publication, as the contract spells them."""

from __future__ import annotations

import re

CATALOG_NAME = "catalog.json"
CHECKSUMS_NAME = "checksums.sha256"

_ASSET = re.compile(
    r"(tool|frontend)_[a-z0-9_-]+_[0-9].*\.(zip(\.[0-9]{3})?|manifest\.json|guide)\Z"
)


def package_name(tool_id: str, version: str) -> str:
    """ZIP of a release; its parts are called ``.001``, ``.002`` ... after it."""
    return f"tool_{tool_id}_{version}.zip"


PACKAGES_GLOB = "tool_*.zip*"
"""Matches packages and their parts."""


def manifest_name(tool_id: str, version: str) -> str:
    """Manifest that lies beside the package."""
    return f"tool_{tool_id}_{version}.manifest.json"


def guide_name(tool_id: str, version: str) -> str:
    """Guide that lies beside the package: what is inside its files."""
    return f"tool_{tool_id}_{version}.guide"


def frontend_name(tool_id: str, version: str) -> str:
    """ZIP of the pages of a release."""
    return f"frontend_{tool_id}_{version}.zip"


def is_asset_name(name: str) -> bool:
    """Say whether a file of this name belongs to a publication (but for catalog and checksums)."""
    return _ASSET.match(name) is not None
