"""A PC of the fleet in a few lines: what HQ requires is what runs here.

    python examples/pc_worker.py update   --hq http://127.0.0.1:8765 --root ./tools
    python examples/pc_worker.py mismatch --hq http://127.0.0.1:8765 --root ./tools

``update`` asks HQ what is required, brings every required tool to exactly that release, and says
whether this PC may take network jobs. ``mismatch`` only looks: it shows a PC whose version or
content differs being refused, and why, without changing anything. Exit codes: 0 eligible for
every required tool, 20 not, others as the command line has them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bitstation import BitStationError, Eligibility, PCWorker
from bitstation.worker.narrate import Narrator


def main() -> int:
    """Run one of the two flows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flow", choices=("update", "mismatch"))
    parser.add_argument("--hq", required=True, help="HQ's address")
    parser.add_argument("--root", required=True, type=Path, help="folder of this PC's tools")
    parser.add_argument("--lang", choices=("es", "en"))
    args = parser.parse_args()
    try:
        with PCWorker(args.root, args.hq, listeners=(Narrator(print, args.lang),)) as worker:
            if args.flow == "update":
                for stats in worker.update_all():
                    print(stats.report(args.lang))
            return say_standing(worker)
    except BitStationError as error:
        print(f"{error}\n{error.advice()}", file=sys.stderr)
        return error.exit_code


def say_standing(worker: PCWorker) -> int:
    """Print how this PC stands for each required tool; 0 when it is eligible for all."""
    standings = worker.standing()
    for row in standings:
        need = row.requirement
        why = f" ({', '.join(row.reasons)})" if row.reasons else ""
        print(
            f"{need.tool_id}: HQ requires {need.version} [{need.manifest_hash[:12]}], "
            f"installed {row.installed or '-'}: {row.eligibility}{why}"
        )
    return 0 if all(row.eligibility is Eligibility.ELIGIBLE for row in standings) else 20


if __name__ == "__main__":
    raise SystemExit(main())
