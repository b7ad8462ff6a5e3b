"""``bitstation publish``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.publisher.publish import (
    Intended,
    Publication,
    Published,
    look_ahead,
    packages_in,
    publish_package,
)
from bitstation.transport.hq import HqClient, token_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dist", metavar="DIST", type=Path, help="folder that 'pack' wrote")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent only")
    add_hq(parser)


def add_hq(parser: argparse.ArgumentParser) -> None:
    """Arguments of commands that change something at an HQ."""
    parser.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")
    parser.add_argument(
        "--token-file", metavar="F", help="file with HQ's token (BITSTATION_TOKEN_FILE)"
    )


def open_client(args: argparse.Namespace, ctx: Context) -> HqClient:
    """Client with the token that the arguments or the environment name."""
    return ctx.hq_client(token_from(args.token_file))


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Upload every package of a dist folder, only what HQ lacks."""
    return send(args, ctx, packages_in(args.dist))


def send(
    args: argparse.Namespace,
    ctx: Context,
    packages: list[tuple[str | None, Path]],
    *,
    legacy: bool = False,
) -> int:
    """Publish packages or release folders, or with --dry-run show what that would do."""
    client = open_client(args, ctx)
    try:
        if args.dry_run:
            show_intended(
                [look_ahead(client, path, name, legacy=legacy) for name, path in packages], ctx
            )
            return 0
        published = [
            publish_package(client, path, name, ctx.progress, ctx.stop, legacy=legacy)
            for name, path in packages
        ]
    finally:
        client.close()
    show(published, ctx)
    return 0


def show_intended(intended: list[Intended], ctx: Context) -> None:
    """Tell what would be sent."""
    ctx.json({"intended": intended})
    _ = ctx.gettext
    words = {
        Publication.NEW: _("would be published"),
        Publication.KNOWN: _("is there already"),
        Publication.CONFLICT: _("is there with other content"),
    }
    for each in intended:
        size = size_text(each.total_bytes)
        ctx.print(f"{each.tool_id} {each.version} ({size}): {words[each.state]}")


def show(published: list[Published], ctx: Context) -> None:
    """Tell what was sent."""
    ctx.close()
    ctx.json({"published": published})
    for each in published:
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
