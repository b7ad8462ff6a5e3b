"""``bitstation status``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source
from bitstation.core.lifecycle import ToolState
from bitstation.storage.ledger import Ledger
from bitstation.worker.status import ToolStatus, tool_status

EXIT_NOTHING_TO_DO = 10
EXIT_OUTDATED = 20
EXIT_NO_INSTALLATION = 21


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", nargs="?", metavar="TOOL")
    parser.add_argument(
        "--check",
        action="store_true",
        help="ask HQ; exit 10: all as required, 20: outdated or damaged, 21: nothing installed",
    )
    add_source(parser, local=False)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Show the state of one or all tools."""
    root = ctx.root
    trees = [root.tool(args.tool)] if args.tool else root.tools()
    required = _required(ctx) if args.check else {}
    ledger = Ledger.for_looking(root.ledger) if root.ledger.exists() else None
    try:
        tools = [tool_status(tree, ledger, required.get(tree.tool_id)) for tree in trees]
    finally:
        if ledger:
            ledger.close()
    ctx.json({"tools": tools})
    for line in _table(tools, ctx):
        ctx.print(line)
    return _exit_code(tools, args)


def _required(ctx: Context) -> dict[str, str]:
    client = ctx.hq_client()
    try:
        return {row.tool_id: row.version for row in client.requirements(ctx.args.channel)}
    finally:
        client.close()


def _exit_code(tools: list[ToolStatus], args: argparse.Namespace) -> int:
    states = {tool.state for tool in tools}
    if args.tool and states == {ToolState.NO_INSTALLATION}:
        return EXIT_NO_INSTALLATION
    if not args.check:
        return 0
    if not tools:
        return EXIT_NO_INSTALLATION
    return EXIT_NOTHING_TO_DO if states == {ToolState.CURRENT} else EXIT_OUTDATED


def _table(tools: list[ToolStatus], ctx: Context) -> list[str]:
    _ = ctx.gettext
    if not tools:
        return [_("Nothing is installed in {}").format(ctx.root.path)]
    rows = [(_("TOOL"), _("VERSION"), _("STATE"), "MANIFEST_HASH", _("KEPT"))]
    for tool in tools:
        kept = [version for version in tool.releases if version != tool.version]
        digest = (tool.manifest_hash or "-")[:12]
        rows.append(
            (tool.tool_id, tool.version or "-", str(tool.state), digest, ", ".join(kept) or "-")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for tool in tools:
        if tool.damaged:
            shown = ", ".join(tool.damaged[:5])
            lines.append("  " + _("{}: damaged or changed: {}").format(tool.tool_id, shown))
    return lines
