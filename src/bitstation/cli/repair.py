"""``bitstation repair``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--deep", action="store_true", help="read every byte to find damage")
    add_source(parser)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Fetch what is damaged in the active release."""
    source = ctx.source()
    try:
        stats = ctx.updater(args.tool).repair(source, deep=args.deep)
    finally:
        source.close()
    ctx.json(stats.as_json())
    if not ctx.quiet:
        ctx.print(stats.report(ctx.lang))
    return 0
