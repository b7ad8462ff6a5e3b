"""What attacks share: a tools root, its updaters, and a source that is asked again at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.releases import TOOL_ID
from bitstation.worker import intake
from tests.attack.updates import FIRST, source_of, updates

MakeUpdater = Callable[..., DeltaUpdater]


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
        return DeltaUpdater(root / tool_id, disk=QuickDisk(), **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def updater(make_updater: MakeUpdater) -> DeltaUpdater:
    """The updater of the sample tool."""
    return make_updater()


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    """The first release, with its atlas."""
    updates(updater, source_of(FIRST), FIRST)
    return updater
