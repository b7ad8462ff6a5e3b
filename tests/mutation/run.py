"""Proof that the checks bite: each is removed or inverted, and the module's tests must fail.

python dev.py mutate [MODULE...] [--sample N] [--seed S] [--json FILE]

MODULE is a path below src/bitstation/ or the beginning of one; without any, all of tables.py.
Exit code 1 where a mutant survives that tables.py does not explain.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation.operators import Mutant, mutants
from tests.mutation.tables import EQUIVALENT, ONLY, TESTS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "bitstation"
_PYTEST = ["-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
_PLUGIN = ["-p", "tests.mutation.plugin"]


class Case(NamedTuple):
    """A mutant, and the tests that must notice it."""

    module: str
    tests: tuple[str, ...]
    mutant: Mutant

    @property
    def reason(self) -> str | None:
        """Why nobody could notice it; None where somebody must."""
        mutant = self.mutant
        return EQUIVALENT.get((self.module, mutant.where, mutant.before, mutant.after))


def cases(wanted: Sequence[str] = ()) -> Iterator[Case]:
    """Mutants of the modules that begin with one of ``wanted``, or of all."""
    for pattern, tests in TESTS.items():
        for path in sorted(PACKAGE.glob(pattern)):
            module = path.relative_to(PACKAGE).as_posix()
            if wanted and not module.startswith(tuple(wanted)):
                continue
            found = sorted(file for test in tests for file in ROOT.glob(test))
            names = tuple(file.relative_to(ROOT).as_posix() for file in found)
            in_order = tuple(sorted(names, key=lambda name: _rank(tests, name)))
            only = ONLY.get(module)
            for mutant in mutants(path.read_text("utf-8")):
                if only is None or mutant.where.startswith(only):
                    yield Case(module, in_order, mutant)


def _rank(tests: Sequence[str], name: str) -> int:
    return next((number for number, test in enumerate(tests) if Path(name).match(test)), 0)


def sampled(found: Iterable[Case], count: int, seed: int) -> list[Case]:
    """Some of the mutants that must be noticed, the same for the same seed."""
    able = [case for case in found if case.reason is None]
    return random.Random(seed).sample(able, min(count, len(able)))


def is_noticed(case: Case, timeout_s: float) -> bool:
    """Say whether the tests fail under the mutant; a run without end counts as a failure."""
    with tempfile.TemporaryDirectory(prefix="bitstation-mutant-") as folder:
        source = Path(folder) / "mutant.py"
        source.write_text(case.mutant.source, "utf-8")
        return _run_tests(case.tests, timeout_s, f"{_name(case.module)}={source}") != 0


def _name(module: str) -> str:
    return f"bitstation.{module.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"


def _run_tests(tests: Sequence[str], timeout_s: float, mutant: str = "") -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "BITSTATION_MUTANT": mutant}
    command = [sys.executable, *_PYTEST, *_PLUGIN, *tests]
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        code = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return 1
    finally:
        child.kill()
        child.wait()
    if code not in (0, 1, 2):
        # 2 is a mutant that cannot even be imported; 3 and more is pytest's own failure.
        raise RuntimeError(f"pytest ended with {code} for {mutant or 'no mutant'}: {tests}")
    return code


def limits(found: Iterable[Case]) -> dict[tuple[str, ...], float]:
    """Seconds that each set of tests may take: several times what it takes without a mutant."""
    result: dict[tuple[str, ...], float] = {}
    for tests in dict.fromkeys(case.tests for case in found):
        start_s = time.monotonic()
        if _run_tests(tests, 600.0):
            raise RuntimeError(f"these tests fail without any mutant: {tests}")
        result[tests] = 20.0 + 4 * (time.monotonic() - start_s)
    return result


def judge(found: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """By module: counts of mutants and of killed ones, the survivors and the equivalent ones.

    As many run at once as there are processors.
    """
    allowed_s = limits(found)
    results: dict[str, dict[str, Any]] = {}
    able = [case for case in found if case.reason is None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = pool.map(lambda case: is_noticed(case, allowed_s[case.tests]), able)
        for case in found:
            _add(results, case, case.reason is None and next(noticed))
    return results


def _add(results: dict[str, dict[str, Any]], case: Case, is_killed: bool) -> None:
    """Count a mutant, and tell of one that survived."""
    empty = {"tests": list(case.tests), "mutants": 0, "killed": 0}
    each = results.setdefault(case.module, {**empty, "survivors": [], "equivalent": []})
    each["mutants"] += 1
    mutant, place = case.mutant, f"src/bitstation/{case.module}:{case.mutant.line}"
    names = {"function": mutant.where, "before": mutant.before, "after": mutant.after}
    row = {"place": place, **names}
    if case.reason is not None:
        each["equivalent"].append({**row, "reason": case.reason})
    elif is_killed:
        each["killed"] += 1
    else:
        each["survivors"].append(row)
        print(f"SURVIVED {place} {mutant.where}: {mutant.before}  ->  {mutant.after}", flush=True)


def main() -> int:
    """The command line."""
    words = argparse.ArgumentParser(prog="python dev.py mutate", description=__doc__)
    words.add_argument("modules", nargs="*", metavar="MODULE")
    words.add_argument("--sample", type=int, metavar="N", help="only so many, drawn by the seed")
    words.add_argument("--seed", type=int, default=0, metavar="S")
    words.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    asked = words.parse_args()
    found = list(cases(asked.modules))
    if asked.sample is not None:
        found = sampled(found, asked.sample, asked.seed)
    if not found:
        print("no module of that name has mutants", file=sys.stderr)
        return 2
    start_s = time.monotonic()
    results = judge(found)
    for module, each in results.items():
        counts = f"{each['mutants']:4} mutants {each['killed']:4} killed"
        rest = f"{len(each['equivalent']):3} equivalent {len(each['survivors']):3} survived"
        print(f"{module:24} {counts} {rest}")
    if asked.json:
        whole = {
            "seconds": round(time.monotonic() - start_s, 1),
            "sample": asked.sample,
            "seed": asked.seed,
            "modules": results,
        }
        asked.json.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    return 1 if any(each["survivors"] for each in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
