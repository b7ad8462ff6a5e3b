"""``bitstation verify``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.errors import ReleaseDamaged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--deep", action="store_true", help="read every byte again")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Prove the active release of a tool."""
    updater = ctx.updater(args.tool)
    verdict = updater.verify(deep=args.deep)
    version = updater.tree.current_version()
    damaged = [entry.path for entry in verdict.damaged]
    ctx.json(
        {
            "tool_id": args.tool,
            "version": version,
            "verified": verdict.verified,
            "verified_by_hash": verdict.by_hash,
            "damaged": damaged,
        }
    )
    if damaged:
        raise ReleaseDamaged(
            tool_id=args.tool, version=version, count=len(damaged), detail=", ".join(damaged[:10])
        )
    text = ctx.gettext("{} {}: {} files verified, {} of them by reading them now")
    ctx.print("✓ " + text.format(args.tool, version, verdict.verified, verdict.by_hash))
    return 0
