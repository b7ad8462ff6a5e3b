"""Put a release together in staging, going on where an interrupted run left it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bitstation import host
from bitstation.codec.guiding import Papers
from bitstation.core.diff import deleted_paths
from bitstation.core.digest import Digest
from bitstation.core.events import GuardLowered, PlanReady
from bitstation.core.manifest import Manifest
from bitstation.core.plan import Plan, parse_plan
from bitstation.core.planning import (
    LINK_BYTES_PER_S,
    LOCAL_BYTES_PER_S,
    Ground,
    Knowledge,
    blocks_to_find,
    plan_update,
)
from bitstation.core.recipe import Copy, Patch, Segment
from bitstation.core.reworking import plan_rework
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.errors import DiskFull, StoreCorrupt
from bitstation.storage.journal import Begin, BlocksDone, JournalFacts, read_journal
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.storage.tree import check_plain
from bitstation.transport.source import Resolved, Source
from bitstation.worker.assemble import Assembly, Kept
from bitstation.worker.carry import carried_bytes, carry
from bitstation.worker.discard import discard_tree
from bitstation.worker.fit import (
    InPlacePossible,
    can_share,
    check_lengths,
    check_paths,
    check_space,
    room_bytes,
)
from bitstation.worker.inventory import Names, prove_claimed, survey, survey_blocks
from bitstation.worker.lending import Lending
from bitstation.worker.papers import atlas_of, keep_papers, local_atlases
from bitstation.worker.resume import find_kept
from bitstation.worker.rework import give_up
from bitstation.worker.run import Run
from bitstation.worker.verify import require_whole, verify_folder


def make_plan(
    run: Run, base: Manifest | None, target: Resolved, source: Source
) -> tuple[Plan, Names]:
    """Cheapest plan from what this machine holds, and where it holds it."""
    manifest, known = target.manifest, knowledge_of(target)
    held = survey(run, manifest.entries)
    wanted = blocks_to_find(manifest, held, known.atlas)
    atlases = local_atlases(run)
    if target.needs and base is not None:
        # The source was made for a machine with this release alone: what others hold may be cheaper
        # for some blocks of a packed segment, but the rest of them it would not have.
        atlases = iter([atlas_of(run.tree, base.manifest_hash)])
    places, holders = survey_blocks(run, wanted, atlases) if wanted else ({}, {})
    bases = _local_blobs(known.recipes.values())
    held |= holders | prove_claimed(run, bases - held.keys() - holders.keys())
    ground = Ground(
        held=frozenset(held),
        places=places,
        shared_from_bytes=LINK_FROM_BYTES if can_share(run) else None,
        copied=Lending(run).copied(held),
        link_bytes_per_s=LOCAL_BYTES_PER_S if source.is_local else LINK_BYTES_PER_S,
    )
    return plan_update(base, manifest, ground, known), held


def stage(run: Run, base: Manifest | None, target: Resolved, source: Source) -> Path:
    """Folder in staging that holds the whole proved release and is durable.

    Raises DiskFull or VolumeUnfit before the first byte; else as ``Assembly.fill``. Crash: the
    journal says what is whole, and the next call goes on from there.
    """
    manifest = target.manifest
    staging = run.tree.staging(manifest.tool_version)
    check_paths(staging, [entry.path for entry in manifest.entries])
    plan = _plan_to_resume(run, base, manifest)
    kept, is_resumed = Kept(), plan is not None
    if plan is None:
        # Of another release: its space is free for this one.
        discard_tree(run, run.tree.staging_area)
        plan, held = make_plan(run, base, target, source)
    else:
        held = survey(run, manifest.entries)
        bases = _local_blobs(entry.segments for entry in plan.entries)
        held |= prove_claimed(run, bases - held.keys())
        kept = find_kept(run, plan, staging)
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
    # A source of what is new alone has not the blocks that in-place work may lose.
    spare = None if target.needs else base
    plan = _fitted(run, plan, base, held, kept, spare)
    check_lengths(run, manifest.entries)
    _begin(run, plan, staging, kept)
    if not is_resumed:
        papers = Papers(target.manifest_bytes, target.guidance.atlas_bytes)
        keep_papers(run, manifest.manifest_hash, papers)
    assembly = Assembly(run, plan, staging, held)
    assembly.fill(source, kept)
    run.tree.check_staged(staging)
    carry(run, base, staging, manifest)
    manifest_path, below = staging / MANIFEST_NAME, run.tree.releases
    run.disk.write_file(manifest_path, target.manifest_bytes, below=below)
    if plan.given_up is not None:
        run.emit(GuardLowered, switch="--in-place", detail=plan.given_up)
        assembly.settle()
        give_up(run, plan, staging)
        assembly.rework(source, kept)
    written = assembly.settle()
    # Somebody may have put a link in its place meanwhile.
    check_plain(staging)
    require_whole(verify_folder(run, staging, manifest, hashed=written), manifest)
    return staging


def knowledge_of(target: Resolved) -> Knowledge:
    """What a source told of a release beyond its manifest."""
    guidance = target.guidance
    return Knowledge(guidance.atlas, guidance.recipes, guidance.inline)


def _local_blobs(recipes: Iterable[Iterable[Segment]]) -> set[Digest]:
    """Blobs that recipes read here."""
    found: set[Digest] = set()
    for segment in (each for recipe in recipes for each in recipe):
        if isinstance(segment.step, Copy):
            found.add(segment.step.blob)
        elif isinstance(segment.step, Patch):
            found.add(segment.step.base)
    return found


def _fitted(
    run: Run,
    plan: Plan,
    base: Manifest | None,
    held: Names,
    kept: Kept,
    spare: Manifest | None,
) -> Plan:
    """The plan, if the volume has room for it; else one that works in place, if that is allowed.

    ``spare``: the release that may be given up for it. Raises DiskFull, InPlacePossible.
    """
    # A file that is begun has its space already.
    begun = {*kept.whole, *kept.blocks, *kept.parts}
    here = sum(plan.entries[index].size_bytes for index in begun)
    beside = carried_bytes(run.tree.release(base.tool_version), base) if base else 0
    try:
        check_space(run, plan.write_bytes - here + beside)
        return plan
    except DiskFull as error:
        room = room_bytes(run) + here - beside
        tighter = plan_rework(plan, spare, _alone(run, spare, held), room) if spare else plan
        if tighter is plan:
            raise
        if not run.options.in_place:
            raise InPlacePossible(**error.fields) from error
        return tighter


def _alone(run: Run, base: Manifest, held: Names) -> dict[Digest, str]:
    """Files of the installed release, proved now, that no other name holds: digest -> path."""
    folder = run.tree.release(base.tool_version)
    found: dict[Digest, str] = {}
    for entry in base.entries:
        path = folder / entry.path
        if path in held.get(entry.sha256, ()) and host.stat_facts(path).links == 1:
            found[entry.sha256] = entry.path
    return found


def _begin(run: Run, plan: Plan, staging: Path, kept: Kept) -> None:
    run.disk.make_dir(staging)
    run.disk.write_file(run.tree.plan, plan.encode())
    begin = Begin(
        run.emitter.run_id,
        plan.to_version,
        plan.manifest_hash,
        plan.from_version,
        run.options.keep,
    )
    facts = JournalFacts(done=set(kept.whole), parts=kept.parts)
    for index, blocks in kept.blocks.items():
        for block in sorted(blocks):
            facts.add(BlocksDone(index, block, 1))
    run.journal.begin(begin, facts.records())


def _plan_to_resume(run: Run, base: Manifest | None, target: Manifest) -> Plan | None:
    """Plan of an interrupted run for exactly this release; None when there is none to trust."""
    begin = read_journal(run.tree.journal).begin
    if begin is None or begin.manifest_hash != target.manifest_hash:
        return None
    if host.is_link(run.tree.staging(target.tool_version)):
        # What lies there is not ours to go on with, nor to clear away.
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
    is_current = plan.given_up is not None and plan.given_up == run.tree.current_version()
    if is_current and not run.options.in_place:
        # Nothing was given up yet, and this time nobody said that it may be.
        return None
    # The tool may have been rolled back since.
    return msgspec.structs.replace(
        plan,
        from_version=base.tool_version if base else None,
        deleted=deleted_paths(base, target),
    )
