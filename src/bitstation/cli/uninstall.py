"""``bitstation uninstall``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.errors import NoInstallation, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--dry-run", action="store_true", help="show what would go")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Remove every release of a tool."""
    tree, _ = ctx.root.tool(args.tool), ctx.gettext
    releases = tree.kept_versions()
    if not tree.releases.is_dir():
        raise NoInstallation(tool_id=args.tool, root=str(ctx.root.path))
    shown = ", ".join(f"v{version}" for version in releases) or "-"
    if args.dry_run:
        ctx.json({"tool_id": args.tool, "releases": releases, "removed": False})
        ctx.print(_("Would remove {}: {}").format(args.tool, shown))
        return 0
    if not ctx.confirm(_("Remove {} ({})? Its user data stays.").format(args.tool, shown)):
        raise UsageError(detail=_("not confirmed; --yes removes without asking"))
    ctx.updater(args.tool).uninstall()
    ctx.json({"tool_id": args.tool, "releases": releases, "removed": True})
    text = _("Removed {}: {}. What you keep in {} stays.")
    ctx.print("✓ " + text.format(args.tool, shown, tree.path))
    return 0
