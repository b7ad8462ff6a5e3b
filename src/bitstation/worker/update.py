"""One update from first to last: trust, diff, plan, fetch, assemble, verify, activate, collect.

Every source and every kind of install comes through here; there is no second path.
"""

from __future__ import annotations

from bitstation.core.diff import deleted_paths
from bitstation.core.events import (
    BodyReceived,
    EntryPlaced,
    GuardLowered,
    PhaseChanged,
    RunFinished,
    RunStarted,
    SignatureVerified,
    UnsignedAllowed,
)
from bitstation.core.manifest import Manifest
from bitstation.core.names import is_older
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.core.stats import UpdateStats
from bitstation.errors import (
    BitStationError,
    DowngradeRefused,
    IntegrityError,
    ManifestError,
    ReleaseConflict,
)
from bitstation.storage.faults import disk_errors
from bitstation.storage.journal import Begin, read_journal
from bitstation.transport.failures import BaseNeeded
from bitstation.transport.source import Resolved, Source
from bitstation.trust.authorize import Authority, Grounds
from bitstation.trust.pins import Pins
from bitstation.worker.activate import activate, point_to
from bitstation.worker.carry import carry
from bitstation.worker.collect import clear_leftovers, collect, headless, retire
from bitstation.worker.discard import discard_tree, drop_empty
from bitstation.worker.history import append_history, known_hash
from bitstation.worker.mend import mend
from bitstation.worker.papers import LocalPapers, forget_atlases, learn_atlas
from bitstation.worker.recover import in_place, recover
from bitstation.worker.run import Run
from bitstation.worker.stage import stage
from bitstation.worker.verify import (
    lost_executable_bits,
    require_whole,
    verify_entries,
    verify_folder,
)


def update(
    run: Run, source: Source, version: str | None = None, *, expected_hash: str | None = None
) -> UpdateStats:
    """Bring the tool to a release of a source; without a version the required, else the latest.

    ``expected_hash`` is the manifest_hash that a caller insists on.

    Raises BitStationError. Crash: the earlier or the new release is current, and the next run
    finishes or goes on (see activate, stage, collect).
    """
    recover(run)
    base = current_manifest(run)
    authority = authority_of(run, source, is_given=expected_hash is not None)
    target = resolve(run, source, base, version, authority)
    found = target.manifest.manifest_hash
    if expected_hash is not None and found != expected_hash:
        raise IntegrityError(
            what=f"manifest_hash of {source.name}", expected=expected_hash, actual=found
        )
    run.emit(
        RunStarted,
        command="update",
        from_version=base.tool_version if base else None,
        to_version=target.manifest.tool_version,
        manifest_hash=found,
        source=source.name,
        resumed=read_journal(run.tree.journal).begin is not None,
    )
    if received := target.guidance.received_bytes:
        run.emit(BodyReceived, source=source.name, body_bytes=received)
    try:
        with disk_errors(run.tree.path):
            _check_allowed(run, base, target, authority)
            _check_bases(run, base, target, source)
            run.emit(PhaseChanged, phase="diff")
            try:
                _install(run, base, target, source)
            except (IntegrityError, ManifestError):
                # Anything else can succeed later, and goes on from what is staged.
                _discard(run)
                raise
    except BitStationError as error:
        end(run, error.code)
        raise
    return run.stats


def _install(run: Run, base: Manifest | None, target: Resolved, source: Source) -> None:
    manifest, tree = target.manifest, run.tree
    if base is not None and base.manifest_hash == manifest.manifest_hash:
        learn_atlas(run, manifest.manifest_hash, target.guidance.atlas_bytes)
        changed = make_whole(run, manifest, source)
        if changed:
            append_history(run, "repair")
        # That folders are gone may have been lost with the power after the journal was dropped.
        clear_leftovers(run)
        finish(run, "done" if changed else "nothing-to-do")
        return
    if _has_lost_its_manifest(run, manifest):
        run.disk.write_file(
            tree.release(manifest.tool_version) / MANIFEST_NAME, target.manifest_bytes
        )
    if tree.manifest(manifest.tool_version) is not None:
        learn_atlas(run, manifest.manifest_hash, target.guidance.atlas_bytes)
        make_whole(run, manifest, source)
        _return_to(run, base, manifest)
    else:
        for version in headless(run):
            retire(run, version)
        stage(run, base, target, source)
        activate(run, manifest, len(deleted_paths(base, manifest)))
    append_history(run, "update")
    collect(run, previous=base.tool_version if base else None)
    finish(run, "done")


def _has_lost_its_manifest(run: Run, target: Manifest) -> bool:
    """Say whether the target is the active release, but that its manifest cannot be read."""
    tree, version = run.tree, target.tool_version
    is_active = tree.current_version() in (version, None)
    return is_active and version in tree.release_folders() and tree.manifest(version) is None


def _return_to(run: Run, base: Manifest | None, target: Manifest) -> None:
    """Make a whole release that is in place already the current one."""
    version = target.tool_version
    before = base.tool_version if base else None
    carry(run, base, run.tree.release(version), target)
    run.journal.begin(
        Begin(run.emitter.run_id, version, target.manifest_hash, before, run.options.keep)
    )
    point_to(run, target, len(deleted_paths(base, target)))


def make_whole(run: Run, manifest: Manifest, source: Source, *, deep: bool = False) -> bool:
    """Prove a release that is already in place, mending what is damaged; says if anything was."""
    folder = run.tree.release(manifest.tool_version)
    verdict = verify_folder(run, folder, manifest, deep=deep)
    wrong = {entry.path for entry in verdict.damaged}
    whole = [entry for entry in manifest.entries if entry.path not in wrong]
    damaged = [*verdict.damaged, *lost_executable_bits(folder, whole)]
    mended = {entry.path for entry in damaged}
    for entry in manifest.entries:
        if entry.path not in mended:
            run.emit(EntryPlaced, path=entry.path, size_bytes=entry.size, how="kept")
    if damaged:
        with in_place(run, "repair"):
            mend(run, folder, manifest, damaged, source)
        require_whole(verify_entries(run, folder, verdict.damaged), manifest)
    return bool(damaged)


def authority_of(run: Run, source: Source, *, is_given: bool = False) -> Authority:
    """Who decides what of a source may be installed on this machine."""
    return Authority(
        Pins(run.root.pins, run.disk),
        source,
        root=str(run.root.path),
        allow_unsigned=run.options.allow_unsigned,
        is_given=is_given,
    )


def resolve(
    run: Run, source: Source, base: Manifest | None, version: str | None, authority: Authority
) -> Resolved:
    """The release that a source offers, once what is signed of it was seen.

    Raises TrustError, SourceError, ManifestError.
    """
    authority.prepare()
    return source.resolve(
        run.tree.tool_id,
        version,
        legacy=run.options.legacy,
        known=LocalPapers(run.tree, base),
        vet=authority.vet,
    )


def _check_allowed(run: Run, base: Manifest | None, target: Resolved, authority: Authority) -> None:
    """Raises DowngradeRefused, ReleaseConflict."""
    manifest, version = target.manifest, target.manifest.tool_version
    if authority.grounds is Grounds.SIGNED:
        run.emit(SignatureVerified, version=version, publisher=authority.signer)
    else:
        run.emit(UnsignedAllowed, version=version, grounds=authority.grounds)
    if target.legacy:
        run.emit(GuardLowered, switch="--legacy", detail=manifest.manifest_hash)
    # Reading a manifest of 100,000 entries takes a second: not twice.
    is_current = base is not None and base.tool_version == version
    known = base if is_current else run.tree.manifest(version)
    known_digest = known.manifest_hash if known else known_hash(run.tree, version)
    if known_digest not in (None, manifest.manifest_hash):
        raise ReleaseConflict(
            tool_id=manifest.tool_id,
            version=version,
            known=known_digest,
            offered=manifest.manifest_hash,
        )
    installed = base.tool_version if base else _damaged_version(run)
    if installed is None or not is_older(version, installed):
        return
    digest = manifest.manifest_hash
    if target.required and authority.confirms_requirement(manifest.tool_id, version, digest):
        return
    if not run.options.allow_downgrade:
        raise DowngradeRefused(tool_id=manifest.tool_id, version=version, installed=installed)
    run.emit(GuardLowered, switch="--allow-downgrade", detail=installed)


def _check_bases(run: Run, base: Manifest | None, target: Resolved, source: Source) -> None:
    """Refuse a source that lacks what only another release than the active one has.

    Raises BaseNeeded.
    """
    manifest = target.manifest
    known = {each.manifest_hash for each in target.needs}
    if not known or run.tree.manifest(manifest.tool_version) is not None:
        return
    if base is None or base.manifest_hash not in known:
        versions = " / ".join(each.version for each in target.needs)
        raise BaseNeeded(source=source.name, tool_id=manifest.tool_id, bases=versions)


def _damaged_version(run: Run) -> str | None:
    """Version that the pointer names though its manifest cannot be read."""
    version = run.tree.current_version()
    return version if version in run.tree.release_folders() else None


def current_manifest(run: Run) -> Manifest | None:
    """Manifest of the active release; None when there is none or it is damaged."""
    version = run.tree.current_version()
    return run.tree.manifest(version) if version else None


def finish(run: Run, outcome: str) -> None:
    """End an update that succeeded: nothing is in progress any more."""
    _discard(run)
    end(run, outcome)


def end(run: Run, outcome: str) -> None:
    """Say that a run is over; ``outcome`` is done, nothing-to-do or an error code."""
    run.emit(
        RunFinished,
        outcome=outcome,
        activated=run.stats.activated,
        seconds=run.seconds,
    )


def _discard(run: Run) -> None:
    """Forget what is staged. The journal goes last: until then a kill is recovered from."""
    discard_tree(run, run.tree.staging_area)
    run.disk.remove(run.tree.plan)
    run.journal.drop()
    forget_atlases(run)
    drop_empty(run)
