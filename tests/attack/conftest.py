"""A worker on a network of loopback, without proxies and certificates of this machine's user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.transport.hq import HqSource
from bitstation.worker import intake
from tests.attack.network import Names, Worker, source_at
from tests.contract.web_server import WebServer, serving

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
