"""What is not packed, and that nothing is left behind then, wherever a run ends."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitstation import host
from bitstation.core.digest import digest_of
from bitstation.core.manifest import parse_manifest
from bitstation.core.scopes import TEMPORARY_SUFFIX
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    DiskFull,
    FileChanged,
    ManifestError,
    ReleaseConflict,
    StoreLocked,
    ToolFolderInvalid,
    UpdateCancelled,
    UsageError,
)
from bitstation.host import StatFacts
from bitstation.publisher import pack as packing
from bitstation.publisher.cache import locked, open_ledger
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.pack import Packing, PackOptions, plan_pack
from bitstation.publisher.package import PackageWriter
from bitstation.publisher.progress import silent
from bitstation.publisher.validate import check_tools
from bitstation.publisher.zip_writer import ZipWriter
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import Stop
from tests.engine.publisher_tools import FILES, MAKING, MOMENT, pack, write_tool

ZIP = "tool_sample_1.0.0.zip"
PAGES = {"frontend/index.html": b"<p>\n", "frontend/js/app.js": b"1\n"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return write_tool(tmp_path / "tools" / "sample", {**FILES, **PAGES}, has_frontend=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- refusals; nothing is left behind --------------------------------------------------------


def test_a_version_never_gets_other_content(tool: Path, out: Path) -> None:
    pack(out, tool)
    before = tree(out)
    (tool / "main.py").write_bytes(b"print('changed')\n")
    with pytest.raises(ReleaseConflict) as caught:
        pack(out, tool)
    assert caught.value.exit_code == 31
    assert tree(out) == before


def test_nor_when_only_the_catalogue_knows_it(tool: Path, out: Path) -> None:
    pack(out, tool)
    (out / "tool_sample_1.0.0.manifest.json").unlink()
    (tool / "main.py").write_bytes(b"print('changed')\n")
    with pytest.raises(ReleaseConflict):
        pack(out, tool)


def test_another_base_url_is_another_content(tool: Path, out: Path) -> None:
    pack(out, tool)
    with pytest.raises(ReleaseConflict):
        pack(out, tool, making=MakingOptions("https://example.org/", MOMENT))


def test_a_publication_inside_a_tool_is_refused(tool: Path) -> None:
    for out in (tool, tool / "dist", tool / "deep" / "er"):
        with pytest.raises(UsageError, match="it would be packed too"):
            pack(out, tool)


def test_faults_of_all_tools_are_named_and_nothing_is_packed(tool: Path, out: Path) -> None:
    broken = write_tool(tool.parent / "broken", tool_id="broken", entrypoint_windows="no.ps1")
    other = write_tool(tool.parent / "other", tool_id="other", platforms=[])
    with pytest.raises(ToolFolderInvalid) as caught:
        pack(out, tool, broken, other)
    assert len(caught.value.faults) == 2
    assert not out.exists()


@pytest.mark.parametrize("name", ["catalog.json", "tool_sample_1.0.0.manifest.json"])
def test_a_damaged_publication_is_not_written_over(tool: Path, out: Path, name: str) -> None:
    pack(out, tool)
    (out / name).write_bytes(b"{")
    with pytest.raises(ManifestError):
        pack(out, tool)


def test_a_file_that_changed_since_it_was_proved(tool: Path, out: Path) -> None:
    ledger = open_ledger()
    try:
        options = PackOptions(out)
        plans = plan_pack(check_tools([tool], ledger), options, MAKING)
        (tool / "models" / "m.bin").write_bytes(b"changed")
        with pytest.raises(FileChanged):
            Packing(options, ledger, silent).pack(plans)
    finally:
        ledger.close()
    assert names_in(out) == []


def test_where_no_stamps_tell_the_bytes_are_hashed_while_they_are_packed(
    tool: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ZipWriter.add_file

    def stampless(
        self: ZipWriter, name: str, file: Path, facts: Any, *args: Any, **more: Any
    ) -> None:
        original(self, name, file, facts._replace(change_ns=0), *args, **more)

    monkeypatch.setattr(ZipWriter, "add_file", stampless)
    monkeypatch.setattr("bitstation.host.stat_facts", _without_stamps(host.stat_facts))
    ledger = open_ledger()
    try:
        options = PackOptions(out)
        plans = plan_pack(check_tools([tool], ledger), options, MAKING)
        Packing(options, ledger, silent).pack(plans)
        path = tool / "models" / "m.bin"
        stamps, data = path.stat(), bytearray(path.read_bytes())
        data[5] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
        elsewhere = PackOptions(out.with_name("elsewhere"))
        with pytest.raises(FileChanged):
            Packing(elsewhere, ledger, silent).pack(plans)
    finally:
        ledger.close()


def _without_stamps(
    stat_facts: Callable[[Path | int], StatFacts],
) -> Callable[[Path | int], StatFacts]:
    return lambda path: stat_facts(path)._replace(change_ns=0)


def test_a_package_that_does_not_install_never_gets_its_name(
    tool: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PackageWriter.write_release

    def damaging(self: PackageWriter, *args: Any, **more: Any) -> object:
        asset = original(self, *args, **more)
        path = out / packing.WORK_NAME / asset.files[0].name
        data = bytearray(path.read_bytes())
        at = data.index(FILES["models/m.bin"][:100])
        data[at] ^= 1
        path.write_bytes(data)
        return asset

    monkeypatch.setattr(PackageWriter, "write_release", damaging)
    with pytest.raises(DigestMismatch):
        pack(out, tool)
    assert names_in(out) == []


def test_stopping_leaves_nothing(tool: Path, out: Path) -> None:
    stop = Stop()
    ledger = open_ledger()
    try:
        options = PackOptions(out)
        plans = plan_pack(check_tools([tool], ledger), options, MAKING)
        stop.set()
        with pytest.raises(UpdateCancelled):
            Packing(options, ledger, silent, stop=stop).pack(plans)
    finally:
        ledger.close()
    assert names_in(out) == []


def test_too_little_space_is_told_before_the_first_byte(
    tool: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "free_bytes", lambda _path: 1000)
    with pytest.raises(DiskFull) as caught:
        pack(out, tool)
    assert caught.value.exit_code == 50
    assert names_in(out) == []


def test_two_runs_do_not_pack_into_one_folder(tool: Path, out: Path) -> None:
    with locked(str(out.resolve())), pytest.raises(StoreLocked):
        pack(out, tool)


def test_what_a_killed_run_left_is_removed(tool: Path, out: Path) -> None:
    left = out / packing.WORK_NAME / "proof" / "sample"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    pack(out, tool)
    assert packing.WORK_NAME not in names_in(out)


class Dying(Disk):
    """A disk on which the n-th mutating call is the last."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died

    def write_file(self, path: Path, data: bytes, *, private: bool = False) -> None:
        self._count()
        super().write_file(path, data, private=private)

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        self._count()
        super().replace(source, target, below=below)

    def remove(self, path: Path, *, below: Path | None = None) -> None:
        self._count()
        super().remove(path, below=below)

    def remove_tree(self, path: Path) -> None:
        self._count()
        super().remove_tree(path)


class Died(BaseException):
    """The machine stopped."""


def test_a_run_that_dies_anywhere_leaves_whole_files_and_the_next_one_finishes(
    tool: Path, tmp_path: Path
) -> None:
    pack(tmp_path / "wanted", tool, max_asset_bytes=200_000)
    pack(tmp_path / "earlier", tool, max_asset_bytes=150_000)
    wanted, earlier = tree(tmp_path / "wanted"), tree(tmp_path / "earlier")
    # Wine takes a second for each.
    for calls in range(0, 100, 4 if sys.platform == "win32" else 1):
        out = tmp_path / f"dist{calls}"
        shutil.copytree(tmp_path / "earlier", out)
        ledger = open_ledger()
        try:
            options = PackOptions(out, 200_000)
            plans = plan_pack(check_tools([tool], ledger), options, MAKING)
            Packing(options, ledger, silent, disk=Dying(calls)).pack(plans)
        except Died:
            pass
        else:
            break
        finally:
            ledger.close()
        for name, data in _files(out).items():
            if not name.endswith(TEMPORARY_SUFFIX):
                assert data in (earlier.get(name), wanted.get(name)), (calls, name)
        pack(out, tool, max_asset_bytes=200_000)
        assert tree(out) == wanted
    assert calls > 8


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_manifest_and_package_agree_with_the_folder(tool: Path, out: Path) -> None:
    pack(out, tool)
    manifest = parse_manifest((out / "tool_sample_1.0.0.manifest.json").read_bytes())
    for entry in manifest.entries:
        assert digest_of((tool / entry.path).read_bytes()) == entry.sha256


def test_an_output_folder_that_cannot_be(tool: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BitStationError):
        pack(tmp_path / "file" / "dist", tool)
