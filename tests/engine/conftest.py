"""What the tests of the engine share: a tools root, an updater, and spies."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.storage import proving
from bitstation.storage.ledger import Ledger
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.releases import TOOL_ID, UNSIGNED
from bitstation.worker import intake
from bitstation.worker.adopt import Adopting, Adoption
from bitstation.worker.search import search
from tests.engine.making import OLD
from tests.unit.model_files import Tensor, gguf
from tests.unit.rebuilding import Published, make

MakeUpdater = Callable[..., DeltaUpdater]
Adopt = Callable[..., Adoption]

MODEL = gguf([Tensor("blk.0", 0, (400_000,), random.Random(0).randbytes(1_600_000))])
"""A model of the user's, large enough to be adopted."""

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
        options.setdefault("options", UNSIGNED)
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


@pytest.fixture
def adopt(root: Path) -> Iterator[Adopt]:
    """Adopt what lies at some paths, for the tools root of the test or another."""
    ledgers = []

    def call(*paths: Path, link: bool = False, into: Path = root, **options: object) -> Adoption:
        tools = ToolsRoot(into)
        ledgers.append(Ledger(tools.ledger))
        found = search(paths, own=tools.path)
        return Adopting(tools, ledgers[-1], link=link, disk=QuickDisk(), **options).adopt(  # type: ignore[arg-type]
            found.files
        )

    yield call
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A model of the user's."""
    path = tmp_path / "mine/model.gguf"
    path.parent.mkdir()
    path.write_bytes(MODEL)
    return path


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The release of making.py, made small."""
    return make(OLD, tmp_path_factory.mktemp("old"))
