"""``--dry-run``: tells what would be done, and does nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation.testing.invariants import Seen, look_at
from bitstation.testing.releases import TOOL_ID, Release
from tests.cli.conftest import NEW, OLD, Bitstation, Shelf

# The lock's moment, the ledger of proofs: nobody's data, and written by who only looks as well.
BOOKKEEPING = ("lock", "ledger", "clock")


def seen(folder: Path) -> Seen:
    """Everything below a folder but for the engine's bookkeeping."""
    return {
        path: facts
        for path, facts in look_at(folder).items()
        if not (".bitstation" in Path(path).parts and Path(path).name.startswith(BOOKKEEPING))
    }


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["words", "json"])
def test_an_update_is_only_planned(
    bitstation: Bitstation, shelf: Shelf, root: Path, json: list[str]
):
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    before = seen(root)
    ended = bitstation("update", TOOL_ID, "--from", shelf(NEW), "--dry-run", *json)
    assert ended.code == 0
    assert seen(root) == before
    if json:
        plan = ended.object
        assert (plan["from_version"], plan["to_version"]) == ("1.0.0", "1.1.0")
        assert (plan["download_files"], plan["unchanged_files"]) == (2, 1)
        assert (plan["download_bytes"], plan["reuse_bytes"]) == (7, 4)
        assert plan["deleted"] == ["gone.txt"]
    else:
        assert "v1.0.0 -> v1.1.0" in ended.out


def test_a_first_install_is_only_planned(bitstation: Bitstation, shelf: Shelf, root: Path):
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD), "--dry-run", "--json")
    assert ended.object["from_version"] is None
    assert not (root / TOOL_ID).exists()
    assert bitstation("status").out.startswith("Nothing is installed")


def test_plans_for_all_installed_tools_are_one_object(
    bitstation: Bitstation, installed: Release, shelf: Shelf, root: Path
):
    before = seen(root)
    [plan] = bitstation("update", "--from", shelf(NEW), "--dry-run", "--json").object["tools"]
    assert plan["download_files"] == 0
    assert seen(root) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rollback", TOOL_ID], "v1.1.0 -> v1.0.0"),
        (["rollback", TOOL_ID, "--to", "1.0.0"], "v1.1.0 -> v1.0.0"),
        (["gc"], "nothing to remove"),
        (["uninstall", TOOL_ID], "v1.1.0, v1.0.0"),
        (["uninstall", TOOL_ID, "--yes"], "v1.1.0, v1.0.0"),
        (["repair", TOOL_ID], "Would mend: 0 files"),
        (["repair", TOOL_ID, "--deep"], "Would mend: 0 files"),
    ],
)
def test_nothing_installed_is_touched(
    bitstation: Bitstation, installed: Release, root: Path, words: list[str], told: str
):
    before = seen(root)
    ended = bitstation(*words, "--dry-run")
    assert ended.code == 0
    assert told in ended.out
    assert seen(root) == before


def test_damage_is_only_shown(bitstation: Bitstation, installed: Release, root: Path):
    (root / TOOL_ID / "releases/v1.1.0/a.txt").write_bytes(b"damaged")
    before = seen(root)
    ended = bitstation("repair", TOOL_ID, "--dry-run", "--json")
    assert ended.object == {"tool_id": TOOL_ID, "damaged": ["a.txt"]}
    assert seen(root) == before


def test_garbage_is_only_shown(bitstation: Bitstation, installed: Release, root: Path):
    staging = root / TOOL_ID / "releases/.staging/v9.9.9"
    staging.mkdir(parents=True)
    (staging / "half").write_bytes(b"half a file")
    before = seen(root)
    assert bitstation("gc", "--dry-run", "--json").object["tools"] == {TOOL_ID: [".staging"]}
    assert seen(root) == before
    assert bitstation("gc").code == 0
    assert not staging.exists()


def test_a_publisher_writes_nothing(bitstation: Bitstation, tool_folder: Path, tmp_path: Path):
    before = look_at(tmp_path / "tools")
    told = bitstation("manifest", tool_folder, "--dry-run", "--json").object["manifests"]
    assert told[0]["written"] is False
    dist = tmp_path / "dist"
    told = bitstation("pack", tool_folder, "--out", dist, "--dry-run", "--json").object["planned"]
    assert told[0]["tool_id"] == TOOL_ID
    assert not dist.exists()
    assert look_at(tmp_path / "tools") == before
    assert bitstation("manifest", tool_folder, "--json").object["manifests"][0]["written"] is True
