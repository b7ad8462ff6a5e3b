"""The runner of mutants: what it changes, and a sample of the mutants, each noticed."""

from __future__ import annotations

import os

import pytest

from tests.mutation.operators import mutants
from tests.mutation.run import PACKAGE, ROOT, Case, cases, is_noticed, limits, sampled
from tests.mutation.tables import EQUIVALENT, TESTS

# Their tests take a second or two; `python dev.py mutate` runs all modules.
QUICK = ("core/relpath", "core/blockmap", "core/manifest", "codec/blocks")
SAMPLE = 8
SEED = int(os.environ.get("BITSTATION_MUTATION_SEED", "1"))


def changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.before, mutant.after) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if a:\n    b = 1", {("a", "not a"), ("a", "True"), ("a", "False")}),
        ("if not a:\n    b = 1", {("not a", "a"), ("not a", "True"), ("not a", "False")}),
        ("x = a < b", {("a < b", "a <= b")}),
        ("x = a in b", {("a in b", "a not in b")}),
        ("x = a and b", {("a and b", "a"), ("a and b", "b")}),
        ("x = a or b or c", {("a or b or c", two) for two in ("a or b", "a or c", "b or c")}),
        ("raise Fault(1)", {("raise Fault(1)", "pass")}),
        ("check(a)", {("check(a)", "pass")}),
        ("x = [y for y in z if y]", {("y", "not y"), ("y", "True"), ("y", "False")}),
        ("while a:\n    b = 1", {("a", "not a"), ("a", "False")}),
        ("if TYPE_CHECKING:\n    b = 1", set()),
        (
            "if (b := a):\n    c = b",
            {("(b := a)", f"{each}") for each in ("not (b := a)", "(b := a) or True")}
            | {("(b := a)", "(b := a) and False")},
        ),
    ],
)  # fmt: skip
def test_each_kind_of_check_is_removed_and_inverted(
    source: str, expected: set[tuple[str, str]]
) -> None:
    assert changes(source) == expected


def test_a_mutant_differs_in_one_place_and_says_where() -> None:
    source = "class A:\n    def f(self):\n        if self.a < 1:\n            raise X\n"
    found = list(mutants(source))
    assert {(each.where, each.line) for each in found} == {("A.f", 3), ("A.f", 4)}
    assert len({each.source for each in found}) == len(found) == 5
    assert all("class A" in each.source for each in found)


@pytest.mark.parametrize("module", TESTS)
def test_every_row_names_modules_and_tests_that_exist(module: str) -> None:
    assert list(PACKAGE.glob(module))
    assert TESTS[module]
    assert all(list(ROOT.glob(test)) for test in TESTS[module])


def test_every_mutant_that_is_explained_exists() -> None:
    named = {
        (case.module, case.mutant.where, case.mutant.before, case.mutant.after) for case in cases()
    }
    assert EQUIVALENT.keys() - named == set()


def test_a_sample_of_mutants_is_noticed() -> None:
    found = sampled(cases(QUICK), SAMPLE, SEED)
    assert len(found) == SAMPLE
    allowed_s = limits(found)
    survivors = [shown(case) for case in found if not is_noticed(case, allowed_s[case.tests])]
    assert survivors == []


def shown(case: Case) -> str:
    mutant = case.mutant
    return f"{case.module}:{mutant.line} {mutant.before}  ->  {mutant.after}"
