"""What people type and read: options anywhere, two languages, no colours where none belong."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import bitstation as package
from bitstation.cli import display
from bitstation.cli.display import Display
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.web_server import said, serving
from tests.cli.conftest import NEW, OLD, OTHER, Bitstation, Shelf

ESCAPE = "\x1b"


def as_process(
    *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own; its outputs are pipes."""
    command = [sys.executable, "-m", "bitstation", *words]
    return subprocess.run(
        command, capture_output=True, env={**os.environ, **(env or {})}, check=False, timeout=60
    )


# --- as a process -------------------------------------------------------------------------------


def test_the_module_is_the_command():
    ended = as_process("--version")
    assert ended.returncode == 0
    assert ended.stdout.decode().strip() == f"bitstation {package.__version__}"
    assert as_process("nosuch").returncode == 2


@pytest.mark.parametrize(
    "words", [["--version"], ["-V"], ["--version", "-q"], ["--lang", "es", "-V"]]
)
def test_the_version_is_told(bitstation: Bitstation, words: list[str]):
    assert bitstation(*words) == (0, f"bitstation {package.__version__}\n", "")


def test_without_words_the_commands_are_shown(bitstation: Bitstation):
    ended = bitstation()
    assert ended.code == 0
    assert "update" in ended.out


@pytest.mark.parametrize("words", [["--help"], ["update", "--help"], ["hq", "import", "-h"]])
def test_help_is_data_and_no_error(bitstation: Bitstation, words: list[str]):
    ended = bitstation(*words)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("usage: bitstation")


@pytest.mark.parametrize("lang", ["es", "en"])
def test_a_pipe_gets_words_without_colours_or_bars(shelf: Shelf, lang: str):
    words = ("update", TOOL_ID, "--from", str(shelf(OLD)), "--lang", lang, "--allow-unsigned")
    # FORCE_COLOR asks for colours; that is no terminal all the same.
    forced = {"TERM": "xterm-256color", "FORCE_COLOR": "1", "PYTHONIOENCODING": "latin-1"}
    ended = as_process(*words, env=forced)
    assert ended.returncode == 0
    for output in (ended.stdout, ended.stderr):
        text = output.decode("utf-8")
        assert ESCAPE not in text
        assert "\r" not in text.replace("\r\n", "\n")
    assert "═══" in ended.stdout.decode("utf-8")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> str:
    """What a progress bar writes; it shows at once here."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(display, "QUIET_S", -1)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = Display(str)
    done = shown.begin("Downloading", 100)
    done(50)
    shown.line("a line")
    shown.close()
    return terminal.getvalue()


def test_a_terminal_gets_a_bar_and_colours_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch):
    coloured = shown_on_a_terminal(monkeypatch)
    assert "Downloading" in coloured
    assert "a line\n" in coloured
    assert f"{ESCAPE}[3" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown_on_a_terminal(monkeypatch)
    assert "Downloading" in plain
    assert f"{ESCAPE}[3" not in plain
    assert f"{ESCAPE}[4" not in plain


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(display, "LINE_EVERY_S", -1)
    done = Display(str).begin("Downloading", 100)
    done(50)
    assert terminal.getvalue().startswith("  Downloading: 50 B of 100 B")
    assert ESCAPE not in terminal.getvalue()


# --- languages ----------------------------------------------------------------------------------


def test_both_languages_are_spoken_throughout(bitstation: Bitstation, shelf: Shelf):
    words = ("update", TOOL_ID, "--from", shelf(OLD))
    spanish = bitstation(*words, "--lang", "es")
    assert "REPORTE DE ACTUALIZACIÓN DIFERENCIAL" in spanish.out
    assert "[updater] Iniciando actualización diferencial" in spanish.err
    english = bitstation(*words, "--lang", "en")
    assert "DIFFERENTIAL UPDATE REPORT" in english.out
    assert "[updater] Starting differential update" in english.err
    assert "no está instalada" in bitstation("rollback", "absent", "--lang", "es").err
    assert "is not installed" in bitstation("rollback", "absent", "--lang", "en").err


@pytest.mark.parametrize(
    ("words", "variable", "expected"),
    [
        (["--lang", "es"], "en", "uso: "),
        (["--lang=es"], "en", "uso: "),
        (["--lang", "en"], "es", "usage: "),
        ([], "es", "uso: "),
        ([], "es_CU.UTF-8", "uso: "),
        ([], "en", "usage: "),
        ([], "fr", "uso: "),
    ],
)
def test_the_option_wins_over_the_variable_and_that_over_the_locale(
    bitstation: Bitstation,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variable: str,
    expected: str,
):
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    monkeypatch.setenv("BITSTATION_LANG", variable)
    assert bitstation(*words, "--help").out.startswith(expected)
    assert expected.strip() in bitstation(*words, "nosuch").err


# --- options ------------------------------------------------------------------------------------


def test_options_stand_before_and_after_the_command(
    bitstation: Bitstation,
    installed: Release,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("BITSTATION_ROOT", str(tmp_path / "nothing"))
    assert bitstation("status", "--json").object == {"tools": []}
    for words in (
        ["--root", root, "--json", "status"],
        ["status", "--root", root, "--json"],
        ["--json", "status", f"--root={root}"],
        ["--root", root, "status", TOOL_ID, "--json"],
        ["--json", "--root", root, "status", TOOL_ID],
        ["status", "--json", TOOL_ID, "--root", root],
    ):
        [row] = bitstation(*words).object["tools"]
        assert row["tool_id"] == TOOL_ID


def test_an_option_after_the_command_wins(bitstation: Bitstation, installed: Release, root: Path):
    words = ("--root", root / "absent", "--lang", "es", "status", "--root", root, "--lang", "en")
    assert bitstation(*words).out.startswith("TOOL ")


@pytest.mark.parametrize("name", ["hq", "demo", "status", "--lang"])
def test_a_root_may_be_called_as_a_command_is(
    bitstation: Bitstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    ended = bitstation(f"--root={name}", "status", "--json")
    assert ended.object == {"tools": []}
    if not name.startswith("-"):
        assert bitstation("--root", name, "status", "absent", "--json").code == 21


def test_options_stand_among_the_words_of_a_list(
    bitstation: Bitstation, shelf: Shelf, tmp_path: Path
):
    manifests = [shelf(release) / "manifest.json" for release in (OLD, NEW)]
    rows = bitstation("manifest", "verify", "--json", *manifests).object["results"]
    assert [row["ok"] for row in rows] == [True, True]
    rows = bitstation("manifest", "verify", manifests[0], "--json", manifests[1]).object["results"]
    assert [row["path"] for row in rows] == list(map(str, manifests))
    told = bitstation("update", TOOL_ID, "--from", shelf(NEW), "other-tool", "--json")
    assert [row["tool_id"] for row in told.object["tools"]] == [TOOL_ID, "other-tool"]
    assert bitstation("update", TOOL_ID, "--from", shelf(NEW), "more", "--nosuch").code == 2


def test_without_a_tool_all_installed_ones_are_updated(
    bitstation: Bitstation, shelf: Shelf, root: Path
):
    for release in (OLD, OTHER):
        tool_id = release.manifest.tool_id
        assert bitstation("update", tool_id, "--from", shelf(release)).code == 0
    newest = make_release({"a.txt": b"newest"}, "1.2.0")
    told = bitstation("update", "--from", shelf(newest), "--json")
    # The folder holds one tool; the other keeps what it has, and the run does not pass for done.
    assert told.code == 31
    assert [row["tool_id"] for row in told.object["tools"]] == ["other-tool", TOOL_ID]
    assert (root / TOOL_ID / "current.txt").read_text().strip() == "v1.2.0"
    assert (root / "other-tool" / "current.txt").read_text().strip() == "v3.0.0"


# --- what others say ----------------------------------------------------------------------------


def test_what_a_server_says_cannot_steer_a_terminal(bitstation: Bitstation):
    forged = (
        b'{"type":"x","title":"x","status":500,"code":"x","detail":"\\u001b[2J\\u009b31m\\rOK"}'
    )
    with serving() as server:
        server.say(said(500, forged))
        ended = bitstation("list", "--hq", server.url)
        assert ended.code == 40
        assert "\\x1b[2J\\x9b31m\\x0dOK" in ended.err
        server.say(said(500, forged, {"Content-Encoding": "\x1b[2J"}))
        assert ESCAPE not in bitstation("list", "--hq", server.url, "-v").err


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: names may be any bytes there")
def test_a_path_that_is_no_text_is_shown_as_well_as_can_be(bitstation: Bitstation, root: Path):
    odd = os.fsdecode(b"root-\xff")
    ended = bitstation("status", "--root", root.parent / odd)
    assert ended.code == 0
    assert "root-\\udcff" in ended.out
