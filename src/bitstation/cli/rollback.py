"""``bitstation rollback``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--to", metavar="V", help="default: the release that was active before")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Return to an earlier release."""
    stats = ctx.updater(args.tool).rollback(args.to)
    ctx.json(stats.as_json())
    return 0
