"""``bitstation update``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source, error_facts
from bitstation.cli.display import size_text
from bitstation.core.plan import Plan
from bitstation.errors import BitStationError, UsageError
from bitstation.transport.source import Source
from bitstation.worker.run import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="default: all installed")
    parser.add_argument("--version", dest="wanted", metavar="V", help="default: required or latest")
    add_source(parser)
    add_update(parser)


def add_update(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how an update is done, whatever its source."""
    parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    parser.add_argument("--allow-downgrade", action="store_true", help="install an older version")
    parser.add_argument("--legacy", action="store_true", help="take a manifest under its true hash")
    parser.add_argument("--keep", type=int, default=1, metavar="N", help="releases for rollback")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Update each tool. The first failure is the answer; the other tools still get theirs."""
    tools = args.tools or [tree.tool_id for tree in ctx.root.tools()]
    if not tools:
        raise UsageError(detail=ctx.gettext("no tool is named and none is installed"))
    _check(args, ctx)
    source = ctx.source()
    try:
        if len(args.tools) == 1:
            ctx.json(update_one(args, ctx, source, tools[0], args.wanted))
            return 0
        return _each(args, ctx, source, tools)
    finally:
        source.close()


def _each(args: argparse.Namespace, ctx: Context, source: Source, tools: list[str]) -> int:
    rows: list[object] = []
    failures = []
    for tool in tools:
        try:
            rows.append(update_one(args, ctx, source, tool, args.wanted))
        except BitStationError as error:
            if ctx.stop.is_set():
                raise
            ctx.say(f"✗ {tool}: {error.text(ctx.gettext)}")
            rows.append({"tool_id": tool, "error": error_facts(error)})
            failures.append(error)
    failed = {"error": error_facts(failures[0])} if failures else {}
    ctx.json({"tools": rows, **failed})
    if failures:
        raise failures[0]
    return 0


def _check(args: argparse.Namespace, ctx: Context) -> None:
    if args.keep < 0:
        raise UsageError(detail=ctx.gettext("--keep is 0 or more"))


def update_one(
    args: argparse.Namespace,
    ctx: Context,
    source: Source,
    tool: str,
    version: str | None = None,
) -> object:
    """Update one tool, or plan it; what ``--json`` says of it."""
    _check(args, ctx)
    options = Options(
        allow_downgrade=args.allow_downgrade, legacy=args.legacy, yes=ctx.yes, keep=args.keep
    )
    updater = ctx.updater(tool, options)
    if args.dry_run:
        plan = updater.plan(source, version)
        _show_plan(ctx, plan)
        return plan
    stats = updater.update(source, version)
    if not ctx.quiet:
        ctx.print(stats.report(ctx.lang))
    return stats.as_json()


def _show_plan(ctx: Context, plan: Plan) -> None:
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
