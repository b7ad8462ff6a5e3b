"""The publisher's commands as a user gives them: words, JSON, exit codes, time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bitstation.cli.dispatch import dispatch
from bitstation.core.digest import digest_of
from tests.engine.publisher_tools import MOMENT, write_tool
from tests.engine.web_host import serving

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "conformance"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BITSTATION_LANG", "en")
    for name in ("BITSTATION_FILES_BASE_URL", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return write_tool(tmp_path / "tools" / "sample")


class Shell:
    """Runs commands in this process; what they print is kept."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str | Path) -> int:
        code = dispatch([str(word) for word in words])
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, *words: str | Path) -> tuple[int, Any]:
        """Exit code and the one object on stdout."""
        code = self(*words, "--json")
        return code, json.loads(self.out)


@pytest.fixture
def bitstation(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def in_a_process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bitstation", *(str(word) for word in words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
    )


# --- validate --------------------------------------------------------------------------------


def test_validate_says_what_is_there_and_what_is_left_out(tool: Path, bitstation: Shell) -> None:
    (tool / "venv").mkdir()
    (tool / "venv" / "x").write_bytes(b"")
    assert bitstation("validate") == 0
    assert "\u2713 sample 1.0.0: 6 files" in bitstation.out
    assert "left out: venv/  [runtime (venv/)]" in bitstation.out
    code, found = bitstation.json("validate", tool)
    (row,) = found["tools"]
    assert (code, row["ok"], row["tool_id"], row["files"]) == (0, True, "sample", 6)
    assert row["left_out"] == [{"path": "venv/", "reason": "runtime (venv/)"}]


def test_validate_names_every_fault(tool: Path, bitstation: Shell) -> None:
    write_tool(tool, entrypoint_windows="no.ps1", entrypoint_posix="no.sh")
    code, found = bitstation.json("validate")
    assert code == 30
    assert len(found["tools"][0]["faults"]) == 2
    assert bitstation("validate") == 30
    assert "entrypoint_posix 'no.sh' is not in the release" in bitstation.out


def test_without_tools_validate_asks_for_one(bitstation: Shell) -> None:
    assert bitstation("validate") == 2
    assert "name a tool folder" in bitstation.err


# --- manifest --------------------------------------------------------------------------------


def test_manifest_writes_and_then_finds_it(tool: Path, bitstation: Shell) -> None:
    code, first = bitstation.json("manifest", "--created-at", MOMENT)
    assert code == 0
    (row,) = first["manifests"]
    assert row["written"]
    assert row["files_hashed"] == row["files"] == 6
    document = json.loads((tool / "manifest.json").read_bytes())
    assert document["manifest_hash"] == row["manifest_hash"]
    _code, second = bitstation.json("manifest", tool)
    assert (second["manifests"][0]["written"], second["manifests"][0]["files_hashed"]) == (False, 0)
    assert bitstation("manifest", "verify", tool / "manifest.json") == 0
    assert row["manifest_hash"] in bitstation.out


@pytest.mark.parametrize(
    "words", [("--base-url", "file:///x"), ("--created-at", "today"), ("--created-at", "")]
)
def test_manifest_refuses_odd_options(
    tool: Path, bitstation: Shell, words: tuple[str, str]
) -> None:
    code = bitstation("manifest", *words)
    assert code == (0 if words[1] == "" else 2)


def test_verify_says_of_each_real_manifest_what_is_expected(bitstation: Shell) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
    files = [GOLDEN / "manifests" / row["file"] for row in expected]
    code, found = bitstation.json("manifest", "verify", *files)
    assert code == 30
    assert len(expected) == len(found["results"]) == 28
    for row, result in zip(expected, found["results"], strict=True):
        assert Path(result["path"]).name == row["file"]
        assert result["ok"] is row["recomputes"]
        assert result["manifest_hash"] == row["computed"]
        assert result["expected"] == row["stated"]
        assert bool(result["problems"]) is not row["recomputes"]
    good = [file for file, row in zip(files, expected, strict=True) if row["recomputes"]]
    assert bitstation("manifest", "verify", *good) == 0


def test_verify_of_what_is_no_manifest(tmp_path: Path, bitstation: Shell) -> None:
    (tmp_path / "x.json").write_bytes(b"{")
    code, found = bitstation.json("manifest", "verify", tmp_path / "x.json", tmp_path / "absent")
    assert code == 30
    assert [row["ok"] for row in found["results"]] == [False, False]
    assert bitstation("manifest", "verify") == 2


# --- pack and diff ---------------------------------------------------------------------------


def test_pack_and_diff(tool: Path, bitstation: Shell) -> None:
    code, found = bitstation.json("pack", "--release-tag", "v1", "--max-asset", "200kB")
    assert code == 0
    (row,) = found["packed"]
    assert [file["name"][-4:] for file in row["package"]["files"]] == [".001", ".002", ".003"]
    assert bitstation("pack", "--max-asset", "200kB") == 0
    assert "tool_sample_1.0.0.zip.003" in bitstation.out

    write_tool(tool, {"main.py": b"new\n"}, version="1.0.1")
    (tool / "runner" / "run.sh").rename(tool / "runner" / "start.sh")
    code, found = bitstation.json("diff", Path("dist") / "tool_sample_1.0.0.zip", tool)
    assert code == 0
    assert [row["path"] for row in found["changed"]] == ["main.py", "tool.json"]
    assert found["moved"] == [{"from": "runner/run.sh", "to": "runner/start.sh"}]
    assert found["deleted"] == ["runner/run.sh"]
    assert found["unchanged_files"] == 3
    assert found["download_bytes"] == 4 + (tool / "tool.json").stat().st_size
    beside = Path("dist") / "tool_sample_1.0.0.manifest.json"
    assert bitstation("diff", beside, Path("dist") / "tool_sample_1.0.0.zip.002") == 0
    assert "To download: 0 files" in bitstation.out


def test_pack_says_what_it_would_do(tool: Path, bitstation: Shell) -> None:
    code, found = bitstation.json("pack", "--dry-run")
    assert (code, found["planned"][0]["version"]) == (0, "1.0.0")
    assert not Path("dist").exists()


def test_pack_refuses_a_version_with_other_content(tool: Path, bitstation: Shell) -> None:
    assert bitstation("pack") == 0
    (tool / "main.py").write_bytes(b"changed\n")
    for words in (("pack",), ("pack", "--dry-run")):
        code, found = bitstation.json(*words)
        assert (code, found["error"]["code"]) == (31, "release-conflict")


def test_diff_of_what_is_no_release(tool: Path, bitstation: Shell) -> None:
    assert bitstation("diff", tool, "absent.zip") == 2
    assert bitstation("diff", tool, "absent.json") in (2, 40)
    other = write_tool(tool.parent / "other", tool_id="other")
    assert bitstation("diff", tool, other) == 2
    assert "two tools" in bitstation.err


def test_models_fetch(tool: Path, bitstation: Shell) -> None:
    data = os.urandom(100_000)
    with serving(data) as host:
        row = {
            "path": "models/x.gguf",
            "sha256": digest_of(data),
            "size": len(data),
            "url": host.url,
        }
        (tool / "models.lock.json").write_text(json.dumps([row]))
        assert bitstation("manifest") == 30
        assert "bitstation models fetch" in bitstation.err
        code, found = bitstation.json("models", "fetch", tool)
        assert (code, found["models"][0]["received_bytes"]) == (0, len(data))
        assert bitstation("models", "fetch", tool) == 0
        assert "is here and proved" in bitstation.out
    assert bitstation("manifest") == 0


# --- in a process of their own ---------------------------------------------------------------


def peak_kb(*words: str | Path) -> int:
    """Most memory that a command needed.

    Not ru_maxrss: Linux counts in it what the process was before exec, a copy of this one.
    """
    script = (
        "import re, sys; from bitstation.cli.main import main; code = main(sys.argv[1:]);"
        "status = open('/proc/self/status').read();"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1], file=sys.stderr);"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", script, *(str(word) for word in words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return int(run.stderr.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: peak memory is read there")
def test_a_model_of_5_gb_costs_little_memory_and_is_read_once(tool: Path) -> None:
    with (tool / "models" / "big.gguf").open("wb") as file:
        file.truncate(5_000_000_000)
    assert peak_kb("manifest", tool) < 150_000
    second = in_a_process("manifest", tool)
    assert ", 0 hashed now" in second.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: peak memory is read there")
def test_packing_and_proving_cost_little_memory(tool: Path) -> None:
    with (tool / "models" / "big.gguf").open("wb") as file:
        file.truncate(300_000_000)
    assert peak_kb("pack", tool) < 150_000


def test_commands_speak_in_two_languages(tool: Path) -> None:
    english = in_a_process("validate", "--lang", "en")
    assert english.returncode == 0
    assert "6 files" in english.stdout
    spanish = in_a_process("validate", "--lang", "es")
    assert spanish.returncode == 0
