"""``bitstation repair``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source
from bitstation.cli.display import size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--deep", action="store_true", help="read every byte to find damage")
    parser.add_argument("--dry-run", action="store_true", help="show what is damaged only")
    add_source(parser)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Fetch what is damaged in the active release."""
    if args.dry_run:
        return _show_damage(args, ctx)
    source = ctx.source()
    try:
        stats = ctx.updater(args.tool).repair(source, deep=args.deep)
    finally:
        source.close()
    ctx.json(stats.as_json())
    if not ctx.quiet:
        ctx.print(stats.report(ctx.lang))
    return 0


def _show_damage(args: argparse.Namespace, ctx: Context) -> int:
    damaged = ctx.updater(args.tool).verify(deep=args.deep, record=False).damaged
    ctx.json({"tool_id": args.tool, "damaged": [entry.path for entry in damaged]})
    for entry in damaged:
        ctx.print(f"  {entry.path}  {size_text(entry.size)}")
    ctx.print(ctx.gettext("Would mend: {} files").format(len(damaged)))
    return 0
