"""``bitstation pack``."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.keyring import add_keys, keyring_of
from bitstation.cli.manifest import add_making
from bitstation.cli.sizes import parse_size
from bitstation.cli.validate import add_folders, checked_tools, progress_of, show_warnings
from bitstation.errors import UsageError
from bitstation.publisher.lock import is_web_address
from bitstation.publisher.manifest import making_options
from bitstation.publisher.pack import PackedRelease, Packing, PackOptions, PlannedRelease, plan_pack
from bitstation.publisher.package import DEFAULT_MAX_ASSET_BYTES
from bitstation.publisher.zip_writer import has_common_deflate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folders(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="where assets go (dist)"
    )
    parser.add_argument("--release-tag", metavar="TAG", help="tag that the catalog names")
    parser.add_argument(
        "--download-base",
        metavar="URL",
        help="where a release host keeps assets, as URL/TAG/NAME; the catalog then says so",
    )
    parser.add_argument(
        "--max-asset",
        type=parse_size,
        default=DEFAULT_MAX_ASSET_BYTES,
        metavar="SIZE",
        help="cut longer packages into parts of this size (1.9GiB)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be packed")
    add_keys(parser)
    add_making(parser)


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Pack tools, prove each package by installing it, and write catalog and checksums."""
    options = PackOptions(args.out, args.max_asset, args.release_tag, args.download_base)
    if args.download_base and not is_web_address(args.download_base):
        # The catalog is read by everyone: an address with a password must not get into it.
        raise UsageError(detail=f"{args.download_base!r} is not a plain http or https address")
    making = making_options(args.base_url, args.created_at)
    with checked_tools(args.folders, ctx) as (tools, ledger):
        ctx.close()
        for tool in tools:
            show_warnings(tool, ctx)
        plans = plan_pack(tools, options, making)
        if args.dry_run:
            return _show_plans(plans, ctx)
        if not has_common_deflate():
            ctx.note("  ! " + ctx.gettext("this Python deflates unlike zlib: ZIP digests differ"))
        if find_spec("pyfastcdc") is None:
            ctx.note(
                "  ! " + ctx.gettext("no guide beside the package: install bitstation[publish]")
            )
        keyring = keyring_of(args, ctx)
        packing = Packing(options, ledger, progress_of(ctx), stop=ctx.stop, keyring=keyring)
        packed, catalog = packing.pack(plans)
    ctx.close()
    for release in packed:
        _show(release, ctx)
    ctx.json(
        {
            "out": str(args.out),
            "catalog_version": catalog.catalog_version,
            "packed": [_facts(release) for release in packed],
        }
    )
    return 0


def _show_plans(plans: list[PlannedRelease], ctx: Context) -> int:
    for plan in plans:
        manifest = plan.manifest
        text = ctx.gettext("{} {} would be packed: {} files, {}; manifest_hash {}")
        size = size_text(manifest.total_bytes)
        ctx.print(
            text.format(
                manifest.tool_id,
                manifest.tool_version,
                len(manifest.entries),
                size,
                manifest.manifest_hash,
            )
        )
    ctx.json({"planned": [_plan_facts(plan) for plan in plans]})
    return 0


def _show(release: PackedRelease, ctx: Context) -> None:
    _ = ctx.gettext
    manifest = release.plan.manifest
    text = _("{} {}: {} files packed and proved; manifest_hash {}")
    if not release.is_new:
        text = _("{} {}: {} files, packed and proved earlier; manifest_hash {}")
    ctx.print(
        "✓ "
        + text.format(
            manifest.tool_id, manifest.tool_version, len(manifest.entries), manifest.manifest_hash
        )
    )
    for asset in (release.package, release.frontend):
        for file in asset.files if asset else ():
            ctx.print(f"    {file.name}  {size_text(file.size)}")


def _plan_facts(plan: PlannedRelease) -> dict[str, object]:
    manifest = plan.manifest
    return {
        "tool_id": manifest.tool_id,
        "version": manifest.tool_version,
        "manifest_hash": manifest.manifest_hash,
        "files": len(manifest.entries),
        "size_bytes": manifest.total_bytes,
    }


def _facts(release: PackedRelease) -> dict[str, object]:
    return {
        **_plan_facts(release.plan),
        "is_new": release.is_new,
        "package": release.package,
        "frontend": release.frontend,
    }
