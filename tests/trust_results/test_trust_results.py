"""The page of trust results: what it says of made-up results, and what is read from reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trust_results import run
from tests.trust_results.listed import read_list
from tests.trust_results.page import is_failed, render, standings
from tests.trust_results.parts import PARTS, Wish, counted, outcomes

LIST = """
[T]
title = "Trust"
[T.cases]
1 = "unsigned"
2 = "a|b"
10 = "skipped"
11 = "forgotten"
[C]
title = "Crashes"
models = "abcd"
[C.cases]
1 = "lock"
26 = "warm-up"
[I]
title = "Invariants"
[I.cases]
1 = "one release"
[elsewhere]
T2 = ["tests/unit/test_x.py::test_other"]
[[absent]]
cases = "C26"
owner = "GPU"
why = "none yet"
[[stand_ins]]
what = "a clock"
cases = "T1 C1"
"""
LISTED = read_list(LIST)
ROWS = {
    "tests.attack.test_t": {
        "test_t01_unsigned": "",
        "test_t01_t10_both[x]": '<skipped message="no"/>',
    },
    "tests.unit.test_x": {"test_other[1]": '<failure message="m">x</failure>'},
    "tests.crash.test_k": {
        "test_c_killed[c01_before-lock]": "",
        "test_c_without_power[c01_lock-d]": "",
        "test_neighbour": "",
        "test_i1_one": '<error message="e">x</error>',
    },
}
REPORT = "".join(
    f'<testcase classname="{file}" name="{name}">{what}</testcase>'
    for file, tests in ROWS.items()
    for name, what in tests.items()
)
CASES = counted(f"<testsuite>{REPORT}</testsuite>".encode(), LISTED)
CRASH: dict[str, Any] = {"seed": 7, "first": 0, "states": 3000, "held": 3000, "violation": None}
CRASH |= {"models": {"a": 1000, "b": 2000}, "scenes": {"update": 3000}}
FUZZ = {"target": "paths", "engine": "atheris", "seed": 7, "seconds": 20.4, "executions": 1234567}
MUTANT = {"place": "src/a.py:3", "function": "f", "before": "a | b", "after": "a"}
MODULE = {"tests": [], "mutants": 9, "killed": 8, "survivors": [], "equivalent": []}
RAN = {"date": "2026-01-02", "commit": "abc", "platform": "Linux 6", "seconds": 300.0, "seed": 7}
WISH = Wish(1, 1, 1, 1, None)


def stored(**results: Any) -> dict[str, Any]:
    return {part: {"ran": RAN, "result": result} for part, result in results.items()}


def mutated(**changes: Any) -> dict[str, Any]:
    return {"sample": None, "modules": {"core/a.py": MODULE | changes}}


@pytest.mark.parametrize(
    ("test", "cases"),
    [
        ("tests/a.py::test_t01_unsigned[x-y]", {"T1"}),
        ("tests/a.py::test_k03_k04_a_day_off", {"K3", "K4"}),
        ("tests/a.py::test_i1_i4_i7_wrong", {"I1", "I4", "I7"}),
        ("tests/a.py::test_c_killed[c04_block:_after_write]", {"C4a"}),
        ("tests/a.py::test_c_without_power[c10_after_rename-c]", {"C10c"}),
        ("tests/a.py::test_c_a_device[ordered]", set()),
        ("tests/a.py::test_01_a_limit", set()),
        ("tests/unit/test_x.py::test_other[7]", {"T2"}),
        ("tests/unit/test_y.py::test_other[7]", set()),
    ],
)
def test_a_test_shows_the_cases_of_its_name(test: str, cases: set[str]) -> None:
    assert LISTED.cases_of(test) == cases


def test_a_list_may_not_speak_of_a_case_that_it_lacks() -> None:
    assert LISTED.without_test == {"C26a", "C26b", "C26c", "C26d"}
    assert LISTED.stand_ins[0].cases == ("T1", "C1a", "C1b", "C1c", "C1d")
    with pytest.raises(KeyError):
        read_list(LIST.replace('cases = "C26"', 'cases = "C27"'))


def test_a_report_of_pytest_is_counted_by_case() -> None:
    assert CASES["tests"] == {"failed": 2, "passed": 4, "skipped": 1}
    assert CASES["passed"] == {"T1": 1, "C1a": 1, "C1d": 1}
    assert CASES["reasons"] == {"no": ["T1", "T10"]}
    assert CASES["failures"] == [
        "tests/unit/test_x.py::test_other[1]",
        "tests/crash/test_k.py::test_i1_one",
    ]
    found = standings(LISTED, CASES)
    assert [found[case] for case in ("T1", "T2", "T10", "T11", "C1b", "C26a")] == [
        "passed", "failed", "skipped", "not run", "not run", "no test yet",
    ]  # fmt: skip


def test_without_a_run_there_is_no_figure() -> None:
    page = render(LISTED, {})
    assert page.count("| not run | - | - | - | - | - |") == len(PARTS)
    assert page.count("\nNot run.\n") == len(PARTS)


def test_the_page_tells_every_case_and_where_it_ran() -> None:
    page = render(LISTED, stored(cases=CASES))
    assert "**failed:** 3 of 12 cases passed; 1 failed, 1 skipped, 3 not run, 4 no test yet" in page
    assert "| 2026-01-02 | 5 min | 7 | Linux 6 | abc |" in page
    assert "| T Trust | 4 | 1 | 1 | 1 | 1 | 0 |" in page
    assert "| C Crashes | 8 | 2 | 0 | 0 | 2 | 4 |" in page
    assert "| **all but the invariants** | 12 | 3 | 1 | 1 | 3 | 4 |" in page
    assert "| no | T10 | T1 |" in page
    assert "| GPU | 4 | C26 warm-up | none yet |" in page
    assert "- failed: `tests/crash/test_k.py::test_i1_one`" in page
    assert "C by models b, c and d (3 cases)" in page


def test_what_only_wine_showed_is_told() -> None:
    wine = CASES | {"passed": {"T1": 1, "T10": 1}, "failed": {}, "failures": []}
    both = stored(cases=CASES, wine=wine)
    page = render(LISTED, both)
    assert "Passed in a Windows Python under Wine: T1 T10." in page
    assert "Passed in no other way than through Wine: T10." in page
    assert "No run on this page was on a real Windows PC" in page
    both["cases"]["ran"] = RAN | {"platform": "Windows 11"}
    assert "No run on this page" not in render(LISTED, both)


def test_counts_of_the_other_parts_are_told() -> None:
    report = {
        "suite": "abc",
        "counts": {"passed": 50, "xfailed": 3},
        "expected failures": ["t::x"],
        "failures": [],
    }
    mutants = mutated(equivalent=[MUTANT | {"reason": "a short cut"}])
    fuzzed = {"targets": [FUZZ | {"findings": []}]}
    page = render(LISTED, stored(crash=CRASH, fuzz=fuzzed, mutate=mutants, conformance=report))
    assert "3,000 of 3,000 states held, no violation" in page
    assert "States 0 to 2,999 of seed 7" in page
    assert "1,234,567 executions, 1 targets, 0 findings" in page
    assert "| paths | 1,234,567 | 20 s | 0 | atheris | 7 |" in page
    assert "8 of 9 killed, 1 explained, 0 unexplained" in page
    assert "| `src/a.py:3` | `a \\| b` -> `a` | a short cut |" in page
    assert "50 of 53 passed; 3 xfailed" in page
    assert "failed:" not in page


@pytest.mark.parametrize(
    ("part", "result"),
    [
        ("cases", CASES),
        ("cases", {"error": "pytest ended with 3"}),
        ("crash", CRASH | {"held": 17, "violation": "AssertionError: I6\n  state 17 of seed 7"}),
        ("fuzz", {"targets": [FUZZ | {"findings": ["crash-1"]}]}),
        ("mutate", mutated(survivors=[MUTANT])),
        (
            "conformance",
            {"suite": "", "counts": {"failed": 1}, "expected failures": [], "failures": ["t::y"]},
        ),
    ],
)
def test_failures_are_shown_as_such(part: str, result: dict[str, Any]) -> None:
    assert is_failed(part, result)
    assert "**failed:**" in render(LISTED, stored(**{part: result}))


def test_a_report_of_conformance_is_read() -> None:
    rows = {
        "a": "",
        "b": '<skipped type="pytest.xfail"/>',
        "c": '<skipped type="pytest.skip"/>',
        "d": "<error/>",
        "e": "<failure/>",
    }
    inner = "".join(f'<testcase classname="t" name="{n}">{x}</testcase>' for n, x in rows.items())
    result = outcomes(f"<testsuites><testsuite>{inner}</testsuite></testsuites>".encode())
    assert result["counts"] == {"failed": 2, "passed": 1, "skipped": 1, "xfailed": 1}
    assert result["expected failures"] == ["t::b"]
    assert result["failures"] == ["t::d", "t::e"]


def test_the_newest_result_of_each_part_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, store = tmp_path / "page.md", tmp_path / "store.json"
    monkeypatch.setattr(run, "PAGE", page)
    monkeypatch.setattr(run, "STORE", store)
    monkeypatch.setattr(run, "commit_here", lambda: "abc")  # a CI machine may have no git
    nothing = str(tmp_path)  # a folder that is no checkout
    assert run.main(["crash", "conformance", "--states", "20", "--conformance", nothing]) == 1
    assert "20 of 20 states held, no violation" in page.read_text("utf-8")
    assert "**failed:** the suite ended with 2" in page.read_text("utf-8")
    assert run.main(["crash", "--states", "10"]) == 0
    text = page.read_text("utf-8")
    assert "10 of 10 states held, no violation" in text
    assert "the suite ended with 2" in text
    page.unlink()
    assert run.main(["page"]) == 0
    assert page.read_text("utf-8") == text
    assert json.loads(store.read_text("utf-8"))["crash"]["ran"]["seed"] == 1


@pytest.mark.parametrize("words", [["conformance"], ["crashes"]])
def test_what_cannot_run_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(words)
    assert caught.value.code == 2
