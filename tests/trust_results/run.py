"""The page of trust results: docs/TRUST_RESULTS.md, from runs.

python dev.py trust [PART...] [--seed S] [--states N] [--fuzz-seconds N] [--sample N] [--quick]
                    [--conformance CHECKOUT]

PART is cases, wine (which needs .ci/windows), crash, fuzz, mutate or conformance (which needs a
checkout of that suite: see tests/conformance/run.py); without any, each that can run here; `page`
runs nothing. The newest result of each part is kept in docs/trust_results.json, and
the page is made of it. Exit code 1 where a part that ran failed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.trust_results.listed import ROOT, the_list
from tests.trust_results.page import is_failed, render
from tests.trust_results.parts import PARTS, WINE, Wish, wine_version

PAGE = ROOT / "docs" / "TRUST_RESULTS.md"
STORE = ROOT / "docs" / "trust_results.json"
QUICK = {"states": 200, "fuzz_seconds": 2, "sample": 10}


def run_part(part: str, wish: Wish) -> dict[str, Any]:
    """What a part gave, when, where and of which state of this repository."""
    print(f"=== {part}", flush=True)
    date, commit, began_s = f"{datetime.now(UTC):%Y-%m-%d}", commit_here(), time.monotonic()
    result = PARTS[part](wish)
    ran = {
        "date": date,
        "commit": commit,
        "platform": f"{wine_version()}, {this_platform()}" if part == "wine" else this_platform(),
        "seconds": round(time.monotonic() - began_s, 1),
        "seed": "-" if part == "conformance" else wish.seed,
    }
    return {"ran": ran, "result": result}


def this_platform() -> str:
    """System and Python, without what names the machine or who built its kernel."""
    release = platform.release().partition("-")[0]
    system = f"{platform.system()} {release} {platform.machine()}"
    return f"{system}, Python {platform.python_version()}"


def commit_here() -> str:
    """The commit, and whether files differ from it; those that this program writes do not count."""
    git = ["git", "-c", "safe.directory=*"]
    names = [path.relative_to(ROOT).as_posix() for path in (PAGE, STORE)]
    status = [*git, "status", "--porcelain", "--", ".", *(f":!{name}" for name in names)]
    head, changes = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for command in ([*git, "rev-parse", "--short=12", "HEAD"], status)
    )
    return head.strip() + (" and changes" if changes else "")


def load(store: Path) -> dict[str, Any]:
    """The newest result of each part; none where there is no store."""
    if not store.exists():
        return {}
    stored: dict[str, Any] = json.loads(store.read_bytes())
    return stored


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    words = argparse.ArgumentParser(
        prog="python dev.py trust",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("parts", nargs="*", metavar="PART", help=", ".join((*PARTS, "page")))
    words.add_argument("--seed", type=int, default=1, metavar="S")
    words.add_argument("--states", type=int, metavar="N", default=10_000)
    words.add_argument("--fuzz-seconds", type=int, metavar="N", default=60, help="for each target")
    words.add_argument("--sample", type=int, metavar="N", help="of the mutants; all if not said")
    words.add_argument("--quick", action="store_true", help=f"small ones: {QUICK}")
    words.add_argument("--conformance", type=Path, metavar="CHECKOUT")
    asked = words.parse_args(arguments)
    if unknown := set(asked.parts) - {*PARTS, "page"}:
        words.error(f"no part is called {' or '.join(sorted(unknown))}")
    able = {"wine": WINE.exists(), "conformance": asked.conformance is not None}
    if lacking := [part for part in asked.parts if not able.get(part, True)]:
        words.error(f"{lacking[0]} cannot run: no Windows Python (.ci/windows), or no CHECKOUT")
    sizes = {"states": asked.states, "fuzz_seconds": asked.fuzz_seconds, "sample": asked.sample}
    wish = Wish(asked.seed, conformance=asked.conformance, **(QUICK if asked.quick else sizes))
    parts = asked.parts or [part for part in PARTS if able.get(part, True)]
    stored, failed = load(STORE), []
    for part in (part for part in parts if part != "page"):
        stored[part] = run_part(part, wish)
        if is_failed(part, stored[part]["result"]):
            failed.append(part)
        # After each: what an interrupted run found is kept.
        STORE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8", newline="\n")
    PAGE.write_text(render(the_list(), stored), "utf-8", newline="\n")
    print(f"failed: {', '.join(failed)}" if failed else "nothing failed", PAGE, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
