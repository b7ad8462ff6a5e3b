"""What is installed, by looking only: no lock is taken and nothing is hashed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.core.eligibility import Eligibility, InstalledFacts, Reason, decide_eligibility
from bitstation.core.lifecycle import ToolState, decide_state
from bitstation.core.manifest import Entry, Manifest
from bitstation.errors import StoreError
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import prove_files
from bitstation.storage.tree import PlainPaths, ToolsRoot, ToolTree
from bitstation.worker.history import read_history
from bitstation.worker.recover import leftovers


class ToolStatus(msgspec.Struct, frozen=True):
    """State of one tool; ``damaged`` are paths that are absent or changed since their proof."""

    tool_id: str
    version: str | None
    manifest_hash: str | None
    state: ToolState
    releases: tuple[str, ...]
    verified_at: str | None
    damaged: tuple[str, ...] = ()


def tool_status(
    tree: ToolTree, ledger: Ledger | None, required_version: str | None = None
) -> ToolStatus:
    """State of a tool. ``required_version`` (of HQ) decides between CURRENT and OUTDATED."""
    version = tree.current_version()
    manifest = tree.manifest(version) if version else None
    damaged = _visibly_damaged(tree, manifest, ledger) if manifest else ()
    releases = tuple(tree.kept_versions())
    state = decide_state(
        pointer_version=version,
        leftovers=bool(releases) or leftovers(tree).step is not None,
        damaged=bool(damaged) or (version is not None and manifest is None),
        required_version=required_version,
    )
    history = read_history(tree)
    return ToolStatus(
        tool_id=tree.tool_id,
        version=version,
        manifest_hash=manifest.manifest_hash if manifest else None,
        state=state,
        releases=releases,
        verified_at=history[-1].at if history else None,
        damaged=damaged,
    )


def _visibly_damaged(tree: ToolTree, manifest: Manifest, ledger: Ledger | None) -> tuple[str, ...]:
    """Entries that are absent, of another size, or changed since their proof."""
    look = _Look(tree.release(manifest.tool_version), ledger)
    off = [entry for entry in manifest.entries if look.is_off(entry)]
    if off and ledger is not None:
        # A run beside us may be between its own change of a stamp and the record of it.
        with contextlib.suppress(StoreError), ledger.locked():
            off = [entry for entry in off if look.is_off(entry)]
    return tuple(entry.path for entry in off)


class _Look:
    """Looks at files of a release without reading them."""

    def __init__(self, folder: Path, ledger: Ledger | None) -> None:
        self._folder = folder
        self._plain = PlainPaths(folder)
        self._ledger = ledger

    def is_off(self, entry: Entry) -> bool:
        """Say whether a file is certainly, or since its proof possibly, not what it should be."""
        try:
            facts = host.stat_facts(self._folder / entry.path)
        except OSError:
            return True
        if entry.path not in self._plain or not facts.is_file or facts.size != entry.size:
            return True
        if self._ledger is None:
            return False
        digest = self._ledger.proof(facts)
        return self._ledger.contradicts(facts) if digest is None else digest != entry.sha256


def installed_facts(tree: ToolTree, ledger: Ledger) -> InstalledFacts | None:
    """Facts for eligibility, the manifest's hash recomputed.

    Every file is proved by the ledger or, where it knows nothing of a file, by hashing. A file
    that changed since its proof counts as unproved.
    """
    version = tree.current_version()
    manifest = tree.manifest(version) if version else None
    if manifest is None:
        return None
    off = set(_visibly_damaged(tree, manifest, ledger))
    asked = [entry for entry in manifest.entries if entry.path not in off]
    folder = tree.release(manifest.tool_version)
    proofs = prove_files([folder / entry.path for entry in asked], ledger)
    wrong = [
        entry.path
        for entry, proof in zip(asked, proofs, strict=True)
        if proof.digest != entry.sha256
    ]
    return InstalledFacts(
        manifest.tool_version, manifest.manifest_hash, tuple(sorted([*off, *wrong]))
    )


def network_eligibility(
    root: ToolsRoot, tool_id: str, required_version: str, required_hash: str
) -> tuple[Eligibility, tuple[Reason, ...]]:
    """May this machine take network jobs of a tool: decided from what lies on its disk now."""
    tree = root.tool(tool_id)
    if not tree.releases.is_dir():
        return Eligibility.NO_INSTALLATION, (Reason.NOT_INSTALLED,)
    ledger = Ledger.for_looking(root.ledger)
    try:
        facts = installed_facts(tree, ledger)
    finally:
        ledger.close()
    answer, reasons = decide_eligibility(
        facts,
        required_version=required_version,
        required_hash=required_hash,
        interrupted=bool(tree.kept_versions()) or leftovers(tree).step is not None,
    )
    return answer, tuple(reasons)
