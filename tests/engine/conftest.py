"""What the tests of the engine share: a tools root, an updater, and spies."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.storage import proving
from bitstation.testing.releases import TOOL_ID
from bitstation.worker import intake

MakeUpdater = Callable[..., DeltaUpdater]

_watched: list[list[Path]] = []


def _note_open(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes):
        path = arguments[0]
        _watched[-1].append(Path(path if isinstance(path, str) else path.decode()))


# A hook can never be taken back; it does nothing while nobody watches.
sys.addaudithook(_note_open)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that fails is asked again at once."""
    monkeypatch.setattr(intake, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tools root that is not there yet."""
    return tmp_path / "tools"


@pytest.fixture
def make_updater(root: Path) -> MakeUpdater:
    """Updaters for the sample tool, or for the tool named."""

    def make(tool_id: str = TOOL_ID, **options: object) -> DeltaUpdater:
        return DeltaUpdater(root / tool_id, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def updater(make_updater: MakeUpdater) -> DeltaUpdater:
    """The updater of the sample tool."""
    return make_updater()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read to be proved, from now on."""
    names: list[str] = []
    real = proving.hash_file

    def spy(path: Path, *arguments: object) -> object:
        names.append(path.name)
        return real(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(proving, "hash_file", spy)
    return names


@pytest.fixture
def opened() -> Iterator[list[Path]]:
    """Paths of all files that this process opens, from now on."""
    paths: list[Path] = []
    _watched.append(paths)
    yield paths
    _watched.remove(paths)
