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
from datetime import UTC, datetime
from pathlib import Path

import report
import timing
import workshop

HERE = Path(__file__).resolve().parent
CASES = ("startup", "manifest", "install", "update", "adopt", "memory", "entries")
RESULTS = HERE / "RESULTS.md"


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
        workshop.Workshop(folder / "warm-up", quick=True, rounds=1, big_bytes=0).warm_up()
        load = report.Load()
        rows, failed = measured(args, folder)
        others = load.others()
        machine = f"{report.machine(folder)}; {others}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{machine}\n\n{report.table(rows)}")
    if args.write and not failed:
        RESULTS.write_text(document(rows, machine, args), "utf-8", newline="\n")
        print(f"\nwritten: {RESULTS.name}")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="CASE",
                        help=f"of {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, three rounds")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 7)")
    parser.add_argument("--big-gb", type=int, help="size of the one very large file (default 5)")
    parser.add_argument("--work", type=Path, help="folder to work in (default build/)")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("the counters that this reads are those of Linux")
    if args.write and (args.quick or tuple(args.only) != CASES):
        parser.error("--write wants every case at full size")
    return args


def measured(args: argparse.Namespace, folder: Path) -> tuple[list[report.Row], bool]:
    """Rows of the cases, and whether one could not be measured."""
    rows: list[report.Row] = []
    failed = False
    for name in args.only:
        began_s = time.monotonic()
        print(f"[bench] {name}", file=sys.stderr, flush=True)
        shop = workshop.Workshop(
            folder / name,
            quick=args.quick,
            rounds=args.rounds or (3 if args.quick else 7),
            big_bytes=(args.big_gb or (1 if args.quick else 5)) * 10**9,
        )
        try:
            for row in importlib.import_module(f"cases.{name}").run(shop):
                rows.append(row)
                print("  " + " | ".join(cell for cell in row.cells() if cell), file=sys.stderr)
        except timing.Failed as failure:
            failed = True
            print(f"  not measured: {failure}", file=sys.stderr)
        workshop.settle(shop.folder)
        print(f"  took {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    return rows, failed


def document(rows: list[report.Row], machine: str, args: argparse.Namespace) -> str:
    """RESULTS.md."""
    day = datetime.now(UTC).date().isoformat()
    return (
        "# Results\n\n"
        f"`python dev.py bench --write` of {day}, {args.rounds or 7} interleaved rounds; README.md "
        "says what each case is and how the figures are made.\n\n"
        f"{machine}.\n\n{report.table(rows)}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
