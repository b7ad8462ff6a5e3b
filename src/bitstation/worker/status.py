"""What is installed, by looking only: no lock is taken and nothing is hashed."""

from __future__ import annotations

import msgspec

from bitstation import host
from bitstation.core.eligibility import Eligibility, InstalledFacts, Reason, decide_eligibility
from bitstation.core.lifecycle import ToolState, decide_state
from bitstation.core.manifest import Manifest
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import prove_files
from bitstation.storage.tree import ToolsRoot, ToolTree
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
    folder = tree.release(manifest.tool_version)
    damaged = []
    for entry in manifest.entries:
        try:
            facts = host.stat_facts(folder / entry.path)
        except OSError:
            damaged.append(entry.path)
            continue
        changed = ledger is not None and ledger.contradicts(facts)
        if not facts.is_file or facts.size != entry.size or changed:
            damaged.append(entry.path)
    return tuple(damaged)


def installed_facts(tree: ToolTree, ledger: Ledger) -> InstalledFacts | None:
    """Facts for eligibility, the manifest's hash recomputed.

    Every file is proved by the ledger or, where it knows nothing of a file, by hashing. A file
    that changed since its proof counts as unproved.
    """
    version = tree.current_version()
    manifest = tree.manifest(version) if version else None
    if manifest is None:
        return None
    folder = tree.release(manifest.tool_version)
    entries = {folder / entry.path: entry for entry in manifest.entries}
    changed = {path for path in entries if _is_changed(path, ledger)}
    asked = [path for path in entries if path not in changed]
    proofs = zip(asked, prove_files(asked, ledger), strict=True)
    wrong = [path for path, proof in proofs if proof.digest != entries[path].sha256]
    unproved = sorted(entries[path].path for path in (*changed, *wrong))
    return InstalledFacts(manifest.tool_version, manifest.manifest_hash, tuple(unproved))


def _is_changed(path: object, ledger: Ledger) -> bool:
    try:
        return ledger.contradicts(host.stat_facts(path))  # type: ignore[arg-type]
    except OSError:
        return True


def network_eligibility(
    root: ToolsRoot, tool_id: str, required_version: str, required_hash: str
) -> tuple[Eligibility, tuple[Reason, ...]]:
    """May this machine take network jobs of a tool: decided from what lies on its disk now."""
    tree = root.tool(tool_id)
    if not tree.releases.is_dir():
        return Eligibility.NO_INSTALLATION, (Reason.NOT_INSTALLED,)
    ledger = Ledger(root.ledger)
    try:
        facts = installed_facts(tree, ledger)
    finally:
        ledger.close()
    answer, reasons = decide_eligibility(
        facts,
        required_version=required_version,
        required_hash=required_hash,
        interrupted=bool(tree.kept_versions()),
    )
    return answer, tuple(reasons)
