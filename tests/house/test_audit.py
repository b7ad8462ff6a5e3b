"""The audit: every pin is asked about, what is found fails it, and what is accepted ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.requirements import Requirement

from tests.house.audit import ACCEPTED, audit, audited_pins, load_accepted, turns
from tests.house.pins import SETS, Pin, entries

FAULT = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "affected": []}
OLD = Pin("old", "1.0", "sys_platform == 'win32'", ("0" * 64,))
SOUND = Pin("sound", "1.0", None, ("1" * 64,))


class Service(ThreadingHTTPServer):
    """What answers like the OSV service, to whom only the package `old` is known to be faulty."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str]] = []

    def arguments(self, folder: Path) -> list[str]:
        """What makes pip-audit ask here."""
        url = f"http://127.0.0.1:{self.server_port}/"
        return ["--vulnerability-service=osv", f"--osv-url={url}", f"--cache-dir={folder}"]


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = question["package"]["name"]
        self.server.asked.append((name, question["version"]))
        body = json.dumps({"vulns": [FAULT]} if name == "old" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what matters."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Service() as service:
        thread = Thread(target=service.serve_forever)
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def test_every_pin_is_asked_about_whatever_system_it_is_for(
    service: Service, tmp_path: Path
) -> None:
    assert audit(audited_pins(), [], service.arguments(tmp_path)) == 0
    pinned = set()
    for path in SETS:
        for entry in [] if path.stem == "windows-wine" else entries(path):
            requirement = Requirement(entry.split(" --hash")[0])
            pinned.add((requirement.name, str(requirement.specifier).removeprefix("==")))
    assert sorted(service.asked) == sorted(pinned)
    # Two versions for two Pythons, and a package of Windows, are among them.
    assert len([name for name, _ in pinned if name == "numpy"]) > 1
    assert "colorama" in {name for name, _ in pinned}


def test_a_finding_fails_it_and_an_accepted_one_does_not(
    service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asking = service.arguments(tmp_path)
    assert audit([SOUND], [], asking) == 0
    assert audit([OLD, SOUND], [], asking) == 1
    assert "PYSEC-2026-1" in capfd.readouterr().out
    assert audit([OLD, SOUND], ["CVE-2026-1"], asking) == 0
    assert audit([OLD, SOUND], ["CVE-2026-2"], asking) == 1


def test_no_turn_has_two_versions_of_one_package() -> None:
    newer = OLD._replace(version="2.0")
    assert turns([OLD, SOUND, OLD, newer, SOUND]) == [[OLD, SOUND], [newer]]


def test_a_finding_is_accepted_in_the_form_that_the_file_shows(tmp_path: Path) -> None:
    shown = [line[2:] for line in ACCEPTED.read_text("utf-8").splitlines()]
    file = tmp_path / "accepted.toml"
    file.write_text("\n".join(shown[shown.index("[[finding]]") :][:4]), "utf-8")
    assert load_accepted(file, date(2027, 1, 30)) == ["PYSEC-2026-1"]
    with pytest.raises(SystemExit, match="PYSEC-2026-1 was accepted until 2027-01-31"):
        load_accepted(file, date(2027, 1, 31))


@pytest.mark.parametrize("lacking", ["id", "reason", "until"])
def test_nothing_is_accepted_without_a_reason_and_an_end(tmp_path: Path, lacking: str) -> None:
    rows = {"id": 'id = "A"', "reason": 'reason = "b"', "until": "until = 2027-01-31"}
    file = tmp_path / "accepted.toml"
    told = [row for name, row in rows.items() if name != lacking]
    file.write_text("\n".join(["[[finding]]", *told]), "utf-8")
    with pytest.raises(SystemExit, match="needs id, reason and until"):
        load_accepted(file, date(2026, 1, 1))
