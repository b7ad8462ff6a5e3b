"""dev.py: what it installs, when, and that it is what the documents say."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "dev.py").read_text("utf-8")


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dev.py over an empty repository, with pip replaced by a list of what it was asked."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    asked: list[str] = []

    def make(folder: Path) -> None:
        python = module.venv_python(folder)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()
        asked.append("fresh")

    def pip(_folder: Path, *arguments: str) -> None:
        asked.append("package" if "--editable" in arguments else Path(arguments[-1]).stem)

    for name in ("run", "bench", "dev", "fuzz"):
        (tmp_path / "requirements").mkdir(exist_ok=True)
        (tmp_path / f"requirements/{name}.txt").write_text("a==1\n", "utf-8")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STATE", tmp_path / ".venv/dev.json")
    monkeypatch.setattr(module, "make_environment", make)
    monkeypatch.setattr(module, "pip", pip)
    module.asked = asked  # type: ignore[attr-defined]
    return module


def asked_for(dev: ModuleType, wanted: str) -> list[str]:
    """What pip was asked since the last call."""
    dev.asked.clear()
    assert dev.ensure_environment(wanted) == dev.venv_python(dev.VENV)
    return list(dev.asked)


def test_a_second_run_installs_nothing(dev: ModuleType) -> None:
    assert asked_for(dev, "run") == ["fresh", "run", "package"]
    assert asked_for(dev, "run") == []


def test_the_tests_add_to_what_the_demo_installed_and_serve_it(dev: ModuleType) -> None:
    asked_for(dev, "run")
    assert asked_for(dev, "dev") == ["dev"]
    assert asked_for(dev, "dev") == []
    assert asked_for(dev, "bench") == []
    assert asked_for(dev, "run") == []


def test_the_bench_adds_to_what_the_demo_installed_and_serves_it(dev: ModuleType) -> None:
    asked_for(dev, "run")
    assert asked_for(dev, "bench") == ["bench"]
    assert asked_for(dev, "run") == []
    assert asked_for(dev, "dev") == ["dev"]


def test_what_fuzzing_needs_serves_the_tests(dev: ModuleType) -> None:
    asked_for(dev, "fuzz")
    assert asked_for(dev, "dev") == asked_for(dev, "run") == []


@pytest.mark.parametrize("name", ["run", "bench", "dev", "fuzz"])
def test_a_changed_pin_makes_the_environment_anew(dev: ModuleType, name: str) -> None:
    asked_for(dev, name)
    (dev.ROOT / f"requirements/{name}.txt").write_text("a==2\n", "utf-8")
    assert asked_for(dev, name) == ["fresh", name, "package"]


def test_another_interpreter_makes_the_environment_anew(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for(dev, "run")
    monkeypatch.setattr(dev, "this_python", lambda: "another")
    assert asked_for(dev, "run") == ["fresh", "run", "package"]


def test_a_changed_project_is_installed_again(dev: ModuleType) -> None:
    asked_for(dev, "run")
    (dev.ROOT / "pyproject.toml").write_text("[project]\n", "utf-8")
    assert asked_for(dev, "run") == ["package"]


def test_what_an_interrupted_run_left_is_not_trusted(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dev, "pip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dev.ensure_environment("run")
    assert asked_for(dev, "run") == ["fresh", "run", "package"]


def test_an_older_python_lives_to_read_the_message() -> None:
    ast.parse(SOURCE, feature_version=(3, 6))
    check = SOURCE.index("sys.version_info <")
    assert re.findall(r"^import (\w+)|^from (\w+)", SOURCE[:check], re.MULTILINE) == [("sys", "")]


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["tset"], 2), (["--help"], 0)])
def test_it_explains_itself(arguments: list[str], code: int) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "dev.py", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == code
    assert "python dev.py demo" in (run.stderr if code else run.stdout)


@pytest.mark.parametrize("words", [["--conformance", "suite"], ["--conformance=suite"]])
def test_the_checkout_of_a_suite_is_found_from_where_this_was_started(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    became: list[str] = []
    monkeypatch.setattr(dev, "become", lambda *command: became.extend(map(str, command)))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dev.trust(["--seed", "2", *words, "conformance"])
    suite = str((tmp_path / "here/suite").resolve())
    assert "=".join(became).endswith(f"--seed=2=--conformance={suite}=conformance")


def test_the_readme_shows_its_two_commands(dev: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for command in ("demo", "test"):
        assert re.search(rf"^python dev\.py {command}\b", readme, re.MULTILINE)
        assert command in dev.COMMANDS


def test_every_command_named_anywhere_exists(dev: ModuleType) -> None:
    places = [ROOT / ".ci/run", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    places += ROOT.glob(".github/workflows/*.yml")
    text = "".join(file.read_text("utf-8") for file in places)
    named = set(re.findall(r"python3? dev\.py (\w+)", text))
    assert {"demo", "test", "lint"} <= named
    assert named <= dev.COMMANDS.keys()
    assert all(f"python dev.py {name}" in SOURCE for name in dev.COMMANDS)


def test_the_windows_run_names_what_exists() -> None:
    lines = (ROOT / ".ci/windows-tests").read_text("utf-8").splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert names
    for name in names:
        path, _, test = name.partition("::")
        place = ROOT / path
        assert place.is_file() if test else place.exists(), name
        assert not test or f"def {test.partition('[')[0]}(" in place.read_text("utf-8"), name
