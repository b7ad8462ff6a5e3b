"""The list of cases is that of the tests, and the page of trust results is that of its results."""

from __future__ import annotations

from collections import Counter

from bitstation.testing.crash_points import POINTS
from tests.trust_results.listed import INVARIANTS, the_list
from tests.trust_results.page import render
from tests.trust_results.parts import collected
from tests.trust_results.run import PAGE, STORE, load

LISTED = the_list()


def test_every_case_has_a_test_or_an_owner_and_every_name_is_listed() -> None:
    shown = {case for test in collected(LISTED) for case in LISTED.cases_of(test)}
    assert shown - set(LISTED.names) == set(), "tests bear names that the list lacks"
    assert set(LISTED.names) - shown - LISTED.without_test == set(), "neither test nor owner"
    assert shown & LISTED.without_test == set(), "there now: no longer absent"


def test_every_case_is_named_once() -> None:
    assert len(LISTED.names) == len(set(LISTED.names))
    absent = Counter(case for each in LISTED.absent for case in each.cases)
    assert set(absent.values()) == {1}
    assert all(each.owner and each.why for each in LISTED.absent)
    count = sum(len(group.cases) for name, group in LISTED.groups.items() if name != INVARIANTS)
    assert count == 450


def test_the_crash_points_are_those_of_the_engine() -> None:
    group = LISTED.groups["C"].cases
    points = {f"C{int(name[1:])}": point for name, point in POINTS.items()}
    assert group == {f"{name}{m}": point.name for name, point in points.items() for m in "abcd"}
    owned = {case[:-1] for case in LISTED.without_test if case in group}
    assert owned == {name for name, point in points.items() if not point.exists}


def test_the_page_is_what_the_results_say() -> None:
    stored, page = load(STORE), PAGE.read_text("utf-8")
    assert page == render(LISTED, stored), "python dev.py trust page"
    for name, group in LISTED.groups.items():
        assert f"| {name} {group.title} | {len(group.cases)} |" in page
