"""Tool folders become a publication: packages, manifests, catalogue, checksums, in one folder.

Everything is written and proved in a work folder beside, then moved in, the catalogue at the end.

Crash: assets of the new release may lie in the folder without being in the catalogue; running
again finishes. No file is ever under its final name with other than its whole content.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from bitstation.core.manifest import Manifest
from bitstation.core.toolfile import ToolFile
from bitstation.publisher.package import DEFAULT_MAX_ASSET_BYTES, Asset
from bitstation.publisher.validate import CheckedTool
from bitstation.storage.hashing import OnBytes

WORK_NAME = ".packing"

Progress = Callable[[str, str, int], OnBytes]
"""Begins a display of work: ``pack`` or ``prove``, the tool, and how many bytes there are."""


class PackOptions(msgspec.Struct, frozen=True):
    """What is published where."""

    out: Path
    max_asset_bytes: int = DEFAULT_MAX_ASSET_BYTES
    release_tag: str | None = None
    download_base: str | None = None
    """Address below which a release host keeps assets as ``{tag}/{name}``."""


class Release(msgspec.Struct, frozen=True):
    """A release that is to be packed, or was. ``package`` is None until it was."""

    checked: CheckedTool
    tool: ToolFile
    manifest: Manifest
    package: Asset | None = None
    frontend: Asset | None = None
    is_new: bool = True
    """False when the same package lay there already."""
