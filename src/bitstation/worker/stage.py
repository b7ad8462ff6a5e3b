"""Put a release together in staging, going on where an interrupted run left it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.core.diff import deleted_paths
from bitstation.core.events import PlanReady
from bitstation.core.manifest import Manifest
from bitstation.core.plan import Plan, parse_plan, plan_update
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import StoreCorrupt
from bitstation.storage.journal import Begin, SegmentDone, read_journal
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.storage.tree import PlainPaths
from bitstation.transport.source import Resolved, Source
from bitstation.worker.assemble import Assembly
from bitstation.worker.carry import carried_bytes, carry
from bitstation.worker.discard import discard_tree, keep_only
from bitstation.worker.fit import can_share, check_paths, check_space
from bitstation.worker.inventory import Names, prove, survey
from bitstation.worker.lending import Lending
from bitstation.worker.run import Run
from bitstation.worker.verify import require_whole, verify_folder


def make_plan(run: Run, base: Manifest | None, target: Manifest) -> tuple[Plan, Names]:
    """Cheapest plan from what this machine holds, and where it holds it."""
    held = survey(run, target.entries)
    shared_from_bytes = LINK_FROM_BYTES if can_share(run) else None
    copied = Lending(run).copied(held)
    plan = plan_update(
        base, target, held.keys(), shared_from_bytes=shared_from_bytes, copied=copied
    )
    return plan, held


def stage(run: Run, base: Manifest | None, target: Resolved, source: Source) -> Path:
    """Folder in staging that holds the whole proved release and is durable.

    Raises DiskFull or VolumeUnfit before the first byte; else as ``Assembly.fill``. Crash: the
    journal says what is whole, and the next call goes on from there.
    """
    manifest = target.manifest
    staging = run.tree.staging(manifest.tool_version)
    check_paths(staging, [entry.path for entry in manifest.entries])
    plan = _plan_to_resume(run, base, manifest)
    kept: dict[int, host.StatFacts] = {}
    if plan is None:
        # Of another release: its space is free for this one.
        discard_tree(run, run.tree.staging_area)
        plan, held = make_plan(run, base, manifest)
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
    _check_space(run, plan, base, kept)
    _begin(run, plan, staging, kept)
    assembly = Assembly(run, plan, staging, held)
    assembly.fill(source, kept)
    carry(run, base, staging, manifest)
    run.disk.write_file(staging / MANIFEST_NAME, target.manifest_bytes)
    written = assembly.settle()
    require_whole(verify_folder(run, staging, manifest, hashed=written), manifest)
    return staging


def _check_space(run: Run, plan: Plan, base: Manifest | None, kept: Iterable[int]) -> None:
    here = sum(plan.entries[index].size_bytes for index in kept)
    carried = carried_bytes(run.tree.release(base.tool_version), base) if base else 0
    check_space(run, plan.write_bytes - here + carried)


def _begin(run: Run, plan: Plan, staging: Path, kept: Iterable[int]) -> None:
    run.disk.make_dir(staging)
    run.disk.write_file(run.tree.plan, plan.encode())
    begin = Begin(
        run.emitter.run_id,
        plan.to_version,
        plan.manifest_hash,
        plan.from_version,
        run.options.keep,
    )
    run.journal.begin(begin, [SegmentDone(index, 0) for index in sorted(kept)])


def _plan_to_resume(run: Run, base: Manifest | None, target: Manifest) -> Plan | None:
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
    if plan.manifest_hash != target.manifest_hash or rows != planned:
        return None
    # The tool may have been rolled back since.
    return msgspec.structs.replace(
        plan,
        from_version=base.tool_version if base else None,
        deleted=deleted_paths(base, target),
    )


def _whole_entries(run: Run, plan: Plan, staging: Path) -> dict[int, host.StatFacts]:
    """Entries that the journal says are done and whose bytes prove it now, with their facts.

    The journal is not synced at each record, so it is believed only after reading the bytes.
    What staging holds beside them is removed.
    """
    done = sorted({entry for entry, _segment in read_journal(run.tree.journal).done})
    plain = PlainPaths(staging)
    done = [index for index in done if index < len(plan.entries)]
    done = [index for index in done if plan.entries[index].path in plain]
    proofs = prove(run, [staging / plan.entries[index].path for index in done])
    whole = {
        index: proof.facts
        for index, proof in zip(done, proofs, strict=True)
        if proof.facts is not None and proof.digest == plan.entries[index].sha256
    }
    keep_only(run, staging, {plan.entries[index].path for index in whole})
    return whole
