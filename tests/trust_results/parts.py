"""The parts of the page: each runs, and gives what came of it as values of JSON.

A part that could not come to a result says so: ``{"error": why}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tests.trust_results.listed import ROOT, Listed, the_list

Result = dict[str, Any]
WINE = ROOT / ".winpy" / "run"
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


class Wish(NamedTuple):
    """How much of each part, and from which seed."""

    seed: int
    states: int
    fuzz_seconds: int
    sample: int | None
    conformance: Path | None


# --- cases ----------------------------------------------------------------------------------------


def run_cases(wish: Wish) -> Result:
    """Every test that shows a case, on this machine."""
    listed = the_list()
    seed = f"--hypothesis-seed={wish.seed}"
    with tempfile.TemporaryDirectory(prefix="bitstation-trust-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, *_PYTEST, seed, f"--junitxml={report}", *listed.holders()]
        return _judged(command, report, listed)


def run_wine(wish: Wish) -> Result:
    """Those of them that .ci/windows-tests names, in the Windows Python of .ci/windows."""
    if not WINE.exists():
        return {"error": "no Windows Python here: .ci/windows makes one"}
    listed = the_list()
    report = ROOT / ".winpy" / "report.xml"
    tests = list(under_wine(collected(listed), listed))
    # Relative, so that it is the same path to both systems.
    command = [str(WINE), *_PYTEST, f"--hypothesis-seed={wish.seed}"]
    command += [f"--junitxml={report.relative_to(ROOT).as_posix()}", *tests]
    try:
        return _judged(command, report, listed)
    finally:
        report.unlink(missing_ok=True)


def collected(listed: Listed) -> list[str]:
    """The tests that show a case, as pytest names them."""
    command = [sys.executable, *_PYTEST, "--collect-only", *listed.holders()]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    tests = (line for line in ran.stdout.splitlines() if "::" in line)
    return [test for test in tests if listed.cases_of(test)]


def under_wine(tests: Sequence[str], listed: Listed) -> Iterator[str]:
    """What of these .ci/windows-tests names, one by one or by their folder."""
    lines = (ROOT / ".ci/windows-tests").read_text("utf-8").splitlines()
    for line in (line for line in lines if not line.startswith("#")):
        if "::" in line and listed.cases_of(line):
            yield line
        within = (
            test.partition("[")[0] for test in tests if test.startswith((f"{line}/", f"{line}::"))
        )
        yield from dict.fromkeys(within)


def _judged(command: Sequence[str], report: Path, listed: Listed) -> Result:
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in (0, 1) or not report.exists():
        return {"error": f"pytest ended with {code}"}
    return counted(report.read_bytes(), listed)


def counted(report: bytes, listed: Listed) -> Result:
    """From a JUnit report of pytest: tests by outcome, of each case and of all; why skipped."""
    tests: Counter[str] = Counter()
    cases: dict[str, Counter[str]] = {name: Counter() for name in ("passed", "failed", "skipped")}
    reasons: dict[str, set[str]] = {}
    failures = []
    for row in ElementTree.fromstring(report).iter("testcase"):
        test = f"{row.get('classname', '').replace('.', '/')}.py::{row.get('name')}"
        skipped = row.find("skipped")
        outcome = "passed" if skipped is None else "skipped"
        if row.find("failure") is not None or row.find("error") is not None:
            outcome = "failed"
            failures.append(test)
        shown = listed.cases_of(test)
        tests[outcome] += 1
        cases[outcome].update(shown)
        if outcome == "skipped" and skipped is not None:
            reasons.setdefault(skipped.get("message", ""), set()).update(shown)
    in_order = {name: number for number, name in enumerate(listed.names)}

    def ordered(names: Counter[str] | set[str]) -> list[str]:
        return sorted(names, key=lambda name: (in_order.get(name, len(in_order)), name))

    return {
        "tests": dict(sorted(tests.items())),
        "failures": failures,
        "reasons": {why: ordered(shown) for why, shown in sorted(reasons.items()) if shown},
        **{name: {case: each[case] for case in ordered(each)} for name, each in cases.items()},
    }


# --- programs that tell their result in JSON ------------------------------------------------------


def run_crash(wish: Wish) -> Result:
    """Crash states by the thousand."""
    arguments = ["--states", str(wish.states), "--seed", str(wish.seed)]
    return _told("bitstation.testing.crashes", *arguments)


def run_fuzz(wish: Wish) -> Result:
    """Every target of tests/fuzz."""
    arguments = ["--seconds", str(wish.fuzz_seconds), "--seed", str(wish.seed)]
    result = _told("tests.fuzz.run", *arguments)
    for row in result.get("targets", ()):
        row["findings"] = [Path(path).name for path in row["findings"]]
    return result


def run_mutate(wish: Wish) -> Result:
    """The mutants of tests/mutation, or a sample of them."""
    sample = [] if wish.sample is None else ["--sample", str(wish.sample)]
    return _told("tests.mutation.run", "--seed", str(wish.seed), *sample)


def _told(module: str, *arguments: str) -> Result:
    with tempfile.TemporaryDirectory(prefix="bitstation-trust-") as folder:
        told = Path(folder) / "told.json"
        command = [sys.executable, "-m", module, *arguments, "--json", str(told)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if not told.exists():
            return {"error": f"{module} ended with {code} and no result"}
        result: Result = json.loads(told.read_bytes())
        return result


# --- the suite of others --------------------------------------------------------------------------


def run_conformance(wish: Wish) -> Result:
    """tuf-conformance, of which there is a checkout."""
    if wish.conformance is None:
        return {"error": "no checkout was named: --conformance CHECKOUT"}
    with tempfile.TemporaryDirectory(prefix="bitstation-trust-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "tests.conformance.run", str(wish.conformance), "-q"]
        command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code not in (0, 1) or not report.exists():
            return {"error": f"the suite ended with {code}"}
        return {"suite": commit_of(wish.conformance), **outcomes(report.read_bytes())}


def commit_of(folder: Path) -> str:
    """Commit of a checkout; empty where it is none."""
    git = ["git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"]
    ran = subprocess.run(git, cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def outcomes(report: bytes) -> Result:
    """From a JUnit report of pytest: counts by outcome, and what failed, expected or not."""
    tests: dict[str, list[str]] = {}
    for row in ElementTree.fromstring(report).iter("testcase"):
        skipped, outcome = row.find("skipped"), "passed"
        if skipped is not None:
            outcome = "xfailed" if skipped.get("type") == "pytest.xfail" else "skipped"
        if row.find("failure") is not None or row.find("error") is not None:
            outcome = "failed"
        tests.setdefault(outcome, []).append(f"{row.get('classname')}::{row.get('name')}")
    return {
        "counts": {outcome: len(names) for outcome, names in sorted(tests.items())},
        "expected failures": tests.get("xfailed", []),
        "failures": tests.get("failed", []),
    }


PARTS: dict[str, Callable[[Wish], Result]] = {
    "cases": run_cases,
    "wine": run_wine,
    "crash": run_crash,
    "fuzz": run_fuzz,
    "mutate": run_mutate,
    "conformance": run_conformance,
}
"""In the order of the page."""


def wine_version() -> str:
    """What Wine calls itself."""
    command = ["wine", "--version"]
    environment = {**os.environ, "WINEDEBUG": "-all"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return ran.stdout.strip()
