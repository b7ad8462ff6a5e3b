"""``bitstation history``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.errors import NoInstallation
from bitstation.worker.history import read_history


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", nargs="?", metavar="TOOL")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Show what was done, oldest first."""
    trees = [ctx.root.tool(args.tool)] if args.tool else ctx.root.tools()
    found = {tree.tool_id: read_history(tree) for tree in trees}
    if args.tool and not found[args.tool]:
        raise NoInstallation(tool_id=args.tool, root=str(ctx.root.path))
    ctx.json({"history": found})
    _ = ctx.gettext
    if not any(found.values()):
        ctx.print(_("Nothing was done in {} yet").format(ctx.root.path))
    for tool_id, records in found.items():
        for record in records:
            ctx.print(
                f"{record.at}  {tool_id}  {record.command:<8}  "
                f"{record.from_version or '-'} -> {record.to_version}  "
                + _("{} downloaded / {} verified / {} deleted").format(
                    record.downloaded, record.verified, record.deleted
                )
            )
    return 0
