"""``bitstation eligibility``."""

from __future__ import annotations

import argparse

from bitstation.cli.context import Context
from bitstation.core.digest import is_digest
from bitstation.core.eligibility import Eligibility
from bitstation.errors import UsageError

EXIT_CODES = {Eligibility.ELIGIBLE: 0, Eligibility.OUTDATED: 20, Eligibility.NO_INSTALLATION: 21}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("--require", required=True, metavar="VERSION")
    parser.add_argument("--hash", required=True, metavar="MANIFEST_HASH")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Say whether this machine may take network jobs of a tool; exit 0, 20 or 21."""
    if not is_digest(args.hash):
        text = ctx.gettext("--hash is a manifest_hash: 64 lower-case hexadecimal digits")
        raise UsageError(detail=text)
    updater = ctx.updater(args.tool)
    answer, reasons = updater.explain_eligibility(args.require, args.hash)
    ctx.json({"eligibility": answer, "reasons": list(reasons)})
    why = f" ({', '.join(map(str, reasons))})" if reasons else ""
    ctx.print(f"{answer}{why}")
    return EXIT_CODES[answer]
