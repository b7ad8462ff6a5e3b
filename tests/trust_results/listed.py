"""The list of cases (cases.toml), and which tests show which of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
INVARIANTS = "I"
_NAMED = re.compile(r"test_((?:[a-z]\d{1,2}_)+)")
_POINT = re.compile(r"c(\d\d)_.*?(?:-([a-d]))?\]")
_HOLDS_CASES = re.compile(r"^(?:async )?def test_(?:[a-z]\d{1,2}_|c_)", re.MULTILINE)


class Group(NamedTuple):
    """Cases of one kind by their names; one of several models has a name for each: C4a."""

    title: str
    cases: dict[str, str]


class Absent(NamedTuple):
    """Cases that have no test yet."""

    cases: tuple[str, ...]
    owner: str
    why: str


class StandIn(NamedTuple):
    """What stands for the real thing in some cases."""

    what: str
    cases: tuple[str, ...]


class Listed(NamedTuple):
    """All that cases.toml says; ``elsewhere`` is by test: the cases that it shows."""

    groups: dict[str, Group]
    elsewhere: dict[str, tuple[str, ...]]
    absent: tuple[Absent, ...]
    stand_ins: tuple[StandIn, ...]

    @property
    def names(self) -> list[str]:
        """Every case, the invariants among them."""
        return [name for group in self.groups.values() for name in group.cases]

    @property
    def without_test(self) -> set[str]:
        """Those that have an owner in place of a test."""
        return {name for each in self.absent for name in each.cases}

    def cases_of(self, test: str) -> set[str]:
        """What a test shows, by its name as pytest tells it: file::function[parameters]."""
        function, _, parameters = test.rpartition("::")[2].partition("[")
        shown = set(self.elsewhere.get(test.partition("[")[0], ()))
        if named := _NAMED.match(function):
            shown |= {f"{name[0].upper()}{int(name[1:])}" for name in named[1].split("_") if name}
        elif function.startswith("test_c_") and (point := _POINT.match(parameters)):
            shown.add(f"C{int(point[1])}{point[2] or 'a'}")
        return shown

    def holders(self) -> list[str]:
        """Files and single tests that, given to pytest, are all the tests that show a case."""
        files = sorted(ROOT.glob("tests/**/test_*.py"))
        named = [path for path in files if _HOLDS_CASES.search(path.read_text("utf-8"))]
        paths = [path.relative_to(ROOT).as_posix() for path in named]
        return paths + [test for test in self.elsewhere if test.partition("::")[0] not in paths]


def read_list(text: str) -> Listed:
    """The list of a TOML text. Raises KeyError, ValueError."""
    table = tomllib.loads(text)
    rows = {name: row for name, row in table.items() if isinstance(row, dict) and "cases" in row}
    groups = {name: Group(row["title"], dict(_named(name, row))) for name, row in rows.items()}
    # C26 means it by every model.
    by_word: dict[str, list[str]] = {}
    for name in (name for group in groups.values() for name in group.cases):
        by_word.setdefault(name.rstrip("abcd"), []).append(name)

    def those(words: str) -> tuple[str, ...]:
        return tuple(name for word in words.split() for name in by_word[word])

    elsewhere: dict[str, tuple[str, ...]] = {}
    for case, tests in table["elsewhere"].items():
        for test in tests:
            elsewhere[test] = (*elsewhere.get(test, ()), case)
    absent = (Absent(those(row["cases"]), row["owner"], row["why"]) for row in table["absent"])
    stand_ins = (StandIn(row["what"], those(row["cases"])) for row in table["stand_ins"])
    return Listed(groups, elsewhere, tuple(absent), tuple(stand_ins))


def _named(group: str, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for number, words in row["cases"].items():
        for model in row.get("models") or [""]:
            yield f"{group}{number}{model}", words


def the_list() -> Listed:
    """The list of this repository."""
    return read_list(Path(__file__).with_name("cases.toml").read_text("utf-8"))
