"""``bitstation update``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context, add_source, error_facts
from bitstation.cli.plans import show_plan
from bitstation.errors import BitStationError, UsageError
from bitstation.transport.source import Source
from bitstation.worker.run import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="default: all installed")
    parser.add_argument("--version", dest="wanted", metavar="V", help="default: required or latest")
    add_source(parser, mirrors=True)
    add_update(parser)


def add_update(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how an update is done, whatever its source."""
    parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    parser.add_argument("--allow-downgrade", action="store_true", help="install an older version")
    parser.add_argument(
        "--allow-unsigned", action="store_true", help="install what nobody known has signed"
    )
    parser.add_argument("--legacy", action="store_true", help="take a manifest under its true hash")
    parser.add_argument("--keep", type=int, default=1, metavar="N", help="releases for rollback")
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="RATE",
        help="at most so fast, such as 50MiB/s, 20MB/s@08:00-18:00 or 0@08:00-12:00; may be given "
        "again (BITSTATION_LIMIT)",
    )
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="without room for two copies, remake large files and give the installed release up",
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        default=None,
        help="one connection, files in order: for disks that turn",
    )


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
        allow_downgrade=args.allow_downgrade,
        allow_unsigned=args.allow_unsigned,
        legacy=args.legacy,
        yes=ctx.yes,
        keep=args.keep,
        pacer=ctx.pacer(),
        sequential=args.sequential,
        in_place=args.in_place and _may_give_up(ctx),
    )
    updater = ctx.updater(tool, options)
    if args.dry_run:
        plan = updater.plan(source, version)
        show_plan(ctx, plan)
        return plan
    stats = updater.update(source, version)
    if not ctx.quiet:
        ctx.print(stats.report(ctx.lang))
    return stats.as_json()


def _may_give_up(ctx: Context) -> bool:
    """Say whether the installed release may go before the new one is whole."""
    question = ctx.gettext("Without room for both, the installed release is given up. Go on?")
    if ctx.confirm(question):
        return True
    raise UsageError(detail=ctx.gettext("--in-place was not confirmed: give --yes as well"))
