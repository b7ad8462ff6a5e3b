"""``bitstation adopt --list`` and ``--forget``: the record of what was adopted."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.core.adopted import Adopted
from bitstation.errors import UsageError
from bitstation.storage.adopted import adopted_files, forget
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.ledger import Ledger
from bitstation.worker.adopt import AdoptedState, adopted_states


@contextlib.contextmanager
def ledger_for_looking(ctx: Context) -> Iterator[Ledger | None]:
    """The ledger where there is one; looking makes none."""
    ledger = Ledger.for_looking(ctx.root.ledger) if ctx.root.ledger.exists() else None
    try:
        yield ledger
    finally:
        if ledger:
            ledger.close()


def show_list(paths: list[Path], ctx: Context) -> int:
    """What is adopted, at or below some paths or all of it, and what has become of it."""
    with disk_errors(ctx.root.adopted), ledger_for_looking(ctx) as ledger:
        rows = [row for row in adopted_states(ctx.root, ledger) if _is_meant(row, paths)]
    ctx.json({"adopted": rows})
    for row in rows:
        ctx.print(_line(row, ctx))
    if not rows:
        ctx.print(ctx.gettext("Nothing is adopted in {}").format(ctx.root.path))
    return 0


def _line(row: AdoptedState, ctx: Context) -> str:
    _ = ctx.gettext
    words = {
        "here": _("is here and proved"),
        "touched": _("touched since, to be read again"),
        "changed": _("changed since"),
        "gone": _("gone"),
    }
    mark = "✓" if row.state == "here" else "!" if row.state == "touched" else "✗"
    link = "  --link" if row.link else ""
    return f"{mark} {row.path}  {size_text(row.size)}  {row.sha256[:12]}{link}  {words[row.state]}"


def _is_meant(row: Adopted | AdoptedState, paths: list[Path]) -> bool:
    """Say whether a row lies at or below one of the paths; without paths every one does."""
    return not paths or any(_lies_in(Path(row.path), path) for path in paths)


def _lies_in(path: Path, given: Path) -> bool:
    return any(place in (path, *path.parents) for place in (given.absolute(), given.resolve()))


def forget_paths(args: argparse.Namespace, ctx: Context) -> int:
    """Take rows out of the record; the files stay as they are."""
    _ = ctx.gettext
    if not args.paths:
        raise UsageError(detail=_("name the files or folders to forget"))
    with disk_errors(ctx.root.adopted):
        rows = [row for row in adopted_files(ctx.root) if _is_meant(row, args.paths)]
        if rows and not args.dry_run:
            rows = forget(
                ctx.root, lambda path: any(_lies_in(path, each) for each in args.paths), Disk()
            )
    ctx.json({"forgotten": [row.path for row in rows], "removed": not args.dry_run})
    for row in rows:
        ctx.print(f"  {row.path}")
    text = (
        _("Would forget {} files") if args.dry_run else _("Forgot {} files; they stay as they are")
    )
    ctx.print(text.format(len(rows)))
    return 0
