"""``bitstation bundle``: a release in one file, for machines without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.sizes import parse_size
from bitstation.cli.update import add_update, update_one
from bitstation.core.bundle import DEFAULT_MAX_ASSET_BYTES
from bitstation.errors import UsageError
from bitstation.transport.source import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a bundle of a release")
    create.add_argument("tool", metavar="TOOL")
    create.add_argument("--version", dest="wanted", metavar="V", help="default: required or latest")
    group = create.add_mutually_exclusive_group()
    group.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")
    group.add_argument(
        "--from", dest="from_", metavar="DIR", help="a mirror, a release folder or a package"
    )
    create.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="the bundle to be written"
    )
    create.add_argument(
        "--base",
        action="append",
        default=[],
        metavar="V",
        help="only what is new since this release; may be given again",
    )
    create.add_argument(
        "--max-asset",
        type=parse_size,
        default=DEFAULT_MAX_ASSET_BYTES,
        metavar="SIZE",
        help="cut longer bundles into parts of this size (4GB, for FAT32)",
    )
    create.add_argument("--dry-run", action="store_true", help="say what would be bundled")
    apply = verbs.add_parser("apply", help="install or update the tool of a bundle")
    apply.add_argument("file", metavar="FILE", help="a bundle, or its first part")
    add_update(apply)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Run the verb."""
    return {"create": _create, "apply": _apply}[args.verb](args, ctx)


def _create(args: argparse.Namespace, ctx: Context) -> int:
    from bitstation.cli.validate import progress_of
    from bitstation.publisher.bundle import BundleWish, plan_bundle, write_bundle

    source = ctx.source()
    try:
        plan = plan_bundle(source, BundleWish(args.tool, args.wanted, tuple(args.base)))
        files: list[Path] = []
        if not args.dry_run:
            files = write_bundle(
                source,
                plan,
                args.out,
                max_asset_bytes=args.max_asset,
                progress=progress_of(ctx),
                stop=ctx.stop,
            )
    finally:
        source.close()
    ctx.close()
    offer, bases = plan.offer, [base.version for base in plan.offer.bases]
    sizes = [(file.name, file.stat().st_size) for file in files]
    ctx.json(
        {
            "tool_id": offer.tool_id,
            "version": offer.version,
            "manifest_hash": offer.manifest_hash,
            "bases": bases,
            "size_bytes": plan.size_bytes,
            "files": [{"name": name, "size": size} for name, size in sizes],
        }
    )
    text = ctx.gettext("{} {} bundled: {}; manifest_hash {}")
    if args.dry_run:
        text = ctx.gettext("{} {} would be bundled: {}; manifest_hash {}")
    size = size_text(plan.size_bytes)
    ctx.print("✓ " + text.format(offer.tool_id, offer.version, size, offer.manifest_hash))
    if bases:
        ctx.print("    " + ctx.gettext("for machines that have {}").format(", ".join(bases)))
    for name, size_bytes in sizes:
        ctx.print(f"    {name}  {size_text(size_bytes)}")
    return 0


def _apply(args: argparse.Namespace, ctx: Context) -> int:
    source = _opened(args.file, ctx)
    try:
        tool_id = source.offer(None, None).tool_id
        ctx.json(update_one(args, ctx, source, tool_id))
    finally:
        source.close()
    return 0


def _opened(named: str, ctx: Context) -> Source:
    from bitstation.transport.bundle import BundleSource
    from bitstation.transport.open import open_source

    source = open_source(Path(named))
    if not isinstance(source, BundleSource):
        source.close()
        raise UsageError(detail=ctx.gettext("{} is no bundle").format(named))
    return source
