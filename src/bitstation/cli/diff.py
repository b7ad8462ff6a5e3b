"""``bitstation diff``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.validate import progress_of
from bitstation.codec.guiding import Papers
from bitstation.core.diff import ReleaseDiff, diff_manifests
from bitstation.core.manifest import Manifest
from bitstation.core.planning import Ground, Knowledge, plan_update
from bitstation.core.recipe import INLINE, Fetch, Patch
from bitstation.errors import UsageError
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.release import open_release
from bitstation.storage.ledger import Ledger
from bitstation.transport.guidance import NO_GUIDANCE, NOTHING_KNOWN, Guidance, Known
from bitstation.transport.hq import HqSource

_RELEASE_HELP = "manifest, package, folder, or TOOL@VERSION of an HQ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("base", metavar="A", help=_RELEASE_HELP)
    parser.add_argument("target", metavar="B", help=_RELEASE_HELP)
    parser.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Show what a worker that has A would download for B."""
    ledger = open_ledger()
    try:
        first = _release(args.base, ctx, ledger)
        second = _release(args.target, ctx, ledger, known=first)
    finally:
        ledger.close()
    base, target = first.manifest, second.manifest
    if base.tool_id != target.tool_id:
        text = ctx.gettext("A is {}, B is {}: two tools")
        raise UsageError(detail=text.format(base.tool_id, target.tool_id))
    diff = diff_manifests(base, target)
    ctx.close()
    wire_bytes = _wire_bytes(first, second)
    ctx.json(_facts(base, target, diff) | {"wire_bytes": wire_bytes})
    _show(base, target, diff, ctx)
    if second.guidance.atlas_bytes:
        text = ctx.gettext("On the wire, by blocks and patches: {}")
        ctx.print(text.format(size_text(wire_bytes)))
    return 0


class _Release(NamedTuple):
    """A release, and what its source tells of the inside of its files (see transport.guidance)."""

    manifest: Manifest
    guidance: Guidance = NO_GUIDANCE

    def papers(self, manifest_hash: str) -> Papers | None:
        if manifest_hash != self.manifest.manifest_hash or not self.guidance.manifest_bytes:
            return None
        return Papers(self.guidance.manifest_bytes, self.guidance.atlas_bytes)


def _release(named: str, ctx: Context, ledger: Ledger, known: Known = NOTHING_KNOWN) -> _Release:
    tool_id, at, version = named.rpartition("@")
    if at and not Path(named).exists():
        source = HqSource(ctx.hq_client())
        try:
            found = source.resolve(tool_id, version, known=known)
            return _Release(found.manifest, found.guidance)
        finally:
            source.close()
    return _Release(open_release(named, ledger, progress=progress_of(ctx), stop=ctx.stop))


def _wire_bytes(base: _Release, target: _Release) -> int:
    """Bytes that a worker with exactly the base receives, guide and all."""
    places = {
        block.digest: (each.file_digest, block.offset)
        for each in base.guidance.atlas.maps.values()
        for block in each.blocks()
    }
    held = frozenset(entry.sha256 for entry in base.manifest.entries)
    guidance = target.guidance
    knowledge = Knowledge(guidance.atlas, guidance.recipes, guidance.inline)
    plan = plan_update(base.manifest, target.manifest, Ground(held, places), knowledge)
    inline = sum(
        segment.step.length
        for entry in plan.entries
        for segment in entry.fetched()
        if isinstance(segment.step, Fetch | Patch) and segment.step.blob == INLINE
    )
    return plan.download_bytes - inline + guidance.received_bytes


def _show(base: Manifest, target: Manifest, diff: ReleaseDiff, ctx: Context) -> None:
    _ = ctx.gettext
    known = {entry.path for entry in base.entries}
    ctx.print(f"{target.tool_id} {base.tool_version} → {target.tool_version}")
    for entry in diff.changed:
        mark = "~" if entry.path in known else "+"
        ctx.print(f"  {mark} {entry.path}  {size_text(entry.size)}")
    for before, entry in diff.moved:
        ctx.print(f"  > {before} → {entry.path}")
    for path in diff.deleted:
        ctx.print(f"  - {path}")
    text = _("To download: {} files, {} of {}; unchanged: {}; moved: {}; deleted: {}")
    ctx.print(
        text.format(
            len(diff.changed),
            size_text(diff.download_bytes),
            size_text(target.total_bytes),
            len(diff.unchanged),
            len(diff.moved),
            len(diff.deleted),
        )
    )


def _facts(base: Manifest, target: Manifest, diff: ReleaseDiff) -> dict[str, object]:
    def release(manifest: Manifest) -> dict[str, object]:
        return {"version": manifest.tool_version, "manifest_hash": manifest.manifest_hash}

    return {
        "tool_id": target.tool_id,
        "from": release(base),
        "to": release(target),
        "download_files": len(diff.changed),
        "download_bytes": diff.download_bytes,
        "total_bytes": target.total_bytes,
        "changed": [{"path": entry.path, "size": entry.size} for entry in diff.changed],
        "moved": [{"from": before, "to": entry.path} for before, entry in diff.moved],
        "deleted": diff.deleted,
        "unchanged_files": len(diff.unchanged),
    }
