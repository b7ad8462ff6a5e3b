"""What attacks share: workers and updaters, without proxies and certificates of this user."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, host
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.local_hq import local_hq
from bitstation.testing.releases import TOOL_ID, UNSIGNED
from bitstation.testing.signed import SignedShelf
from bitstation.testing.web_server import WebServer, serving
from bitstation.transport.hq import HqSource
from bitstation.worker import history, intake, run
from tests.attack import ceremony as signed
from tests.attack import trusting
from tests.attack.clock import Clock
from tests.attack.entrances import Entrances
from tests.attack.gates import GATES, Gate, gate_named
from tests.attack.machine import FILES, Machine
from tests.attack.network import Names, Worker, source_at
from tests.attack.updates import FIRST, source_of, updates
from tests.integration.hq_requests import Caller, calling

MakeUpdater = Callable[..., DeltaUpdater]

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests, and no pauses but those that a source asks for."""
    for name in (*_PROXIES, *map(str.upper, _PROXIES), "SSL_CERT_FILE", "BITSTATION_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(intake, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def server(worker: Worker) -> Iterator[WebServer]:
    """The worker's HQ, over plain HTTP."""
    with serving(worker.hq) as server:
        yield server


@pytest.fixture
def source(worker: Worker, server: WebServer) -> Iterator[HqSource]:
    """The worker's source, from which it has the earlier release."""
    with source_at(server.url) as source:
        worker.install_old(source)
        yield source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tools root that is not there yet."""
    return tmp_path / "tools"


@pytest.fixture
def make_updater(root: Path) -> MakeUpdater:
    """Updaters for the sample tool, or for the tool named."""

    def make(tool_id: str = TOOL_ID, **options: object) -> DeltaUpdater:
        options.setdefault("options", UNSIGNED)
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that can be set, in place of the machine's."""
    clock = Clock()
    for module in (history, run):
        monkeypatch.setattr(module, "datetime", clock)
    monkeypatch.setattr(host, "stat_facts", clock.stat_facts)
    return clock


@pytest.fixture(scope="session")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A real HQ, over which nobody has published yet."""
    if importlib.util.find_spec("alembic") is None:
        pytest.skip("not under Wine: the packages of an HQ are not installed there")
    with local_hq(tmp_path_factory.mktemp("hq")) as running, calling(running) as caller:
        yield caller


@pytest.fixture(params=GATES)
def gate(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Each place at which the paths of a release are looked at."""
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return gate_named(request.param, tmp_path, request)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the earlier release."""
    return Machine(tmp_path / "machine")


@pytest.fixture
def mapped(tmp_path: Path) -> Machine:
    """A machine with a release whose model has a map."""
    return Machine(tmp_path / "mapped", FIRST.release, source_of(FIRST))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of somebody else's, with the names that a release has."""
    for path, data in FILES.items():
        file = tmp_path / "theirs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"theirs: " + data)
    return tmp_path / "theirs"


@pytest.fixture
def entrances(tmp_path: Path, hq: Caller) -> Entrances:
    """Every way by which a manifest comes in."""
    return Entrances(tmp_path, hq)


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to publish from, with a cache of its own."""
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    return SignedShelf(tmp_path / "shelf")


@pytest.fixture
def pinned(tmp_path: Path, shelf: SignedShelf) -> DeltaUpdater:
    """It has pinned the root and installed OLD; NEW is published."""
    shelf.pin(tmp_path / "tools")
    updater = DeltaUpdater(tmp_path / "tools" / TOOL_ID, disk=QuickDisk())
    shelf.publish(trusting.OLD)
    updater.update(shelf.source())
    shelf.publish(trusting.NEW)
    return updater


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> signed.Apart:
    """A place whose owners took their keys away; a worker has the first of two releases."""
    monkeypatch.setenv("BITSTATION_PASSPHRASE", signed.PASSPHRASE)
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    made = signed.Apart(tmp_path)
    ceremony = made.ceremony
    assert ceremony.command("init", "--owners", ",".join(signed.OWNERS), "--publisher", "acme") == 0
    ceremony.publish(signed.FIRST)
    assert ceremony.join() == 0
    assert ceremony.update(signed.FIRST) == "1.0.0"
    made.part()
    ceremony.publish(signed.SECOND)
    return made
