"""requirements/*.txt: every package pinned and hashed, and no word of where it came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from tests.house.pins import ROOT, SETS, entries

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
SYSTEMS = [
    {"sys_platform": sys_platform, "os_name": os_name, "platform_system": system}
    for sys_platform, os_name, system in [
        ("linux", "posix", "Linux"),
        ("darwin", "posix", "Darwin"),
        ("win32", "nt", "Windows"),
    ]
]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def pinned(path: Path, environment: dict[str, str]) -> dict[str, str]:
    """Name and version of what the file installs in one environment."""
    chosen: dict[str, str] = {}
    for entry in entries(path):
        requirement = Requirement(entry.split(" --hash")[0])
        marker: Marker | None = requirement.marker
        if marker is None or marker.evaluate(environment):
            assert requirement.name not in chosen, f"{requirement.name} twice in {path.name}"
            chosen[requirement.name] = str(requirement.specifier)
    return chosen


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_every_package_is_pinned_and_hashed_and_no_host_is_named(path: Path) -> None:
    assert "://" not in path.read_text("utf-8")
    for entry in entries(path):
        assert re.match(r"[a-z0-9._-]+==\S+ ", entry), entry
        assert HASH.search(entry), entry
        assert not HASH.sub("", entry).count("--"), entry  # no index, no link, no editable


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system["sys_platform"])
def test_each_set_of_pins_is_a_part_of_the_next(system: dict[str, str], python: str) -> None:
    # dev.py adds one to an environment that holds a smaller, and takes the result for both.
    environment = {**system, "python_version": python, "python_full_version": f"{python}.9"}
    run = pinned(ROOT / "requirements/run.txt", environment)
    dev = pinned(ROOT / "requirements/dev.txt", environment)
    bench = pinned(ROOT / "requirements/bench.txt", environment)
    assert {"msgspec", "uvicorn", "hatchling"} <= run.keys()
    assert {"numpy", "gguf", "pyfastcdc"} <= bench.keys()
    assert run.items() <= bench.items()
    assert bench.items() <= dev.items()
    assert dev.items() <= pinned(ROOT / "requirements/fuzz.txt", environment).items()


def test_windows_under_wine_has_the_versions_of_dev() -> None:
    environment = {**SYSTEMS[2], "python_version": "3.11", "python_full_version": "3.11.9"}
    windows = pinned(ROOT / "requirements/windows.txt", environment)
    assert {"msgspec", "rich", "platformdirs", "pytest", "hypothesis"} <= windows.keys()
    assert windows.items() <= pinned(ROOT / "requirements/dev.txt", environment).items()
