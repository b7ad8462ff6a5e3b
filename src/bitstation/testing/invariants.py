"""What must hold after every run, however it ended: one function that says where it does not."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from bitstation.core.eligibility import Eligibility
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.storage.tree import ToolsRoot, ToolTree, files_below
from bitstation.worker.status import network_eligibility

PROTECTED = ("venv", ".venv", "cache", "user_data", "logs")

Seen = dict[str, tuple[str, int, int]]


class Invariants:
    """Looks at a tools root before a test, and says afterwards what must not have come about.

    ``beside`` are folders outside the root, of which nothing may change.
    """

    def __init__(self, tools_root: Path, *beside: Path) -> None:
        self._root = ToolsRoot(tools_root)
        self._beside = {folder: look_at(folder) for folder in beside}
        self._protected = {tree.path: _protected(tree) for tree in self._root.tools()}

    def broken(self, tool_id: str, allowed: Collection[Manifest], *, absent: bool) -> list[str]:
        """Every invariant that does not hold for a tool.

        ``allowed`` are the releases that may be current, ``absent`` whether none may be.
        """
        tree = self._root.tool(tool_id)
        found = [f"I3: {folder} changed" for folder in self._changed_beside()]
        for path, seen in self._protected.items():
            found += _differences(seen, _protected(ToolTree(path)))
        version = tree.current_version()
        manifest = tree.manifest(version) if version else None
        if version is None and not absent:
            found.append("I1: no release is current")
        if version is not None and manifest is None:
            found.append(f"I1: current.txt names {version}, which has no manifest")
        if manifest is not None:
            found += self._current_faults(tree, manifest, allowed)
        for kept in tree.kept_versions():
            found += _visible_faults(tree, kept)
        return found

    def check(self, tool_id: str, *allowed: Manifest, absent: bool = False) -> None:
        """Raise AssertionError naming every invariant that is broken."""
        found = self.broken(tool_id, allowed, absent=absent)
        if found:
            raise AssertionError("\n".join(found))

    def _changed_beside(self) -> list[Path]:
        return [folder for folder, seen in self._beside.items() if look_at(folder) != seen]

    def _current_faults(
        self, tree: ToolTree, manifest: Manifest, allowed: Collection[Manifest]
    ) -> list[str]:
        found = []
        if manifest.manifest_hash not in {each.manifest_hash for each in allowed}:
            found.append(f"I1: current is {manifest.tool_version}, which nobody asked for")
        wrong = wrong_files(tree.release(manifest.tool_version), manifest)
        found += [f"I1: {path} of the current release is not whole" for path in wrong]
        answer, _reasons = network_eligibility(
            self._root, tree.tool_id, manifest.tool_version, manifest.manifest_hash
        )
        if wrong and answer == Eligibility.ELIGIBLE:
            found.append(f"I7: eligible in spite of {wrong}")
        return found


def check_settled(tree: ToolTree) -> None:
    """Raise AssertionError when a run that succeeded left something unfinished behind."""
    left = [path for path in (tree.staging_area, tree.journal, tree.plan) if path.exists()]
    left += tree.retired_folders()
    # Those of our control files are written over by the next write.
    below = files_below(tree.releases)
    left += [tree.releases / path for path in below if path.endswith(TEMPORARY_SUFFIX)]
    if left:
        raise AssertionError(f"left behind: {left}")


def wrong_files(folder: Path, manifest: Manifest) -> list[str]:
    """Paths of a release whose file is absent or holds other bytes, by reading all of it."""
    return [entry.path for entry in manifest.entries if not _is_whole(folder, entry)]


def look_at(folder: Path) -> Seen:
    """Content, mode and time of everything below a folder; of a link what it says."""
    seen: Seen = {}
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent) / name
            facts = path.lstat()
            if stat.S_ISDIR(facts.st_mode):
                content = "folder"
            elif stat.S_ISREG(facts.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = f"link {path.readlink()}"
            # A folder's own time tells no more than the names in it do.
            time_ns = 0 if content == "folder" else facts.st_mtime_ns
            seen[str(path.relative_to(folder))] = (content, facts.st_mode, time_ns)
    return seen


def _protected(tree: ToolTree) -> dict[str, Seen]:
    return {name: look_at(tree.path / name) for name in PROTECTED if (tree.path / name).exists()}


def _differences(before: dict[str, Seen], after: dict[str, Seen]) -> list[str]:
    found = []
    for name, seen in before.items():
        now = after.get(name, {})
        found += [
            f"I2: {name}/{path} changed" for path, facts in seen.items() if now.get(path) != facts
        ]
        # What was set aside is the one thing that may be added.
        added = [path for path in now if path not in seen and not path.startswith("from-v")]
        found += [f"I2: {name}/{path} appeared" for path in added]
    return found


def _visible_faults(tree: ToolTree, version: str) -> list[str]:
    """Files of a kept release that hold other bytes than its manifest says: none may ever show."""
    folder, manifest = tree.release(version), tree.manifest(version)
    if manifest is None:
        return []
    present = [entry for entry in manifest.entries if (folder / entry.path).exists()]
    return [
        f"I4: {version}/{entry.path} shows other bytes"
        for entry in present
        if not _is_whole(folder, entry)
    ]


def _is_whole(folder: Path, entry: Entry) -> bool:
    try:
        data = (folder / entry.path).read_bytes()
    except OSError:
        return False
    return len(data) == entry.size and hashlib.sha256(data).hexdigest() == entry.sha256
