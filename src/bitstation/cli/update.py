"""``bitstation update``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source
from bitstation.cli.display import size_text
from bitstation.core.plan import Plan
from bitstation.core.stats import UpdateStats
from bitstation.errors import BitStationError, UsageError
from bitstation.transport.source import Source
from bitstation.worker.run import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="default: all installed")
    parser.add_argument("--version", dest="wanted", metavar="V", help="default: required or latest")
    add_source(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    parser.add_argument("--allow-downgrade", action="store_true", help="install an older version")
    parser.add_argument("--legacy", action="store_true", help="take a manifest under its true hash")
    parser.add_argument("--keep", type=int, default=1, metavar="N", help="releases for rollback")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Update each tool. The first failure is the answer; the other tools still get theirs."""
    tools = args.tools or [tree.tool_id for tree in ctx.root.tools()]
    if not tools:
        raise UsageError(detail=ctx.gettext("no tool is named and none is installed"))
    if args.keep < 0:
        raise UsageError(detail=ctx.gettext("--keep is 0 or more"))
    source = ctx.source()
    try:
        failures = [error for tool in tools if (error := _one(args, ctx, source, tool, len(tools)))]
    finally:
        source.close()
    if failures:
        raise failures[0]
    return 0


def _one(
    args: argparse.Namespace, ctx: Context, source: Source, tool: str, count: int
) -> BitStationError | None:
    options = Options(
        allow_downgrade=args.allow_downgrade, legacy=args.legacy, yes=ctx.yes, keep=args.keep
    )
    updater = ctx.updater(tool, options)
    try:
        if args.dry_run:
            _show_plan(ctx, updater.plan(source, args.wanted))
        else:
            _show_stats(ctx, updater.update(source, args.wanted))
    except BitStationError as error:
        if count == 1 or ctx.stop.is_set():
            raise
        ctx.say(f"✗ {tool}: {error.text(ctx.gettext)}")
        return error
    return None


def _show_stats(ctx: Context, stats: UpdateStats) -> None:
    ctx.json(stats.as_json())
    if not ctx.quiet:
        ctx.print(stats.report(ctx.lang))


def _show_plan(ctx: Context, plan: Plan) -> None:
    ctx.json(plan)
    _ = ctx.gettext
    before = f"v{plan.from_version}" if plan.from_version else _("none")
    ctx.print(f"{plan.tool_id}: {before} -> v{plan.to_version}")
    for label, files, size_bytes in (
        (_("to download:"), plan.download_files, plan.download_bytes),
        (_("to reuse:"), plan.unchanged_files, plan.reuse_bytes),
    ):
        ctx.print(f"  {label:<18}{files:>7}  {size_text(size_bytes)}")
    ctx.print(f"  {_('to delete:'):<18}{len(plan.deleted):>7}")
    ctx.print(f"  {_('new disk space:'):<25}  {size_text(plan.write_bytes)}")
