"""``bitstation validate``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.errors import ToolFolderInvalid, UsageError
from bitstation.publisher.cache import open_ledger
from bitstation.publisher.progress import Progress
from bitstation.publisher.scan import tool_folders
from bitstation.publisher.validate import CheckedTool, check_tools
from bitstation.storage.hashing import OnBytes
from bitstation.storage.ledger import Ledger

TOOLS_FOLDER = Path("tools")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folders(parser)


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Arguments of commands that work on tool folders."""
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="tool folder (without any: every tool under tools/)",
    )


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Say what is wrong with each tool, what is noteworthy, and what stays out of the release."""
    with checked_tools(args.folders, ctx) as (tools, _ledger):
        ctx.close()
        ctx.json({"tools": [_facts(tool) for tool in tools]})
        for tool in tools:
            _show(tool, ctx)
    return ToolFolderInvalid.exit_code if any(tool.faults for tool in tools) else 0


@contextmanager
def checked_tools(folders: list[Path], ctx: Context) -> Iterator[tuple[list[CheckedTool], Ledger]]:
    """Tools of the folders given, or of all under tools/, checked; and the ledger, open."""
    chosen = folders or tool_folders(TOOLS_FOLDER)
    if not chosen:
        raise UsageError(detail=ctx.gettext("there is no tool under tools/: name a tool folder"))
    ledger = open_ledger()
    try:
        yield check_tools(chosen, ledger, progress=progress_of(ctx), stop=ctx.stop), ledger
    finally:
        ledger.close()


def progress_of(ctx: Context) -> Progress:
    """The publisher's work, in words."""
    _ = ctx.gettext
    titles = {
        "hash": _("Hashing {}"),
        "map": _("Cutting {} into blocks"),
        "compress": _("Compressing {}"),
        "patch": _("Comparing with {}"),
        "pack": _("Packing {}"),
        "prove": _("Proving {}"),
        "fetch": _("Fetching {}"),
        "send": _("Sending {}"),
        "bundle": _("Bundling {}"),
    }

    def begin(kind: str, subject: str, total_bytes: int) -> OnBytes:
        return ctx.progress(titles.get(kind, "{}").format(subject), total_bytes)

    return begin


def show_warnings(tool: CheckedTool, ctx: Context) -> None:
    """Tell what deserves a second look."""
    for warning in tool.warnings:
        ctx.note("  ! " + ctx.gettext("{}: {}").format(tool.name, warning))


def _show(tool: CheckedTool, ctx: Context) -> None:
    _ = ctx.gettext
    version = tool.tool.version if tool.tool else "?"
    size = size_text(sum(found.size for found in tool.inventory.files))
    mark = "✗" if tool.faults else "✓"
    text = _("{} {}: {} files, {}").format(tool.name, version, len(tool.inventory.files), size)
    ctx.print(f"{mark} {text}")
    for fault in tool.faults:
        ctx.print("  ✗ " + fault)
    for warning in tool.warnings:
        ctx.print("  ! " + warning)
    for path, reason in tool.inventory.left_out:
        ctx.print("  - " + _("left out: {}  [{}]").format(path, reason))


def _facts(tool: CheckedTool) -> dict[str, object]:
    return {
        "path": str(tool.inventory.root),
        "tool_id": tool.tool.tool_id if tool.tool else None,
        "version": tool.tool.version if tool.tool else None,
        "ok": not tool.faults,
        "files": len(tool.inventory.files),
        "size_bytes": sum(found.size for found in tool.inventory.files),
        "faults": tool.faults,
        "warnings": tool.warnings,
        "left_out": [row._asdict() for row in tool.inventory.left_out],
    }
