"""``bitstation models fetch``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.validate import progress_of
from bitstation.errors import UsageError
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.models import fetch_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb and its arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    fetch = verbs.add_parser("fetch", help="bring and prove what models.lock.json names")
    fetch.add_argument("folder", type=Path, metavar="DIR", help="tool folder")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Bring the locked models of a tool that are not there."""
    _ = ctx.gettext
    if not args.folder.is_dir():
        raise UsageError(detail=_("{} is no folder").format(args.folder))
    ledger = open_ledger()
    try:
        fetched = fetch_models(
            args.folder, ledger, replace=ctx.yes, progress=progress_of(ctx), stop=ctx.stop
        )
    finally:
        ledger.close()
    ctx.close()
    ctx.json({"models": fetched})
    if not fetched:
        ctx.print(_("{} locks no models").format(args.folder))
    for model in fetched:
        if model.was_here:
            ctx.print("✓ " + _("{}: is here and proved").format(model.path))
        else:
            received = size_text(model.received_bytes)
            text = _("{}: {} fetched, {} received now, proved")
            ctx.print("✓ " + text.format(model.path, size_text(model.size), received))
    return 0
