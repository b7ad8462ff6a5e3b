"""What must hold after every run, however it ended: one function that says where it does not.

I1 one release is current and whole, or none as before. I2 what users have is as it was. I3 so is
everything outside the root. I4 no wrong content shows under a final name. I5 versions of trusted
metadata never go down. I6 a rerun reaches the goal: see ``testing.crashes``. I7 eligible means
proved. I8 memory and open files stay under their caps. I9 the status agrees with the disk. I10 no
secret is written down.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from bitstation.core.eligibility import Eligibility
from bitstation.core.lifecycle import ToolState
from bitstation.core.manifest import Entry, Manifest
from bitstation.core.scopes import TEMPORARY_SUFFIX, Scope, scope_of
from bitstation.errors import StoreCorrupt
from bitstation.storage.ledger import Ledger
from bitstation.storage.tree import ToolsRoot, ToolTree, files_below
from bitstation.trust.believed import version_in
from bitstation.trust.pins import Pins
from bitstation.worker.carry import unlisted_paths
from bitstation.worker.status import network_eligibility, tool_status

PROTECTED = ("venv", ".venv", "cache", "user_data", "logs")

Seen = dict[str, tuple[str, int, int]]


class Caps(NamedTuple):
    """What the process may use at most; where the system does not tell, nothing is known."""

    memory_bytes: int = 256 * 1024 * 1024
    more_open_files: int = 8
    """Beyond those that were open at the start: pools and databases may stay."""


def trusted_versions(root: ToolsRoot) -> dict[str, int]:
    """Versions of the trusted metadata by role; none where nothing is pinned or can be read."""
    try:
        believed = Pins(root.pins).load()
    except StoreCorrupt:
        return {}
    if believed is None:
        return {}
    metadata = {"root": believed.root, "timestamp": believed.timestamp} | believed.targets
    metadata["snapshot"] = believed.snapshot
    return {role: version_in(data) or 0 for role, data in metadata.items()}


class Invariants:
    """Looks at a tools root before a test, and says afterwards what must not have come about.

    ``beside`` are folders outside the root, of which nothing may change; ``secrets`` are words that
    must never be written down.
    """

    def __init__(
        self,
        tools_root: Path,
        *beside: Path,
        secrets: Collection[bytes] = (),
        caps: Caps | None = None,
    ) -> None:
        self._root = ToolsRoot(tools_root)
        self._beside = {folder: look_at(folder) for folder in beside}
        self._protected = {tree.path: _protected(tree) for tree in self._root.tools()}
        self._belongings = {tree.path: _belongings(tree) for tree in self._root.tools()}
        self._versions = trusted_versions(self._root)
        self._secrets = tuple(secrets)
        self._caps = caps
        self._open_files = open_files()

    def broken(self, tool_id: str, allowed: Collection[Manifest], *, absent: bool) -> list[str]:
        """Every invariant that does not hold for a tool.

        ``allowed`` are the releases that may be current, ``absent`` whether none may be.
        """
        tree = self._root.tool(tool_id)
        found = [f"I3: {folder} changed" for folder in self._changed_beside()]
        for path, seen in self._protected.items():
            found += _differences(seen, _protected(ToolTree(path)))
        for path, contents in self._belongings.items():
            found += _lost(path, contents)
        found += self._trust_faults() + self._excesses() + self._told_secrets()
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
        return found + self._status_faults(tree, manifest)

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

    def _trust_faults(self) -> list[str]:
        now = trusted_versions(self._root)
        return [
            f"I5: {role} went from {version} to {now.get(role)}"
            for role, version in self._versions.items()
            if now.get(role, -1) < version
        ]

    def _excesses(self) -> list[str]:
        if self._caps is None:
            return []
        more, peak = open_files() - self._open_files, peak_memory_bytes()
        found = []
        if more > self._caps.more_open_files:
            found.append(f"I8: {more} more files are open than at the start")
        if peak > self._caps.memory_bytes:
            found.append(f"I8: {peak} bytes of memory were used")
        return found

    def _told_secrets(self) -> list[str]:
        if not self._secrets:
            return []
        folders = [self._root.control, *(tree.control for tree in self._root.tools())]
        files = [folder / path for folder in folders for path in files_below(folder)]
        return [
            f"I10: {path} tells a secret"
            for path in files
            if any(secret in path.read_bytes() for secret in self._secrets)
        ]

    def _status_faults(self, tree: ToolTree, manifest: Manifest | None) -> list[str]:
        """Where the status, of which ``--json`` is made, says other than the disk."""
        ledger = Ledger.for_looking(self._root.ledger)
        try:
            status = tool_status(tree, ledger)
        finally:
            ledger.close()
        said = (status.version, status.manifest_hash, list(status.releases))
        known = (tree.current_version(), manifest and manifest.manifest_hash, tree.kept_versions())
        found = [] if said == known else [f"I9: status says {said}, the disk {known}"]
        absent = [] if manifest is None else _absent(tree, manifest)
        if status.state is ToolState.CURRENT and (manifest is None or absent):
            found.append(f"I9: status says CURRENT, but there is no {absent or 'manifest'}")
        if status.state is ToolState.NO_INSTALLATION and (known[0] or known[2]):
            found.append(f"I9: status says NO_INSTALLATION, the disk {known}")
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


def open_files() -> int:
    """How many files this process holds open; 0 where the system does not tell."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


def peak_memory_bytes() -> int:
    """The most memory that this process ever held; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _belongings(tree: ToolTree) -> dict[str, str]:
    """Digests of what users left in releases and no update may lose, by path."""
    found = {}
    for version in tree.kept_versions():
        manifest, folder = tree.manifest(version), tree.release(version)
        if manifest is None or manifest.delete_policy != "safe":
            continue
        for path in unlisted_paths(folder, manifest):
            full = folder / path
            if scope_of(path)[0] is not Scope.RUNTIME and full.is_file():
                found[f"{version}/{path}"] = hashlib.sha256(full.read_bytes()).hexdigest()
    return found


def _lost(folder: Path, contents: dict[str, str]) -> list[str]:
    """Belongings whose content is nowhere in the tool's folder any more."""
    if not contents:
        return []
    # user_data may be a link to another disk, which is followed from its top only.
    files = [top / path for top in (folder, folder / "user_data") for path in files_below(top)]
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
    return [
        f"I2: {path}, left by a user, is nowhere"
        for path, digest in contents.items()
        if digest not in there
    ]


def _absent(tree: ToolTree, manifest: Manifest) -> list[str]:
    folder = tree.release(manifest.tool_version)
    return [entry.path for entry in manifest.entries if not (folder / entry.path).is_file()]


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
