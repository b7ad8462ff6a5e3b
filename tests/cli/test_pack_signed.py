"""Packages with signatures beside them: from the keys to a worker that takes only those."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bitstation.cli.main import main
from bitstation.testing.releases import TOOL_ID
from tests.cli.conftest import Bitstation

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def keys(tmp_path: Path, bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    assert bitstation("keys", "init", "--keys", tmp_path / "keys").code == 0
    return tmp_path / "keys"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def zip_of(dist: Path, version: str) -> Path:
    return dist / f"tool_{TOOL_ID}_{version}.zip"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def change(tool_folder: Path, version: str) -> None:
    facts = json.loads((tool_folder / "tool.json").read_bytes())
    (tool_folder / "tool.json").write_bytes(json.dumps({**facts, "version": version}).encode())
    (tool_folder / "runner" / "run.ps1").write_bytes(f"exit 0 # {version}\n".encode())


def update(package: Path) -> int:
    """The command as it is: the fixture would let unsigned ones through."""
    return main(["update", TOOL_ID, "--from-zip", str(package), "-q"])


def current(root: Path) -> str:
    return (root / TOOL_ID / "current.txt").read_text("utf-8").strip()


def test_from_keys_to_a_worker_that_takes_only_what_they_signed(
    bitstation: Bitstation, tool_folder: Path, keys: Path, dist: Path, root: Path
) -> None:
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", keys).code == 0
    assert bitstation("join", dist, "--yes").code == 0
    assert update(zip_of(dist, "2.0.0")) == 0
    # What is packed later is signed beside what was signed before.
    change(tool_folder, "2.1.0")
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", keys).code == 0
    assert update(zip_of(dist, "2.1.0")) == 0
    assert current(root) == "v2.1.0"
    # A package alone, and its parts, are as good as what lies beside them.
    (root / "again").mkdir()
    assert main(["join", str(zip_of(dist, "2.0.0")), "--yes", "--root", str(root / "again")]) == 0
    words = ["update", TOOL_ID, "--from-zip", str(zip_of(dist, "2.0.0")), "-q"]
    assert main([*words, "--root", str(root / "again")]) == 0


def test_a_package_that_was_tampered_with_is_refused(
    bitstation: Bitstation, tool_folder: Path, keys: Path, dist: Path, root: Path, tmp_path: Path
) -> None:
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", keys).code == 0
    assert bitstation("join", dist, "--yes").code == 0
    assert update(zip_of(dist, "2.0.0")) == 0
    # Another content under a version that nobody signed, and under one that is signed.
    for version in ("2.1.0", "2.0.0"):
        change(tool_folder, version)
        (tool_folder / "runner" / "run.ps1").write_bytes(b"exit 66\n")
        forged = tmp_path / f"forged-{version}"
        assert bitstation("pack", tool_folder, "--out", forged).code == 0
        shutil.copytree(dist / "metadata", forged / "metadata")
        assert update(zip_of(forged, version)) == 31
        assert current(root) == "v2.0.0"


def test_a_changed_byte_in_a_signed_package_is_refused(
    bitstation: Bitstation, tool_folder: Path, keys: Path, dist: Path, root: Path
) -> None:
    (tool_folder / "model.safetensors").write_bytes(b"w" * 4096)
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", keys).code == 0
    assert bitstation("join", dist, "--yes").code == 0
    package = zip_of(dist, "2.0.0")
    data = package.read_bytes()
    assert data.count(b"w" * 4096) == 1
    package.write_bytes(data.replace(b"w" * 4096, b"w" * 4095 + b"x"))
    assert update(package) == 30
    assert not (root / TOOL_ID / "current.txt").exists()


def test_a_signed_release_does_not_become_another_one(
    bitstation: Bitstation, tool_folder: Path, keys: Path, dist: Path
) -> None:
    words = ("pack", tool_folder, "--out", dist, "--keys", keys, "--created-at")
    assert bitstation(*words, "2026-01-01T00:00:00Z").code == 0
    package, metadata = zip_of(dist, "2.0.0").read_bytes(), names_in(dist / "metadata")
    # The same files at another time are another manifest, byte for byte: refused before packing.
    assert bitstation(*words, "2026-02-02T00:00:00Z").code == 31
    assert zip_of(dist, "2.0.0").read_bytes() == package
    assert bitstation(*words, "2026-01-01T00:00:00Z").code == 0
    assert names_in(dist / "metadata") == metadata
    assert update_joined(bitstation, dist) == 0
    # And where the packages are gone, what is signed still stands.
    for path in dist.iterdir():
        if path.is_file():
            path.unlink()
    (tool_folder / "runner" / "run.ps1").write_bytes(b"exit 66\n")
    assert bitstation(*words, "2026-01-01T00:00:00Z").code == 31
    assert not zip_of(dist, "2.0.0").exists()


def update_joined(bitstation: Bitstation, dist: Path) -> int:
    assert bitstation("join", dist, "--yes").code == 0
    return update(zip_of(dist, "2.0.0"))


def test_nothing_is_packed_that_no_key_here_may_sign(
    bitstation: Bitstation,
    tool_folder: Path,
    tmp_path: Path,
    dist: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = tmp_path / "none"
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", none).code == 31
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    other = ("keys", "init", "--tools", "other-*", "--keys", tmp_path / "other")
    assert bitstation(*other).code == 0
    assert bitstation("pack", tool_folder, "--out", dist, "--keys", tmp_path / "other").code == 31
    assert not zip_of(dist, "2.0.0").exists()
