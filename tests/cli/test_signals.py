"""Signals: a run that is asked to stop stops, says so, and leaves what can be gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bitstation.cli import status
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.scripted_hq import BLOBS, ScriptedHq
from bitstation.testing.web_server import Asked, Said, Then, WebServer, serving
from tests.cli.conftest import OLD, Bitstation, Shelf

MODEL = bytes(range(256)) * 20_000
NEW = make_release({"a.txt": b"new", "models/m.bin": MODEL}, "1.1.0")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
posix = pytest.mark.skipif(
    sys.platform == "win32", reason="only on POSIX: signals reach one process there"
)


class Blocking:
    """An HQ that falls silent in the midst of one answer, and tells when it did."""

    def __init__(self, silent_at: str) -> None:
        self.is_silent = threading.Event()
        self.honest = ScriptedHq(OLD, NEW)
        self._silent_at = silent_at

    def __call__(self, asked: Asked) -> Said:
        answer = self.honest(asked)
        if not asked.target.startswith(self._silent_at) or len(answer.data) < 200:
            return answer
        self.is_silent.set()
        return Said(answer.data[: len(answer.data) // 2], Then.HANG)


def stopped(server: WebServer, blocking: Blocking, number: signal.Signals, *words: str) -> object:
    """How the command ended that was sent a signal while the server was silent."""
    command = [sys.executable, "-m", "bitstation", *words, "--hq", server.url, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert blocking.is_silent.wait(60)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, json.loads(out)["error"]["code"], err.decode()


@posix
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("silent_at", ["/api/v1/tools/", BLOBS], ids=["asking", "fetching"])
def test_an_update_that_waits_for_a_server_stops_at_once(
    bitstation: Bitstation, shelf: Shelf, root: Path, number: signal.Signals, silent_at: str
):
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    blocking = Blocking(silent_at)
    with serving(blocking) as server:
        code, error, words = stopped(
            server, blocking, number, "update", TOOL_ID, "--allow-unsigned"
        )
        assert (code, error) == (CODES[number], "cancelled")
        assert "stopped before anything was activated" in words
        assert (root / TOOL_ID / "current.txt").read_text().strip() == "v1.0.0"
        assert bitstation("verify", TOOL_ID).code == 0
        server.script = blocking.honest
        assert bitstation("update", TOOL_ID, "--hq", server.url, "-q").code == 0
    assert (root / TOOL_ID / "current.txt").read_text().strip() == "v1.1.0"


@posix
def test_the_tools_after_the_one_that_was_stopped_are_left_alone(
    bitstation: Bitstation, shelf: Shelf, root: Path
):
    blocking = Blocking(BLOBS)
    with serving(blocking) as server:
        words = ("update", TOOL_ID, "other-tool", "--allow-unsigned")
        assert stopped(server, blocking, signal.SIGINT, *words)[:2] == (130, "cancelled")  # type: ignore[index]
    assert not any("other-tool" in asked.target for asked in server.asked)


@pytest.mark.parametrize("number", CODES)
def test_a_second_signal_ends_even_what_does_not_listen(
    bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    handlers = {each: signal.getsignal(each) for each in CODES}

    def deaf(*_args: object) -> int:
        signal.raise_signal(number)
        signal.raise_signal(number)
        raise AssertionError("still running")

    monkeypatch.setattr(status, "run", deaf)
    ended = bitstation("status", "--json")
    assert ended.code == CODES[number]
    assert ended.object["error"]["code"] == "cancelled"
    assert "Interrupted" in ended.err
    assert {each: signal.getsignal(each) for each in CODES} == handlers


def test_work_that_a_signal_found_finished_is_done(
    bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch
):
    real = status.run

    def late(*args: object) -> int:
        code = real(*args)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)
        return code

    monkeypatch.setattr(status, "run", late)
    assert bitstation("status").code == 0


@posix
def test_a_reader_that_goes_away_ends_the_command_quietly(shelf: Shelf):
    command = [sys.executable, "-m", "bitstation", "manifest", "verify", "--json"]
    command += [str(shelf(OLD) / "manifest.json")] * 2000
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        ended = subprocess.run(
            command, stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=60
        )
    finally:
        os.close(write_end)
    assert ended.returncode == 1
    assert ended.stderr == b""
