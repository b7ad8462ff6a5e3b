"""The import law of ARCHITECTURE.md, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("asyncio", "http", "logging", "msgspec", "numpy", "platformdirs", "rich", "socket"),
    *("sqlalchemy", "sqlite3", "ssl", "starlette", "uvicorn", "zipfile"),
}


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What this Python does in the root of the repository, speaking UTF-8 on Windows too."""
    command = [sys.executable, "-X", "utf8", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_rooms_import_only_what_lies_below_them() -> None:
    command = "from importlinter.cli import lint_imports_command as run; run()"
    run = run_python("-c", command, "--no-logo", "--no-cache")
    assert run.returncode == 0, run.stdout + run.stderr


def imported_by(*arguments: str) -> set[str]:
    """The top-level modules that a fresh interpreter imports, by its own account."""
    run = run_python("-X", "importtime", *arguments)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [("-c", "import bitstation"), ("-m", "bitstation", "--version")],
    ids=["import bitstation", "bitstation --version"],
)
def test_starting_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    # What the interpreter brings by itself (site, .pth files of other packages) is not ours.
    ours = imported_by(*arguments) - imported_by("-c", "pass")
    assert "bitstation" in ours
    assert ours & HEAVY == set()
