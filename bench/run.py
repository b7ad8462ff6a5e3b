#!/usr/bin/env python3
"""BitStation measured against what it promises: `python dev.py bench [--quick] [--only CASE ...]`.

Prints a table; --write puts it into bench/RESULTS.md. README.md beside says what each case is.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import corpus
import report
import results
import timing
import workshop

HERE = Path(__file__).resolve().parent
CASES = (
    "startup", "manifest", "install", "update", "adopt", "memory", "entries",
    "transport", "edit", "ranges", "resume", "sparse", "trust",
)  # fmt: skip


def main() -> int:
    """Measure the cases asked for; 0 when all were measured, whatever the figures say."""
    args = arguments()
    base = args.work or HERE.parent / "build"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
    # Bytecode is kept, as that of an installed package is; here, so that the checkout stays clean.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    try:
        workshop.Workshop(folder / "warm-up", workshop.Sizes(quick=True)).warm_up()
        machine = report.machine(folder)
        sections = [section for name in args.only if (section := measured(name, args, folder))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{machine}\n\n{report.table([row for each in sections for row in each.rows])}")
    for text in (text for each in sections for text in each.texts):
        print(f"\n{text}")
    if args.write:
        results.write(sections, machine, CASES, HERE)
        print(f"\nwritten: {results.NAME}")
    return 1 if len(sections) < len(args.only) else 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="CASE",
                        help=f"of {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, three rounds")
    parser.add_argument(
        "--rounds", type=int, help="interleaved rounds (default 7; transport 3, or 1 when small)"
    )
    parser.add_argument("--big-gb", type=int, help="size of the one very large file (default 5)")
    parser.add_argument("--sparse-gb", type=int, help="size of the sparse model (default 20)")
    parser.add_argument("--workloads", type=_letters, default=(), metavar="A,B,...",
                        help=f"of transport: {', '.join(corpus.TITLES)}")  # fmt: skip
    parser.add_argument("--scale", type=float, help="size of transport's trees (default 1)")
    parser.add_argument("--work", type=Path, help="folder to work in (default build/)")
    parser.add_argument(
        "--corpus", type=Path, help="folder that keeps the workloads (build/corpus)"
    )
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("the counters that this reads are those of Linux")
    if args.write and (args.quick or args.workloads or args.scale not in (None, 1)):
        parser.error("--write wants full size")
    return args


def _letters(text: str) -> tuple[str, ...]:
    letters = tuple(text.split(","))
    if unknown := [each for each in letters if each not in corpus.TITLES]:
        raise argparse.ArgumentTypeError(f"there is no workload {', '.join(unknown)}")
    return letters


def sizes(name: str, args: argparse.Namespace) -> workshop.Sizes:
    """How much of a case is measured."""
    few, many = (1, 3) if name == "transport" else (3, 7)
    small = args.quick or (name == "transport" and args.scale is not None and args.scale < 1)
    return workshop.Sizes(
        quick=args.quick,
        rounds=args.rounds or (few if small else many),
        big_bytes=(args.big_gb or (1 if args.quick else 5)) * 10**9,
        sparse_bytes=(args.sparse_gb or (1 if args.quick else 20)) * 10**9,
        scale=args.scale or (0.05 if args.quick else 1.0),
        workloads=args.workloads,
        corpus=(args.corpus or HERE.parent / "build/corpus").resolve(),
    )


def measured(name: str, args: argparse.Namespace, folder: Path) -> results.Section | None:
    """A case; None when it could not be measured."""
    began_s = time.monotonic()
    print(f"[bench] {name}", file=sys.stderr, flush=True)
    shop = workshop.Workshop(folder / name, sizes(name, args))
    load = report.Load()
    rows: list[report.Row] = []
    failed = False
    try:
        for row in importlib.import_module(f"cases.{name}").run(shop):
            rows.append(row)
            print("  " + " | ".join(cell for cell in row.cells() if cell), file=sys.stderr)
    except timing.Failed as failure:
        failed = True
        print(f"  not measured: {failure}", file=sys.stderr)
    company = load.others()
    workshop.settle(shop.folder)
    print(f"  took {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    if failed:
        return None
    return results.Section(name, shop.rounds, company, rows, shop.texts, shop.drawings)


if __name__ == "__main__":
    sys.exit(main())
