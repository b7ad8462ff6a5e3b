"""``bitstation publish``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.keyring import add_keys, keyring_of
from bitstation.cli.manifest import add_making
from bitstation.cli.validate import progress_of
from bitstation.core.mirror import MAX_BASES
from bitstation.errors import UsageError
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.destination import Destination
from bitstation.publisher.freight import Wish, wishes_in
from bitstation.publisher.guides import DEFAULT_BASES
from bitstation.publisher.hq_destination import HqDestination
from bitstation.publisher.manifest import making_options
from bitstation.publisher.publish import Intended, Publication, Published, Publisher
from bitstation.publisher.static_destination import StaticDestination
from bitstation.storage.ledger import Ledger
from bitstation.transport.hq import HqClient, token_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="+",
        metavar="DIST_OR_TOOL",
        type=Path,
        help="folder that 'pack' wrote, package, tool folder or release folder",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent only")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")
    group.add_argument(
        "--to", metavar="DIR", type=Path, help="folder that a web server, a share or a disk serves"
    )
    add_token(parser)
    add_keys(parser)
    add_bases(parser)
    add_making(parser)


def add_hq(parser: argparse.ArgumentParser) -> None:
    """Arguments of commands that change something at an HQ."""
    parser.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")
    add_token(parser)


def add_token(parser: argparse.ArgumentParser) -> None:
    """Argument that names the file of a token."""
    parser.add_argument(
        "--token-file", metavar="F", help="file with HQ's token (BITSTATION_TOKEN_FILE)"
    )


def add_bases(parser: argparse.ArgumentParser) -> None:
    """Argument of commands that make guides."""
    parser.add_argument(
        "--bases",
        type=int,
        default=DEFAULT_BASES,
        metavar="N",
        help="earlier releases from which the way is made short (3)",
    )


def open_client(args: argparse.Namespace, ctx: Context) -> HqClient:
    """Client with the token that the arguments or the environment name."""
    return ctx.hq_client(token_from(args.token_file))


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Publish every release that was named, bringing only what is lacking."""
    making = making_options(args.base_url, args.created_at)
    return send(args, ctx, [wish for path in args.what for wish in wishes_in(path, making)])


def send(args: argparse.Namespace, ctx: Context, wishes: list[Wish]) -> int:
    """Publish releases, or with --dry-run show what that would do."""
    if not 0 <= args.bases <= MAX_BASES:
        raise UsageError(detail=ctx.gettext("--bases is 0 to {}").format(MAX_BASES))
    ledger = open_ledger()
    try:
        destination = _destination(args, ctx, ledger)
        try:
            publisher = Publisher(
                destination, ledger, ctx.stop, progress=progress_of(ctx), bases=args.bases
            )
            if args.dry_run:
                show_intended([publisher.look_ahead(wish) for wish in wishes], ctx)
            else:
                show([publisher.publish(wish) for wish in wishes], ctx)
        finally:
            destination.close()
    finally:
        ledger.close()
    return 0


def _destination(args: argparse.Namespace, ctx: Context, ledger: Ledger) -> Destination:
    to = getattr(args, "to", None)
    keyring = keyring_of(args, ctx)
    if to is not None:
        return StaticDestination(to, ledger, ctx.stop, keyring=keyring)
    return HqDestination(open_client(args, ctx), ctx.stop, keyring=keyring)


def _warn_of_legacy(told: Intended | Published, ctx: Context) -> None:
    if told.legacy:
        ctx.say("⚠ " + ctx.gettext("Guard lowered by {}").format("--legacy"))


def show_intended(intended: list[Intended], ctx: Context) -> None:
    """Tell what would be sent."""
    ctx.close()
    ctx.json({"intended": intended})
    _ = ctx.gettext
    words = {
        Publication.NEW: _("would be published"),
        Publication.KNOWN: _("is there already"),
        Publication.CONFLICT: _("is there with other content"),
    }
    for each in intended:
        _warn_of_legacy(each, ctx)
        size = size_text(each.total_bytes)
        ctx.print(f"{each.tool_id} {each.version} ({size}): {words[each.state]}")


def show(published: list[Published], ctx: Context) -> None:
    """Tell what was sent."""
    ctx.close()
    ctx.json({"published": published})
    for each in published:
        _warn_of_legacy(each, ctx)
        text = ctx.gettext("{} {} published: {} files sent, {} of {}; manifest_hash {}")
        ctx.print(
            "✓ "
            + text.format(
                each.tool_id,
                each.version,
                each.sent_files,
                size_text(each.sent_bytes),
                size_text(each.total_bytes),
                each.manifest_hash,
            )
        )
        if each.guides:
            text = ctx.gettext("guides: {}, {} with their packs")
            ctx.print("    " + text.format(each.guides, size_text(each.guide_bytes)))
