"""``bitstation gc``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.storage.faults import free_bytes
from bitstation.worker.remove import garbage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="show what would go")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Remove what no kept release needs, of every tool."""
    trees = ctx.root.tools()
    found = {tree.tool_id: garbage(tree) for tree in trees}
    before = free_bytes(ctx.root.path)
    if not args.dry_run:
        for tree in trees:
            ctx.updater(tree.tool_id).gc()
    freed = max(0, free_bytes(ctx.root.path) - before)
    ctx.json({"tools": found, "freed_bytes": 0 if args.dry_run else freed})
    _ = ctx.gettext
    for tool_id, names in found.items():
        ctx.print(f"{tool_id}: " + (", ".join(names) if names else _("nothing to remove")))
    if not args.dry_run:
        ctx.print(_("Freed: {}").format(size_text(freed)))
    return 0
