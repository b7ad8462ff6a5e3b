"""``bitstation adopt``."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bitstation.cli.adopted import forget_paths, ledger_for_looking, show_list
from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.cli.sizes import parse_size
from bitstation.core.adopted import Adopted, stated_digest
from bitstation.errors import UsageError
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import OnBytes
from bitstation.storage.ledger import Ledger
from bitstation.storage.tree import check_plain
from bitstation.worker.adopt import AdoptIncomplete, Adopting
from bitstation.worker.places import known_places
from bitstation.worker.search import DEFAULT_MIN_BYTES, Findings, LeftOut, search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="model file or folder")
    parser.add_argument(
        "--known",
        action="store_true",
        help="look where Hugging Face, Ollama and LM Studio keep models",
    )
    parser.add_argument(
        "--link",
        action="store_true",
        help="share the file itself where it cannot be cloned; it becomes read-only",
    )
    parser.add_argument(
        "--min-size",
        type=parse_size,
        default=DEFAULT_MIN_BYTES,
        metavar="SIZE",
        help="leave smaller files alone (1MiB)",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="show what is adopted, and its state")
    other.add_argument(
        "--forget", action="store_true", help="adopt no longer what lies at or below PATH"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the files, change nothing")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Prove files that are here already, and remember that their bytes may be used."""
    if args.list:
        return show_list(args.paths, ctx)
    if args.forget:
        return forget_paths(args, ctx)
    with disk_errors(ctx.root.path):
        findings = search(
            _places(args, ctx), own=ctx.root.path, min_bytes=args.min_size, stop=ctx.stop
        )
        if args.dry_run:
            _show_found(findings, ctx)
            return 0
        left_out = [*findings.left_out, *_adopt(args, findings, ctx)]
    if left_out:
        shown = "; ".join(f"{path}: {why}" for path, why in left_out[:10])
        raise AdoptIncomplete(count=len(left_out), detail=shown)
    return 0


def _places(args: argparse.Namespace, ctx: Context) -> list[Path]:
    """Paths to search, all of which are there. Raises UsageError."""
    _ = ctx.gettext
    for path in args.paths:
        if not path.exists():
            raise UsageError(detail=_("{} does not exist").format(path))
    known = known_places(os.environ, Path.home()) if args.known else []
    if not args.paths and not args.known:
        raise UsageError(detail=_("name a file or folder, or give --known"))
    return [*args.paths, *(place for place in known if _is_folder(place))]


def _is_folder(path: Path) -> bool:
    """Say whether a folder is there that this user may look into."""
    try:
        return path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except OSError:
        return False


def _adopt(args: argparse.Namespace, findings: Findings, ctx: Context) -> tuple[LeftOut, ...]:
    _ = ctx.gettext

    def begin(total_bytes: int) -> OnBytes:
        return ctx.progress(_("Proving"), total_bytes)

    with _ledger(ctx) as ledger:
        adopting = Adopting(ctx.root, ledger, link=args.link, stop=ctx.stop)
        adoption = adopting.adopt(findings.files, begin)
    ctx.close()
    left_out = (*findings.left_out, *adoption.left_out)
    ctx.json(
        {
            "adopted": adoption.adopted,
            "read_bytes": adoption.read_bytes,
            "left_out": [row._asdict() for row in left_out],
            "doubtful": [row.path for row in adoption.adopted if _is_doubtful(row)],
        }
    )
    for row in adoption.adopted:
        ctx.print(f"✓ {row.path}  {size_text(row.size)}  {row.sha256[:12]}")
        if _is_doubtful(row):
            text = _("{}: its name states another SHA-256; it may be damaged")
            ctx.note("  ! " + text.format(row.path))
    _show_skipped(findings, ctx)
    size = size_text(sum(row.size for row in adoption.adopted))
    text = _("{} files adopted, {}; {} read now")
    ctx.print(text.format(len(adoption.adopted), size, size_text(adoption.read_bytes)))
    return adoption.left_out


def _is_doubtful(row: Adopted) -> bool:
    return stated_digest(Path(row.path).name) not in (None, row.sha256)


@contextlib.contextmanager
def _ledger(ctx: Context) -> Iterator[Ledger]:
    check_plain(ctx.root.control)
    ledger = Ledger(ctx.root.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def _show_found(findings: Findings, ctx: Context) -> None:
    with ledger_for_looking(ctx) as ledger:
        files = findings.files
        unread = sum(found.facts.size for found in files)
        if ledger:
            unread = Adopting(ctx.root, ledger, stop=ctx.stop).bytes_to_read(files)
    rows = [{"path": str(found.path), "size": found.facts.size} for found in files]
    left_out = [row._asdict() for row in findings.left_out]
    ctx.json({"found": rows, "bytes_to_read": unread, "left_out": left_out})
    for found in files:
        ctx.print(f"  {found.path}  {size_text(found.facts.size)}")
    for path, why in findings.left_out:
        ctx.note(f"  ! {path}: {why}")
    _show_skipped(findings, ctx)
    total = size_text(sum(found.facts.size for found in files))
    text = ctx.gettext("Would adopt {} files, {}; {} to read")
    ctx.print(text.format(len(files), total, size_text(unread)))


def _show_skipped(findings: Findings, ctx: Context) -> None:
    _ = ctx.gettext
    if findings.links:
        ctx.note("  " + _("{} links were not followed").format(findings.links))
    for volume in findings.volumes:
        ctx.note("  ! " + _("{} lies on another volume: name it itself").format(volume))
