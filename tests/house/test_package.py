"""What the wheel carries."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bitstation

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """A wheel built as a release builds it, from what is installed here: no network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


def test_it_carries_every_schema_as_it_stands_in_catalog(wheel: zipfile.ZipFile) -> None:
    schemas = list((ROOT / "catalog").glob("*.schema.json"))
    assert schemas
    for schema in schemas:
        assert wheel.read(f"bitstation/schemas/{schema.name}") == schema.read_bytes()


def test_it_carries_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "src"
    ours = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name for name in carried if not name.startswith("bitstation/schemas/")} == ours
    assert "bitstation/py.typed" in ours


def test_it_speaks_spanish(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.endswith(".mo") and "/es/" in name]


def test_its_metadata_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    folder = f"bitstation-{bitstation.__version__}.dist-info"
    about = wheel.read(f"{folder}/METADATA").decode()
    assert f"\nVersion: {bitstation.__version__}\n" in about
    assert "\nLicense-Expression: Apache-2.0\n" in about
    assert "sentence-transformers" not in about
    commands = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "bitstation = bitstation.cli.main:main" in commands


def test_a_worker_needs_six_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {line.partition(">")[0] for line in project["dependencies"]}
    assert needed == {
        *("backports.zstd", "msgspec", "platformdirs", "rich", "securesystemslib[crypto]", "tuf")
    }
