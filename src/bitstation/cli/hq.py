"""``bitstation hq``: serve one, and what its operator does with it over HTTP."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.join import shown
from bitstation.cli.publish import add_bases, add_hq, open_client, send
from bitstation.core.digest import Digest
from bitstation.core.wire import DEFAULT_CHANNEL, ToolSummary
from bitstation.errors import MissingExtra, NotFound
from bitstation.publisher.freight import Wish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    serve = verbs.add_parser("serve", help="run an HQ until it is stopped")
    serve.add_argument("--data", required=True, type=Path, metavar="DIR", help="HQ's folder")
    serve.add_argument(
        "--keys", type=Path, metavar="DIR", help="folder that 'keys init' made; else HQ makes keys"
    )
    serve.add_argument("--listen", default="127.0.0.1:8765", metavar="HOST:PORT")
    require = verbs.add_parser("require", help="demand a release of the workers of a channel")
    require.add_argument("tool", metavar="TOOL")
    require.add_argument("version", metavar="VERSION")
    require.add_argument("--channel", default=DEFAULT_CHANNEL, metavar="C")
    require.add_argument("--dry-run", action="store_true", help="look whether HQ has it only")
    add_hq(require)
    take = verbs.add_parser("import", help="bring packages (parts too) or release folders to HQ")
    take.add_argument("packages", nargs="+", type=Path, metavar="ZIP_OR_DIR")
    take.add_argument("--legacy", action="store_true", help="take a manifest under its true hash")
    take.add_argument("--dry-run", action="store_true", help="show what would be sent only")
    add_hq(take)
    add_bases(take)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Run the verb."""
    return {"serve": _serve, "require": _require, "import": _import}[args.verb](args, ctx)


def _serve(args: argparse.Namespace, ctx: Context) -> int:
    try:
        from bitstation.hq.headquarters import TOKEN_NAME
        from bitstation.hq.serve import serve
    except ModuleNotFoundError as error:
        raise MissingExtra(command="hq serve", detail=str(error.name), extra="hq") from error
    _ = ctx.gettext
    _log_to_stderr()

    token_file = (args.data / TOKEN_NAME).absolute()

    def ready(url: str, fingerprint: Digest) -> None:
        ctx.print(_("HQ listening on {}").format(url))
        ctx.print(
            _("Fingerprint of its root, for 'bitstation join':\n  {}").format(shown(fingerprint))
        )
        ctx.print(_("Token for publishing and requiring: {}").format(token_file))
        ctx.json({"url": url, "token_file": str(token_file), "root_fingerprint": fingerprint})
        # Whoever started us waits for the address, perhaps at the other end of a pipe.
        sys.stdout.flush()

    serve(args.data, args.listen, ready, keys=args.keys)
    return 0


def _log_to_stderr() -> None:
    """One line for each start, stop, release and requirement; of the libraries only warnings."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    for library in ("alembic", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _require(args: argparse.Namespace, ctx: Context) -> int:
    client = open_client(args, ctx)
    try:
        if args.dry_run:
            return _look_up(client.tool(args.tool), args, ctx)
        row = client.require(args.tool, args.version, args.channel)
    finally:
        client.close()
    ctx.json(row)
    text = ctx.gettext("Channel {} now requires {} {}; manifest_hash {}")
    ctx.print("✓ " + text.format(row.channel, row.tool_id, row.version, row.manifest_hash))
    return 0


def _look_up(tool: ToolSummary, args: argparse.Namespace, ctx: Context) -> int:
    release = next((row for row in tool.releases if row.version == args.version), None)
    if release is None:
        raise NotFound(source="HQ", what=f"{args.tool} {args.version}")
    ctx.json(release)
    text = ctx.gettext("Channel {} would require {} {}; manifest_hash {}")
    ctx.print(text.format(args.channel, args.tool, args.version, release.manifest_hash))
    return 0


def _import(args: argparse.Namespace, ctx: Context) -> int:
    return send(args, ctx, [Wish(path, legacy=args.legacy) for path in args.packages])
