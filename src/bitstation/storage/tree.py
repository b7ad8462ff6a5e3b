"""Where everything of a tools root and of one tool lies, and reading it; writing is elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bitstation import host
from bitstation.core.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from bitstation.core.names import tool_id_fault, version_fault, version_key
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import ManifestError, StoreError, UsageError

CONTROL_NAME = ".bitstation"
_RETIRED_PREFIX = ".retired-"
_POINTER = re.compile(r"v(\S{1,64})\s*\Z")


class ToolsRoot:
    """The folder that holds all tools of a machine, and their one ledger."""

    def __init__(self, path: Path) -> None:
        self.path = host.native_path(Path(path).absolute())

    @property
    def control(self) -> Path:
        """Folder of what belongs to all tools together."""
        return self.path / CONTROL_NAME

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.control / "ledger.sqlite3"

    @property
    def pins(self) -> Path:
        """Whose releases may be installed, and the newest signed metadata that were seen."""
        return self.control / "trust.json"

    @property
    def adopted(self) -> Path:
        """The record of adopted files."""
        return self.control / "adopted.json"

    @property
    def maps(self) -> Path:
        """Folder of the block maps of adopted files, each named by its file's digest."""
        return self.control / "maps"

    def tool(self, tool_id: str) -> ToolTree:
        """Tree of a tool, installed or not. Raises UsageError for what is no tool id."""
        if fault := tool_id_fault(tool_id):
            raise UsageError(detail=fault)
        return ToolTree(self.path / tool_id)

    def tools(self) -> list[ToolTree]:
        """Trees of all tools that have a release, an interrupted first one included."""
        try:
            names = sorted(entry.name for entry in self.path.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []
        trees = [ToolTree(self.path / name) for name in names if tool_id_fault(name) is None]
        return [tree for tree in trees if tree.releases.is_dir()]


class ToolTree:
    """The folders of one tool, as the contract names them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tool_id = path.name
        self.releases = path / "releases"
        self.staging_area = self.releases / ".staging"
        self.pointer = path / "current.txt"
        self.control = path / CONTROL_NAME
        self.journal = self.control / "journal"
        self.plan = self.control / "plan.json"
        self.history = self.control / "history.jsonl"
        self.atlases = self.control / "atlases"
        self.lock = self.control / "lock"
        self.user_data = path / "user_data"

    def atlas(self, manifest_hash: str) -> Path:
        """Atlas of a release as its source gave it."""
        return self.atlases / manifest_hash

    def release(self, version: str) -> Path:
        """Folder of a release."""
        return self.releases / f"v{version}"

    def staging(self, version: str) -> Path:
        """Folder in which a release is being put together."""
        return self.staging_area / f"v{version}"

    def is_staged(self, version: str) -> bool:
        """Say whether that folder is there; a link in its place is none."""
        folder = self.staging(version)
        return folder.is_dir() and not host.is_link(folder)

    def retired(self, version: str) -> Path:
        """Folder of a release that is being removed."""
        return self.releases / f"{_RETIRED_PREFIX}v{version}"

    def retired_folders(self) -> list[Path]:
        """Releases whose removal was begun."""
        try:
            return sorted(self.releases.glob(f"{_RETIRED_PREFIX}v*"))
        except OSError:
            return []

    def check_folders(self) -> None:
        """Refuse control and release folders that are links: what is below would lie elsewhere.

        So it does at a mount point inside of them; the folder of all releases may be one. Raises
        StoreError, OSError.
        """
        folders = [self.control, self.releases]
        if self.releases.is_dir() and not host.is_link(self.releases):
            folders.extend(self.releases.iterdir())
        for folder in folders:
            check_plain(folder)
        inside = {Path(os.path.realpath(self.control)), Path(os.path.realpath(self.releases))}
        for place in host.mount_points():
            if not inside.isdisjoint(place.parents):
                detail = "is a mount point; a plain folder is needed"
                raise StoreError(path=str(place), detail=detail)

    def check_staged(self, folder: Path) -> None:
        """Refuse a folder in staging that has become a link since it was made, or lies below one.

        Asked right before a file in it is begun. Raises StoreError. Cost: one look a folder above.
        """
        for above in (folder, *folder.parents):
            if above == self.releases:
                return
            check_plain(above)

    def current_version(self) -> str | None:
        """Version that the pointer names; None when there is no readable pointer."""
        try:
            with self.pointer.open("rb") as file:
                match = _POINTER.match(file.read(100).decode("ascii", "replace"))
        except OSError:
            return None
        if match is None or version_fault(match[1]):
            return None
        return match[1]

    def kept_versions(self) -> list[str]:
        """Versions whose folder holds a manifest, newest first.

        It is moved in last and renamed first, so such a folder was complete once.
        """
        return [
            version
            for version in self.release_folders()
            if (self.release(version) / MANIFEST_NAME).is_file()
        ]

    def release_folders(self) -> list[str]:
        """Versions that have a folder, complete or not, newest first; others are not ours."""
        try:
            names = [entry.name for entry in self.releases.iterdir() if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        versions = [
            name[1:]
            for name in names
            if name.startswith("v")
            and version_fault(name[1:]) is None
            and not host.is_link(self.releases / name)
        ]
        return sorted(versions, key=version_key, reverse=True)

    def manifest(self, version: str) -> Manifest | None:
        """Manifest of a kept release, its hash recomputed; None when absent or damaged.

        Our own copies of legacy manifests carry their true hash, so they are read like any other.
        One of another tool or version is not this release's: then the folder was renamed.
        """
        folder = self.release(version)
        try:
            manifest = None if host.is_link(folder) else load_manifest(folder)
        except (OSError, ManifestError):
            return None
        if manifest is None or (manifest.tool_id, manifest.tool_version) != (self.tool_id, version):
            return None
        return manifest


def check_plain(folder: Path) -> None:
    """Refuse a link where a folder of ours must lie. Raises StoreError."""
    if host.is_link(folder):
        raise StoreError(path=str(folder), detail="is a link; a plain folder is needed")


def load_manifest(folder: Path) -> Manifest:
    """Manifest of a release folder. Raises OSError, ManifestError."""
    data = read_manifest_bytes(folder)
    return parse_manifest(data, any_scope=True, what=str(folder / MANIFEST_NAME))


def read_manifest_bytes(folder: Path) -> bytes:
    """Bytes of a folder's manifest.json, at most one more than allowed. Raises OSError."""
    with (folder / MANIFEST_NAME).open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES + 1)


class PlainPaths:
    """Tells which paths lie, or could be made, in a folder: no link or file is above them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plain: dict[str, bool] = {"": True}

    def __contains__(self, path: str) -> bool:
        """Cost: two looks at each distinct folder."""
        parent = path.rpartition("/")[0]
        if parent not in self._plain:
            self._plain[parent] = parent in self and self._may_hold(self._folder / parent)
        return self._plain[parent]

    def _may_hold(self, folder: Path) -> bool:
        return not host.is_link(folder) and (folder.is_dir() or not folder.exists())


def files_below(folder: Path) -> Iterator[str]:
    """Relative paths (``/``) of everything below a folder that is not a plain folder."""
    pending = [""] if folder.is_dir() else []
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        for entry in found:
            path = prefix + entry.name
            # A junction of Windows looks like a folder here.
            if entry.is_dir(follow_symlinks=False) and not host.is_link(Path(entry.path)):
                pending.append(path + "/")
            else:
                yield path
