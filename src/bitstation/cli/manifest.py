"""``bitstation manifest`` and ``bitstation manifest verify``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.validate import add_folders, checked_tools, show_warnings
from bitstation.core.manifest import MAX_MANIFEST_BYTES, inspect_manifest
from bitstation.errors import ManifestError, UsageError
from bitstation.publisher.manifest import make_manifest, making_options, save_manifest
from bitstation.publisher.validate import raise_faults
from bitstation.storage.durable import Disk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments. ``manifest verify FILE...`` is told apart by its first word."""
    parser.usage = (
        "bitstation manifest [DIR ...] [--base-url URL] [--created-at TIME]\n"
        "       bitstation manifest verify FILE [FILE ...]"
    )
    add_folders(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    add_making(parser)


def add_making(parser: argparse.ArgumentParser) -> None:
    """Arguments of commands that make manifests."""
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="what the files' addresses begin with (BITSTATION_FILES_BASE_URL)",
    )
    parser.add_argument(
        "--created-at",
        metavar="TIME",
        help="moment to state, as 2026-02-28T12:00:00+00:00 (SOURCE_DATE_EPOCH)",
    )


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Write the manifest of each tool, or say of each manifest whether it is one."""
    if args.folders and str(args.folders[0]) == "verify":
        return _verify(args.folders[1:], ctx)
    options = making_options(args.base_url, args.created_at)
    rows = []
    with checked_tools(args.folders, ctx) as (tools, _ledger):
        ctx.close()
        raise_faults(tools)
        for tool in tools:
            show_warnings(tool, ctx)
            manifest = make_manifest(tool, options)
            written = not args.dry_run and save_manifest(tool, manifest, Disk())
            hashed = sum(proof.by_hash for proof in tool.proofs)
            size = size_text(manifest.total_bytes)
            text = ctx.gettext("{} {}: {} files, {}, {} hashed now; manifest_hash {}")
            if not (written or args.dry_run):
                text = ctx.gettext("{} {}: {} files, {}, {} hashed now; unchanged: {}")
            ctx.print(
                "✓ "
                + text.format(
                    manifest.tool_id,
                    manifest.tool_version,
                    len(manifest.entries),
                    size,
                    hashed,
                    manifest.manifest_hash,
                )
            )
            rows.append(
                {
                    "path": str(tool.inventory.root),
                    "tool_id": manifest.tool_id,
                    "version": manifest.tool_version,
                    "manifest_hash": manifest.manifest_hash,
                    "files": len(manifest.entries),
                    "size_bytes": manifest.total_bytes,
                    "files_hashed": hashed,
                    "written": written,
                }
            )
    ctx.json({"manifests": rows})
    return 0


def _verify(files: Sequence[Path], ctx: Context) -> int:
    if not files:
        raise UsageError(detail=ctx.gettext("name the manifests to verify"))
    results = [_verdict(file, ctx) for file in files]
    ctx.json({"results": results})
    return 0 if all(row["ok"] for row in results) else ManifestError.exit_code


def _verdict(file: Path, ctx: Context) -> dict[str, object]:
    _ = ctx.gettext
    try:
        with file.open("rb") as reader:
            data = reader.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        problems: tuple[str, ...] = (_("cannot be read: {}").format(error.strerror),)
        computed = stated = None
    else:
        report = inspect_manifest(data, what=str(file))
        problems, computed, stated = report.problems, report.computed, report.stated
        if report.lists_itself:
            ctx.note("  ! " + _("{} lists itself; the entry is ignored").format(file))
    if problems:
        ctx.print(f"✗ {file}")
        for problem in problems:
            ctx.print("  ✗ " + problem)
    else:
        ctx.print(f"✓ {file}: {computed}")
    return {
        "path": str(file),
        "ok": not problems,
        "manifest_hash": computed,
        "expected": stated,
        "problems": list(problems),
    }
