"""What the attacks on the network have in common: a worker, a hostile HQ, and what must hold."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, UpdateStats
from bitstation.errors import BitStationError
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants, check_settled
from bitstation.testing.lies.releases import MODEL
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.testing.scripted_hq import ScriptedHq
from bitstation.transport.arrivals import SlowestRate
from bitstation.transport.hq import HqClient, HqSource

OLD = make_release({"a.txt": b"old", "same.txt": b"same"}, "1.0.0")
NEW = make_release({"a.txt": b"new", "same.txt": b"same", "models/m.bin": MODEL}, "1.1.0")
RECEIVED = len(MODEL) + len(b"new") + len(NEW.manifest.encode())
"""Bytes of an update that receives each once: the model, the other file, the manifest."""
NAME = "hq.invalid"
CERTIFICATES = Path(__file__).with_name("certificates")
AUTHORITY = CERTIFICATES / "authority.pem"
PATIENT = SlowestRate()
# What a test of slowness has time for.
IMPATIENT = SlowestRate(bytes_per_s=100_000, window_s=0.2)


class Worker:
    """A machine with the earlier release and files of its user, beside a bystander's folder."""

    def __init__(self, folder: Path) -> None:
        self.hq = ScriptedHq(OLD, NEW)
        bystander = folder / "bystander"
        bystander.mkdir()
        (bystander / "file").write_bytes(b"not ours")
        self.updater = DeltaUpdater(folder / "root" / TOOL_ID, disk=QuickDisk(), options=UNSIGNED)
        mine = self.updater.root.path / TOOL_ID / "user_data"
        mine.mkdir(parents=True)
        (mine / "mine.txt").write_bytes(b"mine")
        self._root = self.updater.root.path
        self._invariants = Invariants(self._root, bystander)

    def install_old(self, source: HqSource) -> None:
        """Bring it to the earlier release."""
        self.updater.update(source, OLD.version)
        self._invariants = Invariants(self._root, *self._invariants._beside)

    def refuses(
        self, source: HqSource, kind: type[BitStationError], exit_code: int = 40
    ) -> BitStationError:
        """The error that an update ends with, the earlier release being untouched."""
        with pytest.raises(kind) as caught:
            self.updater.update(source, NEW.version)
        assert type(caught.value) is kind
        assert caught.value.exit_code == exit_code
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000
        self._invariants.check(TOOL_ID, OLD.manifest)
        return caught.value

    def heals(self, source: HqSource) -> UpdateStats:
        """The numbers of an update that succeeds, and is whole."""
        stats = self.updater.update(source, NEW.version)
        assert stats.activated
        self._invariants.check(TOOL_ID, NEW.manifest)
        check_settled(self.updater.tree)
        assert self.updater.verify(deep=True).damaged == ()
        return stats

    def refuses_then_heals(
        self, source: HqSource, kind: type[BitStationError], exit_code: int = 40
    ) -> BitStationError:
        """As ``refuses``; then HQ tells the truth, and a rerun reaches the goal by itself."""
        error = self.refuses(source, kind, exit_code)
        self.hq.twist = lambda _asked, honest: honest
        self.heals(source)
        return error


def tls(name: str) -> ssl.SSLContext:
    """A server's TLS with one of the certificates kept here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


@contextmanager
def source_at(url: str, slowest: SlowestRate = PATIENT, token: str = "") -> Iterator[HqSource]:
    """A source, closed at the end."""
    source = HqSource(HqClient(url, lambda: token or None, slowest=slowest))
    try:
        yield source
    finally:
        source.close()


class Names:
    """Which addresses names have in a test; a name that nobody knows has none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, list[tuple[int, str]]] = {NAME: [(socket.AF_INET, "127.0.0.1")]}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._found)

    def _found(self, host: str, port: int, *args: int, **options: int) -> list[object]:
        if host.replace(".", "").isdigit() or ":" in host:
            return list(self._real(host, port, *args, **options))
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (
                family,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, *((0, 0) if ":" in address else ())),
            )
            for family, address in self.known[host]
        ]
