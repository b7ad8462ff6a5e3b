"""What may stand in the files of this repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 400  # lines of Python that a reader learns in one sitting
# Written in pieces, so that this file passes its own test.
REGISTRIES = "|".join(
    (r"py" r"pi\.org", r"python" r"hosted\.org", r"npm" r"js\.org", r"deb\." r"debian\.org",
     r"crates" r"\.io", r"rubygems" r"\.org", r"proxy\.golang" r"\.org")
)  # fmt: skip
MACHINE_PATHS = r"/ro" r"ot/|/wo" r"rk/(main|shared|steering|\.)"
FORBIDDEN = re.compile(f"({REGISTRIES}|{MACHINE_PATHS})".encode())
LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "package-lock.json"}
NOT_FOR_GIT = {".gguf", ".safetensors", ".whl", ".sqlite", ".sqlite3", ".env"}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """All that git holds or would take."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    # CI machines clone as one user and test as another, which git refuses unless told.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_path_of_the_machine_it_was_written_on(
    files: list[Path],
) -> None:
    found = {
        str(file.relative_to(ROOT)): match.group().decode()
        for file in files
        if (match := FORBIDDEN.search(file.read_bytes()))
    }
    assert found == {}


def test_no_lock_file_with_addresses_no_model_and_no_database_is_in_git(files: list[Path]) -> None:
    wrong = [file for file in files if file.name in LOCK_FILES or file.suffix in NOT_FOR_GIT]
    assert wrong == []


def test_a_reader_learns_every_python_file_in_one_sitting(files: list[Path]) -> None:
    python = [file for file in files if file.suffix == ".py"]
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in python}
    assert {str(file): count for file, count in lengths.items() if count > LONGEST} == {}


def test_text_has_unix_line_ends(files: list[Path]) -> None:
    # tools/, golden data and inputs keep whatever bytes they have.
    ours = [file for file in files if file.suffix in {".py", ".md", ".toml", ".txt", ".yml", ""}]
    free = ("tools", "tests/golden", "tests/fuzz/corpus", "conformance")
    ours = [file for file in ours if not file.relative_to(ROOT).as_posix().startswith(free)]
    assert [str(file) for file in ours if b"\r\n" in file.read_bytes()] == []


def test_a_workflow_names_actions_by_commit() -> None:
    workflows = [path.read_text("utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")]
    used = re.findall(r"uses: *(.+)", "".join(workflows))
    assert used
    # The version beside it is for people.
    assert [
        each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", each)
    ] == []
