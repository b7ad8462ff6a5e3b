"""What the documents say of the code is so: tests, error codes, rooms, links, decisions."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import bitstation
from bitstation.errors import BitStationError

ROOT = Path(__file__).parents[2]
SYSTEM = ROOT / "docs/delta_update_system.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tools/*/*.md")])
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
DEFECTS = 24


def named_in(page: Path) -> set[str]:
    """Fragments that links may point to, as the usual renderers make them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, fragment = target.partition("#")
        place = page.parent / file if file else page
        assert place.exists(), target
        assert not fragment or fragment in named_in(place), target


@pytest.mark.parametrize("page", [SYSTEM, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_test_named_exists(page: Path) -> None:
    named = TEST.findall(page.read_text("utf-8"))
    assert named
    assert [row for row in named if row[1] not in defined_in(ROOT / "tests" / row[0])] == []


def defined_in(file: Path) -> set[str]:
    """Names of the tests of a file; none where there is no such file."""
    if not file.exists():
        return set()
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def section(title: str) -> str:
    """Text of a section of the system's page."""
    return SYSTEM.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_original_defect_has_a_test_or_says_why_not() -> None:
    rows = re.findall(r"^\| ([0-9]+) \|(.*)\|$", section("8. The original defects"), re.MULTILINE)
    assert [int(number) for number, _row in rows] == list(range(1, DEFECTS + 1))
    assert [
        row for _number, row in rows if not TEST.search(row) and "not there yet" not in row
    ] == []


def test_every_promise_has_a_test() -> None:
    promises = section("4. Guarantees, and the tests that show them")
    rows = re.findall(r"^\| (.+) \| (.+) \|$", promises, re.MULTILINE)
    rows = [row for row in rows if not row[1].startswith(("shown by", "-"))]
    assert len(rows) > 20
    assert [promise for promise, shown in rows if not TEST.search(shown)] == []


def errors() -> Iterator[type[BitStationError]]:
    """Every error of the package."""
    for module in pkgutil.walk_packages(bitstation.__path__, "bitstation."):
        if not module.name.endswith(("__main__", ".windows", ".env")) and ".v0" not in module.name:
            importlib.import_module(module.name)
    pending = [BitStationError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith("bitstation."):
            yield kind


def test_every_error_is_in_the_table_of_exit_codes() -> None:
    table = section("6. Troubleshooting by exit code")
    rows = re.findall(r"^\| ([0-9, ]+) \| ([^|]*) \|", table, re.MULTILINE)
    documented = {
        (int(number), code)
        for numbers, codes in rows
        for number in numbers.split(",")
        for code in re.findall(r"`([\w-]+)`", codes)
    }
    raised = {(kind.exit_code, kind.code) for kind in errors()}
    terminated = (143, "cancelled")  # the same error, ended by another signal
    assert raised - documented == set()
    assert documented - raised == {terminated}


def test_every_exit_code_of_the_contract_is_there() -> None:
    table = section("6. Troubleshooting by exit code")
    rows = re.findall(r"^\| ([0-9, ]+) \|", table, re.MULTILINE)
    codes = {int(number) for numbers in rows for number in numbers.split(",")}
    kept = {0, 1, 2, 10, 20, 21, 30, 31, 32, 40, 41, 50, 51, 52, 60, 61, 66, 70, 75, 130, 143}
    assert codes == kept


def test_sizes_and_counts_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([0-9,]+)(?: ([KMG]iB))? \| `([\w.]+)\.(\w+)` \|",
        section("5. Limits"),
        re.MULTILINE,
    )
    factors = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    stated = {
        (module, name): int(number.replace(",", "")) * factors[unit]
        for number, unit, module, name in rows
    }
    assert len(stated) > 20
    assert stated == {
        (module, name): getattr(importlib.import_module(f"bitstation.{module}"), name)
        for module, name in stated
    }


def test_every_variable_is_among_the_settings() -> None:
    settings = SYSTEM.read_text("utf-8").partition("\n### Settings\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"`(BITSTATION_\w+)`", settings))
    sources = (ROOT / "src/bitstation").rglob("*.py")
    read = {
        name
        for path in sources
        for name in re.findall(r"\b(BITSTATION_[A-Z_]+)\b", path.read_text("utf-8"))
    }
    assert described == read


def test_the_picture_of_the_rooms_is_the_import_law() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    law = project["tool"]["importlinter"]["contracts"][0]["layers"]
    picture = re.search(r"```\n(cli\n.*?)```", text, re.DOTALL)
    assert picture
    drawn = [re.split(r"  +", line)[0] for line in picture[1].splitlines()]

    def rooms(lines: list[str]) -> list[list[str]]:
        return [sorted(re.findall(r"\w+", line)) for line in lines]

    assert rooms(drawn) == rooms(law)
    exist = {
        path.name for path in (ROOT / "src/bitstation").iterdir() if path.suffix in ("", ".py")
    }
    exist = {name.removesuffix(".py") for name in exist if not name.startswith("__")}
    parenthesised = set(re.findall(r"\((\w+)\)", "\n".join(drawn)))
    assert {room for row in rooms(drawn) for room in row} - parenthesised == exist
    described = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    assert set(described) == exist


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs/adr"
    listed = re.findall(
        r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "0001-decision-records.md").read_text("utf-8")
    )
    assert listed == sorted(path.name for path in folder.glob("*.md"))
