"""What the tests of the command share: the command itself, a tools root, and releases."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bitstation.cli.main import main
from bitstation.testing.releases import TOOL_ID, Release, make_release

OLD = make_release({"a.txt": b"old", "gone.txt": b"gone", "same.txt": b"same"}, "1.0.0")
NEW = make_release({"a.txt": b"new", "more.txt": b"more", "same.txt": b"same"}, "1.1.0")
OTHER = make_release({"a.txt": b"other"}, "3.0.0", tool_id="other-tool")


class Ended(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """The one JSON object that stdout is."""
        assert self.out.endswith("}\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


Bitstation = Callable[..., Ended]
Shelf = Callable[[Release], Path]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """English, a tools root and a cache of the test's own, and nothing of this machine's."""
    for name in [name for name in os.environ if name.startswith("BITSTATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BITSTATION_LANG", "en")
    monkeypatch.setenv("BITSTATION_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def bitstation(capfd: pytest.CaptureFixture[str]) -> Bitstation:
    """The command, in this process. The releases of these tests are unsigned."""

    def call(*words: object) -> Ended:
        capfd.readouterr()
        given = [str(word) for word in words]
        named = [word for word in given if not word.startswith("-")]
        if named[:1] == ["update"] or named[:2] == ["bundle", "apply"]:
            given.append("--allow-unsigned")
        code = main(given)
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Releases as folders."""

    def folder_of(release: Release) -> Path:
        manifest = release.manifest
        folder = tmp_path / "shelf" / f"{manifest.tool_id}-{release.version}"
        return folder if folder.is_dir() else release.write(folder)

    return folder_of


@pytest.fixture
def installed(bitstation: Bitstation, shelf: Shelf) -> Release:
    """A release that is installed, with an earlier one kept."""
    for release in (OLD, NEW):
        assert bitstation("update", TOOL_ID, "--from", shelf(release)).code == 0
    return NEW


def facts_of(release: Release) -> Mapping[str, str]:
    """Version and manifest_hash of a release, as options of ``eligibility``."""
    return {"--require": release.version, "--hash": release.manifest.manifest_hash}


@pytest.fixture
def tool_folder(tmp_path: Path) -> Path:
    """A publisher's folder."""
    folder = tmp_path / "tools" / TOOL_ID
    (folder / "runner").mkdir(parents=True)
    facts = {
        "tool_id": TOOL_ID,
        "name": "Sample",
        "version": "2.0.0",
        "platforms": ["windows", "linux"],
        "entrypoint_windows": "runner/run.ps1",
        "io_schema": {"input": {}, "output": {}},
    }
    (folder / "tool.json").write_bytes(json.dumps(facts).encode())
    (folder / "runner" / "run.ps1").write_bytes(b"exit 0\n")
    return folder
