"""``bitstation rollback``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.worker.rollback import rollback_target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--dry-run", action="store_true", help="show the way back, change nothing")
    parser.add_argument("--to", metavar="V", help="default: the release that was active before")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Return to an earlier release."""
    tree = ctx.root.tool(args.tool)
    if args.dry_run:
        target = rollback_target(tree, args.to)
        current = tree.current_version()
        plan = {"tool_id": args.tool, "from_version": current, "to_version": target.tool_version}
        ctx.json(plan)
        ctx.print(f"{args.tool}: v{current} -> v{target.tool_version}")
        return 0
    stats = ctx.updater(args.tool).rollback(args.to)
    ctx.json(stats.as_json())
    return 0
