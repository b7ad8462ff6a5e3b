"""A link planted in our folders leads nowhere: nothing outside of a tool is written or removed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.errors import BitStationError, StoreError
from bitstation.testing.invariants import look_at, wrong_files
from bitstation.testing.memory_source import MemorySource, unreachable
from bitstation.testing.releases import make_release

FILES = {"main.py": b"1", "lib/x.py": b"x", "lib/deep/y.py": b"y"}
FIRST = make_release(FILES, "1.0.0")
SECOND = make_release(FILES | {"main.py": b"2"}, "1.1.0")


def make_link(link: Path, target: Path) -> None:
    """A symlink; on Windows what needs no right, a junction."""
    if sys.platform != "win32":
        link.symlink_to(target)
        return
    import _winapi

    try:
        _winapi.CreateJunction(str(target), str(link))
    except OSError:
        pytest.skip("not under Wine: it makes no junctions")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that looks like what it is linked in place of."""
    folder = tmp_path / "outside"
    for path, data in (FILES | {"manifest.json": FIRST.manifest.encode()}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    updater.update(MemorySource(FIRST))
    return updater


def into(folder: Path, outside: Path) -> None:
    """Put a link to ``outside`` in place of a folder, whose content moves there."""
    if folder.exists():
        folder.rename(folder.with_name(folder.name + "-moved"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_link(folder, outside)


@pytest.mark.parametrize(
    "place", [".bitstation", "releases", "releases/.staging", "releases/v1.0.0", "releases/v1.1.0"]
)
def test_control_and_release_folders_that_are_links_are_refused(
    installed: DeltaUpdater, outside: Path, place: str
) -> None:
    into(installed.tree.path / place, outside)
    before = look_at(outside)

    for act in (
        lambda: installed.update(MemorySource(SECOND)),
        installed.rollback,
        installed.verify,
        installed.gc,
        installed.uninstall,
        lambda: installed.repair(MemorySource(FIRST)),
    ):
        with pytest.raises(BitStationError) as failure:
            act()
        assert "link" in str(failure.value)

    assert look_at(outside) == before


def test_the_ledgers_folder_may_not_be_a_link(installed: DeltaUpdater, outside: Path) -> None:
    into(installed.root.control, outside)
    before = look_at(outside)
    with pytest.raises(StoreError):
        installed.update(MemorySource(SECOND))
    assert look_at(outside) == before


def test_a_linked_folder_in_a_release_is_not_part_of_it_and_is_mended(
    installed: DeltaUpdater, outside: Path
) -> None:
    folder = installed.tree.release("1.0.0")
    into(folder / "lib", outside / "lib")
    before = look_at(outside)
    required = ("1.0.0", FIRST.manifest.manifest_hash)

    assert installed.get_network_eligibility(*required) == Eligibility.OUTDATED
    assert len(installed.verify().damaged) == 2
    installed.repair(MemorySource(FIRST))

    assert look_at(outside) == before
    assert (folder / "lib").is_dir()
    assert not (folder / "lib").samefile(outside / "lib")
    assert installed.get_network_eligibility(*required) == Eligibility.ELIGIBLE


def test_files_behind_a_link_are_not_reused(installed: DeltaUpdater, outside: Path) -> None:
    into(installed.tree.release("1.0.0") / "lib", outside / "lib")
    source = MemorySource(SECOND)

    installed.update(source)

    assert len(source.fetched) == 3
    assert wrong_files(installed.tree.release("1.1.0"), SECOND.manifest) == []


def test_a_link_in_a_retired_release_is_removed_and_not_followed(
    installed: DeltaUpdater, outside: Path
) -> None:
    into(installed.tree.release("1.0.0") / "lib", outside / "lib")
    make_link(installed.tree.release("1.0.0") / "__pycache__", outside)
    before = look_at(outside)

    for number in (1, 2):
        release = make_release({"main.py": b"%d" % number}, f"1.{number}.0")
        installed.update(MemorySource(release))

    assert look_at(outside) == before
    assert not installed.tree.release("1.0.0").exists()


def test_a_link_planted_in_staging_is_not_written_through(
    installed: DeltaUpdater, outside: Path
) -> None:
    source = MemorySource(make_release(FILES | {"main.py": b"2", "lib/x.py": b"X"}, "1.1.0"))
    digest = source._offers and next(key for key, data in source._blobs.items() if data == b"2")
    source.fail(digest, *[unreachable()] * 9)
    with pytest.raises(BitStationError):
        installed.update(source)
    staging = installed.tree.staging("1.1.0")
    for path in sorted((staging / "lib").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (staging / "lib").rmdir()
    make_link(staging / "lib", outside / "lib")
    before = look_at(outside)

    source._failures.clear()
    installed.update(source)

    assert look_at(outside) == before
    assert (installed.tree.release("1.1.0") / "lib/x.py").read_bytes() == b"X"


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_a_file_that_is_a_link_is_damage_and_its_target_stays(
    installed: DeltaUpdater, outside: Path
) -> None:
    path = installed.tree.release("1.0.0") / "main.py"
    path.unlink()
    path.symlink_to(outside / "main.py")

    assert [entry.path for entry in installed.verify().damaged] == ["main.py"]
    installed.repair(MemorySource(FIRST))

    assert not path.is_symlink()
    assert (outside / "main.py").read_bytes() == b"1"


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_a_pointer_that_is_a_link_is_replaced_and_its_target_stays(
    installed: DeltaUpdater, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"v1.0.0")
    installed.tree.pointer.unlink()
    installed.tree.pointer.symlink_to(target)

    installed.update(MemorySource(SECOND))

    assert target.read_bytes() == b"v1.0.0"
    assert not installed.tree.pointer.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
@pytest.mark.parametrize("name", ["journal", "plan.json", "history.jsonl", "lock"])
def test_control_files_are_not_written_through_links(
    installed: DeltaUpdater, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"not ours")
    link = installed.tree.control / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)

    try:
        installed.update(MemorySource(SECOND))
    except BitStationError:
        assert name == "lock"

    assert target.read_bytes() == b"not ours"
