"""Put a release together in staging, going on where an interrupted run left it."""

from __future__ import annotations

from pathlib import Path

from bitstation.core.events import PlanReady
from bitstation.core.manifest import Manifest
from bitstation.core.plan import Plan, parse_plan, plan_update
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import DiskFull, StoreCorrupt, VolumeUnfit
from bitstation.host import path_limit
from bitstation.storage.faults import free_bytes
from bitstation.storage.journal import Begin, SegmentDone, read_journal
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.storage.tree import files_below
from bitstation.transport.source import Resolved, Source
from bitstation.worker.assemble import Assembly
from bitstation.worker.carry import carried_paths, carry
from bitstation.worker.inventory import Names, prove, survey
from bitstation.worker.run import Run
from bitstation.worker.verify import require_whole, verify_folder

# Room for folders, the journal and the ledger beside the files themselves.
_MARGIN_BYTES = 4 * 1024 * 1024


def make_plan(run: Run, base: Manifest | None, target: Manifest) -> tuple[Plan, Names]:
    """Cheapest plan from what this machine holds, and where it holds it."""
    held = survey(run, target.entries)
    plan = plan_update(base, target, held.keys(), shared_from_bytes=LINK_FROM_BYTES)
    return plan, held


def stage(run: Run, base: Manifest | None, target: Resolved, source: Source) -> Path:
    """Folder in staging that holds the whole proved release and is durable.

    Raises DiskFull or VolumeUnfit before the first byte; else as ``Assembly.fill``. Crash: the
    journal says what is whole, and the next call goes on from there.
    """
    manifest = target.manifest
    staging = run.tree.staging(manifest.tool_version)
    plan = _plan_to_resume(run, manifest)
    if plan is None:
        plan, held = make_plan(run, base, manifest)
        kept: set[int] = set()
    else:
        held = survey(run, manifest.entries)
        kept = _whole_entries(run, plan, staging)
    run.emit(
        PlanReady,
        download_files=plan.download_files,
        unchanged_files=plan.unchanged_files,
        delete_files=len(plan.deleted),
        download_bytes=plan.download_bytes,
        reuse_bytes=plan.reuse_bytes,
        total_bytes=plan.total_bytes,
        write_bytes=plan.write_bytes,
    )
    check_fit(run, plan, base, kept)
    _begin(run, plan, staging, kept)
    assembly = Assembly(run, plan, staging, held)
    assembly.fill(source, kept)
    carry(run, base, staging, manifest)
    run.disk.write_file(staging / MANIFEST_NAME, target.manifest_bytes)
    written = assembly.settle()
    require_whole(verify_folder(run, staging, manifest, hashed=written), manifest)
    return staging


def check_fit(run: Run, plan: Plan, base: Manifest | None, kept: set[int]) -> None:
    """Refuse before the first byte what the volume cannot hold. Raises DiskFull, VolumeUnfit."""
    staging = run.tree.staging(plan.to_version)
    longest, longest_name = path_limit(run.root.path)
    prefix = len(str(staging).encode()) + 1 + len(".bitstation-tmp")
    for entry in plan.entries:
        name = max(len(part.encode()) for part in entry.path.split("/"))
        if prefix + len(entry.path.encode()) > longest or name > longest_name:
            raise VolumeUnfit(path=entry.path, detail=f"its path exceeds {longest} bytes here")
    here = sum(plan.entries[index].size_bytes for index in kept)
    folder = run.tree.release(base.tool_version) if base else None
    carried = carried_paths(folder, base) if base and folder else []
    needed = plan.write_bytes - here + _MARGIN_BYTES
    needed += sum((folder / path).stat().st_size for path in carried) if folder else 0
    free = free_bytes(run.root.path)
    if needed > free:
        raise DiskFull(path=str(run.root.path), needed_bytes=needed, free_bytes=free)


def _begin(run: Run, plan: Plan, staging: Path, kept: set[int]) -> None:
    if not kept:
        run.disk.remove_tree(run.tree.staging_area)
    run.disk.make_dir(staging)
    run.disk.write_file(run.tree.plan, plan.encode())
    begin = Begin(run.emitter.run_id, plan.to_version, plan.manifest_hash, plan.from_version)
    run.journal.begin(begin, [SegmentDone(index, 0) for index in sorted(kept)])


def _plan_to_resume(run: Run, target: Manifest) -> Plan | None:
    """Plan of an interrupted run for exactly this release; None when there is none to trust."""
    begin = read_journal(run.tree.journal).begin
    if begin is None or begin.manifest_hash != target.manifest_hash:
        return None
    try:
        plan = parse_plan(run.tree.plan.read_bytes(), str(run.tree.plan))
    except (OSError, StoreCorrupt):
        return None
    rows = [(entry.path, entry.sha256, entry.size, entry.executable) for entry in target.entries]
    planned = [
        (entry.path, entry.sha256, entry.size_bytes, entry.executable) for entry in plan.entries
    ]
    return plan if plan.manifest_hash == target.manifest_hash and rows == planned else None


def _whole_entries(run: Run, plan: Plan, staging: Path) -> set[int]:
    """Entries that the journal says are done and whose bytes prove it now.

    The journal is not synced at each record, so it is believed only after reading the bytes.
    What staging holds beside them is removed.
    """
    done = sorted({entry for entry, _segment in read_journal(run.tree.journal).done})
    done = [index for index in done if index < len(plan.entries)]
    paths = [staging / plan.entries[index].path for index in done]
    whole = {
        index
        for index, proof in zip(done, prove(run, paths), strict=True)
        if proof.digest == plan.entries[index].sha256
    }
    names = {plan.entries[index].path for index in whole}
    for path in files_below(staging):
        if path not in names:
            run.disk.remove(staging / path)
    return whole
