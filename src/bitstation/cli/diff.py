"""``bitstation diff``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.validate import progress_of
from bitstation.core.diff import ReleaseDiff, diff_manifests
from bitstation.core.manifest import Manifest
from bitstation.errors import UsageError
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.release import open_release
from bitstation.storage.ledger import Ledger
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
        base, target = (_manifest(named, ctx, ledger) for named in (args.base, args.target))
    finally:
        ledger.close()
    if base.tool_id != target.tool_id:
        text = ctx.gettext("A is {}, B is {}: two tools")
        raise UsageError(detail=text.format(base.tool_id, target.tool_id))
    diff = diff_manifests(base, target)
    ctx.close()
    ctx.json(_facts(base, target, diff))
    _show(base, target, diff, ctx)
    return 0


def _manifest(named: str, ctx: Context, ledger: Ledger) -> Manifest:
    tool_id, at, version = named.rpartition("@")
    if at and not Path(named).exists():
        source = HqSource(ctx.hq_client())
        try:
            return source.resolve(tool_id, version).manifest
        finally:
            source.close()
    return open_release(named, ledger, progress=progress_of(ctx), stop=ctx.stop)


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
