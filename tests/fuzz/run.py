"""Fuzzing of everything that reads what others wrote.

python dev.py fuzz [TARGET...] [--seconds N] [--seed S] [--json FILE]

Each target in turn for N seconds (60 if not said; 0 is without end), led by atheris where it is
installed, else by blind changes of the corpus. Inputs that led anywhere new are kept in
.fuzz/corpus for the next run; findings are written to .fuzz/findings. Exit code 1 where there are
any.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

import msgspec

from tests.fuzz.blind import changed
from tests.fuzz.inputs import HERE, TARGETS, corpus, load

ROOT = HERE.parents[1]
KEPT = ROOT / ".fuzz" / "corpus"
FINDINGS = ROOT / ".fuzz" / "findings"
MAX_INPUT_BYTES = 16 * 1024
MAX_MEMORY_MB = 1024
MAX_INPUT_S = 10
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)


class Outcome(msgspec.Struct):
    """What a run of one target came to."""

    target: str
    engine: str
    seed: int
    seconds: float
    executions: int
    findings: list[str]


def led(target: str, seconds: int, seed: int) -> Outcome:
    """Under atheris, until the time is over or something is found."""
    kept, found = KEPT / target, FINDINGS / target
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.drive",
        target,
        str(kept),
        str(HERE / "corpus" / target),
    ]
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    command += [f"-max_len={MAX_INPUT_BYTES}", f"-rss_limit_mb={MAX_MEMORY_MB}"]
    command += [f"-timeout={MAX_INPUT_S}", f"-seed={seed}"]
    start_s = time.monotonic()
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
    )
    new = sorted(set(found.iterdir()) - before)
    if ran.returncode and not new:
        # It did not come as far as an input.
        sys.exit(ran.stdout + ran.stderr)
    for path in new:
        path.with_name(path.name + ".txt").write_text(ran.stdout + ran.stderr, "utf-8")
    counts = [int(one or other) for one, other in _EXECUTIONS.findall(ran.stderr)]
    spent_s, executions = time.monotonic() - start_s, max(counts, default=0)
    return Outcome(target, "atheris", seed, spent_s, executions, [str(path) for path in new])


def blind(target: str, seconds: int, seed: int) -> Outcome:
    """Without atheris: the corpus, changed by chance."""
    check, seeds = load(target), list(corpus(target).values())
    chance = random.Random(f"{target} {seed}")
    findings, executions, start_s = [], 0, time.monotonic()
    while not findings and (not seconds or time.monotonic() - start_s < seconds):
        data = changed(seeds, chance)
        executions += 1
        try:
            check(data)
        except Exception:  # noqa: BLE001 - whatever leaves is a finding
            path = FINDINGS / target / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.with_name(path.name + ".txt").write_text(traceback.format_exc(), "utf-8")
            findings.append(str(path))
    return Outcome(target, "blind", seed, time.monotonic() - start_s, executions, findings)


def main() -> int:
    """The command line."""
    words = argparse.ArgumentParser(
        prog="python dev.py fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    words.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target")
    words.add_argument("--seed", type=int, metavar="S", help="drawn by chance if not said")
    words.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    asked = words.parse_args()
    unknown = set(asked.targets) - set(TARGETS)
    if unknown:
        words.error(f"no target is called {' or '.join(sorted(unknown))}")
    run = led if importlib.util.find_spec("atheris") else blind
    # To libFuzzer 0 means any.
    seed = random.randint(1, 2**31 - 1) if asked.seed is None else asked.seed
    outcomes = []
    for target in asked.targets or TARGETS:
        each = run(target, asked.seconds, seed)
        outcomes.append(each)
        rate = each.executions / max(each.seconds, 0.001)
        counts = f"{each.executions:11,} executions in {each.seconds:6.1f} s, {rate:8,.0f} a second"
        led_by = f"{each.engine}, seed {seed}"
        print(f"{target:14} {counts}, {len(each.findings)} findings ({led_by})", flush=True)
        for path in each.findings:
            print(f"    {path}", flush=True)
    if asked.json:
        rows = [msgspec.to_builtins(each) for each in outcomes]
        asked.json.write_text(json.dumps({"targets": rows}, indent=1) + "\n", "utf-8")
    return 1 if any(each.findings for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
