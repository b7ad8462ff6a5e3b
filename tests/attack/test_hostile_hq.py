"""The HQ that lies, over real HTTP: each of its attacks has the outcome that its table states."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.cli.main import main
from bitstation.core.manifest import parse_manifest
from bitstation.testing import hostile_hq
from bitstation.testing.attacks.attack import Attack
from bitstation.testing.attacks.table import ATTACKS
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.hostile_hq import HostileHq
from bitstation.testing.invariants import Invariants, check_settled
from bitstation.testing.lies.manifests import BETWEEN, ELSEWHERE
from bitstation.testing.lies.releases import NEW, OLD
from bitstation.testing.lies.signers import rotate_online_key
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.web_server import Asked, Said, WebServer, serving
from bitstation.transport import http
from bitstation.trust.pins import Pins
from bitstation.trust.walk import newest_root
from tests.attack.network import IMPATIENT, PATIENT, source_at

MANIFESTS = {release.version: release.manifest for release in (OLD, NEW)}
MANIFESTS[BETWEEN.version] = parse_manifest(ELSEWHERE)


class Victim:
    """A worker of its own for one attack, with files of its user and of others."""

    def __init__(self, folder: Path) -> None:
        self.beside = folder / "beside"
        self.beside.mkdir()
        (self.beside / "file").write_bytes(b"not ours")
        self.updater = DeltaUpdater(folder / "tools" / TOOL_ID, disk=QuickDisk())
        mine = self.updater.tree.path / "user_data"
        mine.mkdir(parents=True)
        (mine / "mine.txt").write_bytes(b"mine")

    def join(self, url: str, fingerprint: str) -> None:
        """Pin the root that is shown there."""
        with source_at(url) as source:
            root = newest_root(source.read_metadata)
        assert root is not None
        Pins(self.updater.root.pins).pin(root, source=url, fingerprint=fingerprint)

    def update(
        self, url: str, version: str, *, to: str, impatient: bool = False, anew: bool = False
    ) -> BitStationError | None:
        """Try to update; whatever came of it, ``to`` is current, and nothing else has changed.

        ``anew``: HQ has new keys, under which versions may begin anew.
        """
        invariants = Invariants(self.updater.root.path, self.beside)
        error = None
        with source_at(url, IMPATIENT if impatient else PATIENT) as source:
            try:
                self.updater.update(source, version)
            except BitStationError as caught:
                error = caught
        broken = invariants.broken(TOOL_ID, [MANIFESTS[to]], absent=False)
        assert [each for each in broken if not (anew and each.startswith("I5: "))] == []
        assert self.updater.verify(deep=True).damaged == ()
        return error


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileHq:
    return HostileHq(tmp_path_factory.mktemp("hostile"))


Answers = list[tuple[Asked, Said]]


@pytest.fixture
def answers() -> Answers:
    """All that was asked, with what was said."""
    return []


@pytest.fixture
def server(hostile: HostileHq, answers: Answers) -> Iterator[WebServer]:
    def noting(asked: Asked) -> Said:
        answers.append((asked, hostile(asked)))
        return answers[-1][1]

    with serving(noting) as server:
        yield server


def has_lied(hostile: HostileHq, attack: Attack, answers: Answers) -> bool:
    """Whether anything that was said is not what was said before."""
    here = f"/{attack.name}/"
    return any(
        said != hostile(asked._replace(target=asked.target.replace(here, f"{here}before/", 1)))
        for asked, said in answers
    )


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_every_attack_ends_as_it_must(
    attack: Attack,
    hostile: HostileHq,
    server: WebServer,
    answers: Answers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused or healed as stated, no wrong byte is active, and the truth then heals."""
    victim, here = Victim(tmp_path), f"{server.url}/{attack.name}"
    victim.join(f"{here}/before/", hostile.fingerprint)
    assert victim.update(f"{here}/before/", attack.installed, to=attack.installed) is None
    answers.clear()
    due = attack.installed if attack.code else attack.asked
    with monkeypatch.context() as patch:
        if attack.is_slow:
            patch.setattr(http, "READ_TIMEOUT_S", 0.1)
        error = victim.update(f"{here}/", attack.asked, to=due, impatient=attack.is_slow)
    stated = (error.code, error.exit_code) if error else (None, 0)
    assert stated == (attack.code, attack.exit_code), error
    assert has_lied(hostile, attack, answers) == (attack.name != "none")
    anew = attack.amends is rotate_online_key
    assert victim.update(f"{here}/truth/", NEW.version, to=NEW.version, anew=anew) is None
    check_settled(victim.updater.tree)


def test_what_is_no_attack_is_not_found(server: WebServer) -> None:
    with source_at(f"{server.url}/T99/") as source, pytest.raises(BitStationError) as caught:
        source.offer(TOOL_ID, None)
    assert caught.value.code == "not-found"


def test_the_names_are_those_of_the_threat_model() -> None:
    """A letter of a group and a number; what follows a dash tells variants apart."""
    assert all(re.fullmatch(r"none|[TNMP][1-9][0-9]?(-[a-z0-9]+)?", name) for name in ATTACKS)


def test_the_list_names_every_attack(capsys: pytest.CaptureFixture[str]) -> None:
    assert hostile_hq.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*ATTACKS]


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            hostile_hq.main(["--attack", "none", "--port", port])
    assert ended.value.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["none", "T17", "T31", "N22", "P1"])
def test_the_command_lines_that_it_prints(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Typed as they stand, against the command in a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BITSTATION_LANG", "en")
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    for variable in ("TMPDIR", "TEMP", "TMP"):
        # It is killed, and leaves what it signed.
        monkeypatch.setenv(variable, str(tmp_path))
    words = [sys.executable, "-P", "-m", "bitstation.testing.hostile_hq", "--attack", name]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            lines = _until_the_end(process)
            due = [int(line[-3:-1]) for line in lines if line.startswith("must end with")]
            typed = [line.strip() for line in lines if line.startswith("  bitstation")]
            assert len(typed) == len(due) == 4
            assert [main(shlex.split(line)[1:]) for line in typed] == due
        finally:
            process.kill()
    capfd.readouterr()
    current = tmp_path / f"hostile-{name}" / TOOL_ID / "current.txt"
    assert current.read_text("utf-8").strip() == f"v{NEW.version}"


def _until_the_end(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Ctrl+C"):
            break
    return lines
