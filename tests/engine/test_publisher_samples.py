"""The sample tools are tools: they validate, they run, and the model is a model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bitstation.core.diff import diff_manifests
from bitstation.publisher.manifest import make_manifest
from bitstation.testing import sample_weights
from bitstation.testing.sample_files import MODEL_PATH
from bitstation.testing.sample_tool import Sample, next_version, write_sample_tool
from tests.engine.publisher_tools import MAKING, checked

ADD = Path(__file__).parents[2] / "tools" / "add"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def add(tmp_path: Path) -> Path:
    """A copy: running a tool leaves compiled files behind."""
    folder = tmp_path / "add"
    shutil.copytree(ADD, folder)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample_tool(tmp_path_factory.mktemp("samples") / "z-image-turbo")


@pytest.fixture
def sample(written: Sample, tmp_path: Path) -> Path:
    folder = tmp_path / "z-image-turbo"
    shutil.copytree(written.folder, folder)
    return folder


def run(*command: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False)


def run_job(folder: Path, job: object, *command: str | Path) -> tuple[int, dict[str, object]]:
    """Exit code and result of one job by runner protocol v1."""
    given, result = folder.parent / "in.json", folder.parent / "out.json"
    given.write_text(job if isinstance(job, str) else json.dumps(job), encoding="utf-8")
    names = ("-InPath", "-OutPath") if "run.ps1" in str(command[-1]) else ("--input", "--output")
    finished = run(*command, names[0], given, names[1], result)
    return finished.returncode, json.loads(result.read_text("utf-8"))


# --- tools/add -------------------------------------------------------------------------------


def test_add_is_a_sound_tool(add: Path) -> None:
    with checked(add) as (tool,):
        assert tool.faults == tool.warnings == ()
        assert make_manifest(tool, MAKING).tool_id == "add"


@pytest.mark.parametrize(
    ("numbers", "total"),
    [([1, 2, 3.5], 6.5), ([], 0), ([0.1] * 10, 1.0), ([2**60, 1], 2**60 + 1), ([-1, 1], 0)],
)
def test_add_adds(add: Path, numbers: list[float], total: float) -> None:
    code, result = run_job(add, {"numbers": numbers}, sys.executable, add / "main.py")
    assert (code, result) == (0, {"ok": True, "sum": total})


@pytest.mark.parametrize(
    "job", [{}, [], {"numbers": "1"}, {"numbers": [True]}, {"numbers": [None]}, "{", "\ufeff{}"]
)
def test_add_says_what_it_cannot_do(add: Path, job: object) -> None:
    code, result = run_job(add, job, sys.executable, add / "main.py")
    assert code == 2
    assert result["ok"] is False
    assert result["error"]


def test_add_stays_and_answers_line_by_line(add: Path) -> None:
    jobs = '{"numbers": [1, 2]}\n\nnot json\n{"numbers": [3]}\n'
    finished = run(sys.executable, add / "main.py", "--persistent", text=jobs)
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert finished.returncode == 0
    assert lines[0] == {"status": "ready"}
    assert [line.get("sum") for line in lines[1:]] == [3, None, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: run.ps1 stands for it there")
def test_add_starts_by_its_posix_entry_point(add: Path) -> None:
    code, result = run_job(add, {"numbers": [1, 2]}, "sh", add / "runner" / "run.sh")
    assert (code, result["sum"]) == (0, 3)


def is_wine() -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.windll.ntdll, "wine_get_version")


POWERSHELL = shutil.which("pwsh") or shutil.which("powershell")


@pytest.mark.skipif(POWERSHELL is None, reason="needs PowerShell")
@pytest.mark.skipif(is_wine(), reason="not under Wine: its PowerShell does nothing")
def test_add_starts_by_its_windows_entry_point(add: Path) -> None:
    command = (str(POWERSHELL), "-NoProfile", "-ExecutionPolicy", "Bypass", "-File")
    code, result = run_job(add, {"numbers": [1, 2]}, *command, add / "runner" / "run.ps1")
    assert (code, result["sum"]) == (0, 3)


# --- the tool with a model -------------------------------------------------------------------


def test_the_sample_is_a_sound_tool_of_a_few_dozen_files(written: Sample, sample: Path) -> None:
    with checked(sample) as (tool,):
        assert tool.faults == tool.warnings == ()
        assert len(tool.inventory.files) == written.files
    assert 30 <= written.files <= 60
    assert 30e6 < written.model_bytes < 60e6
    assert "GGUF" in written.describe()


def open_gguf(path: Path) -> Any:
    """The file as the format's own library reads it."""
    gguf = pytest.importorskip("gguf", reason="not under Wine: gguf needs numpy, which fails there")
    return gguf.GGUFReader(path)


def test_its_model_is_a_gguf(written: Sample) -> None:
    reader = open_gguf(written.folder / MODEL_PATH)
    assert len(reader.tensors) > 5
    assert sum(tensor.n_bytes for tensor in reader.tensors) > 30e6
    largest = max(reader.tensors, key=lambda tensor: tensor.n_bytes)
    assert 0.001 < abs(largest.data.astype("f4")).mean() < 1
    reader.data._mmap.close()


def test_generated_weights_are_a_gguf_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_weights, "WEIGHTS_PACKAGE", "a_package_that_is_not_installed")
    assert sample_weights.write_model(tmp_path / "m.gguf") is False
    reader = open_gguf(tmp_path / "m.gguf")
    assert [tensor.shape.tolist() for tensor in reader.tensors] == [[2048, 2048]] * 6
    reader.data._mmap.close()


def test_its_next_version_changes_three_files_and_not_the_model(sample: Path) -> None:
    with checked(sample) as (tool,):
        first = make_manifest(tool, MAKING)
    model = (sample / MODEL_PATH).stat()
    next_version(sample)
    assert (sample / MODEL_PATH).stat() == model
    with checked(sample) as (tool,):
        assert tool.faults == ()
        second = make_manifest(tool, MAKING)
    assert second.tool_version == "2.4.1"
    diff = diff_manifests(first, second)
    assert [entry.path for entry in diff.changed] == [
        *("src/imagery/sampler.py", "tokenizer/vocabulary.txt", "tool.json")
    ]
    assert [(before, entry.path) for before, entry in diff.moved] == [
        ("src/imagery/enlarge.py", "src/imagery/upscale.py")
    ]
    assert diff.deleted == ("notes/first-steps.txt", "src/imagery/enlarge.py")


def test_it_runs_before_and_after(sample: Path) -> None:
    for _ in range(2):
        code, result = run_job(sample, {"prompt": "a red kite"}, sys.executable, sample / "main.py")
        assert code == 0
        assert result["ok"] is True
        if json.loads((sample / "tool.json").read_bytes())["version"] == "2.4.0":
            next_version(sample)


def test_a_corrupt_model_ends_it_with_66(sample: Path) -> None:
    (sample / MODEL_PATH).write_bytes(b"not a model")
    finished = run(sys.executable, sample / "main.py", "--persistent", text="")
    assert finished.returncode == 66
