"""What this machine's disk refuses: told before the first byte where it can be, typed always."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.core.events import Event, RunFinished
from bitstation.errors import (
    DiskFull,
    FileInUse,
    PermissionRefused,
    StoreError,
    VolumeUnfit,
)
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk
from bitstation.testing.invariants import Invariants, check_settled, wrong_files
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker import fit
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FIRST = make_release({"main.py": b"1", "model": MODEL}, "1.0.0")
SECOND = make_release({"main.py": b"2", "model": MODEL, "new": MODEL[1:]}, "1.1.0")


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    updater.update(MemorySource(FIRST))
    return updater


def free(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    monkeypatch.setattr(fit, "free_bytes", lambda _path: size_bytes)


def is_refused(updater: DeltaUpdater, source: MemorySource, kind: type[BitStationError]) -> str:
    """The update fails in this way, before a byte was asked for; what it says."""
    invariants = Invariants(updater.root.path)
    with pytest.raises(kind) as failure:
        updater.update(source)
    assert source.asked == []
    invariants.check(TOOL_ID, FIRST.manifest, absent=updater.tree.current_version() is None)
    return str(failure.value)


# --- space -------------------------------------------------------------------------------------


def test_too_little_space_is_told_in_numbers_before_the_first_byte(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1_000_000)
    words = is_refused(installed, MemorySource(SECOND), DiskFull)
    assert "1000000 free" in words
    assert not installed.tree.staging_area.exists()


def test_only_what_really_changes_needs_space(
    make_updater: MakeUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_updater().update(MemorySource(FIRST))
    free(monkeypatch, fit._MARGIN_BYTES + len(MODEL))
    make_updater().update(MemorySource(SECOND))


def test_a_release_that_no_disk_can_hold_is_refused(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitstation.core.canonical import pretty_bytes
    from bitstation.core.manifest import manifest_hash_of

    document = dict(FIRST.manifest.document)
    rows = [{**row, "size": 2**53 - 1} for row in document["files"]]  # type: ignore[union-attr]
    document["files"] = rows  # type: ignore[assignment]
    document["manifest_hash"] = manifest_hash_of(document)
    source = MemorySource(FIRST)
    source.offer_bytes(TOOL_ID, "1.0.0", pretty_bytes(document))
    is_refused(updater, source, DiskFull)
    assert not updater.tree.path.exists()


def test_what_is_staged_already_needs_no_space_again(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemorySource(SECOND)
    source.drop(next(key for key, data in source._blobs.items() if data == b"2"))
    with monkeypatch.context() as patched:
        patched.setattr(source, "concurrency", 1)
        with pytest.raises(BitStationError):
            installed.update(source)
    free(monkeypatch, fit._MARGIN_BYTES + len(MODEL))
    installed.update(MemorySource(SECOND))


def test_staging_of_another_release_is_given_up_for_space(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemorySource(SECOND)
    source.drop(next(key for key, data in source._blobs.items() if data == MODEL[1:]))
    with pytest.raises(BitStationError):
        installed.update(source)
    assert installed.tree.staging_area.exists()
    seen: list[bool] = []

    def measure(_path: Path) -> int:
        seen.append(installed.tree.staging_area.exists())
        return 2**40

    monkeypatch.setattr(fit, "free_bytes", measure)
    installed.update(MemorySource(make_release({"x": b"x"}, "1.2.0")))
    assert seen == [False]


def test_space_that_runs_out_midway_keeps_what_is_done(make_updater: MakeUpdater) -> None:
    make_updater().update(MemorySource(FIRST))
    told: list[Event] = []
    full = FaultyDisk(fail_at=45, error=lambda: OSError(errno.ENOSPC, "full"), fails_on=True)
    with pytest.raises(DiskFull) as failure:
        make_updater(disk=full, listeners=(told.append,)).update(MemorySource(SECOND))

    assert (failure.value.exit_code, failure.value.retryable) == (50, True)
    ends = [event for event in told if isinstance(event, RunFinished)]
    assert [(event.outcome, event.activated) for event in ends] == [("disk-full", False)]
    Invariants(make_updater().root.path).check(TOOL_ID, FIRST.manifest)
    make_updater().update(MemorySource(SECOND))
    check_settled(make_updater().tree)


# --- paths -------------------------------------------------------------------------------------


def test_a_path_that_is_too_long_here_is_refused_before_the_first_byte(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.host, "path_limit", lambda _folder: (len(str(updater.tree.path)), 255))
    is_refused(updater, MemorySource(FIRST), VolumeUnfit)


def test_a_name_that_is_too_long_here_is_refused_before_the_first_byte(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.host, "path_limit", lambda _folder: (4096, 6))
    words = is_refused(updater, MemorySource(FIRST), VolumeUnfit)
    assert "main.py" in words


def test_the_longest_paths_of_a_release_install(updater: DeltaUpdater) -> None:
    """On Windows far beyond its 260 characters."""
    deep = "/".join(["d" * 30] * 20) + "/file.txt"
    wide = "n" * 120 + ".txt"
    release = make_release({deep: b"deep", wide: b"wide"})

    updater.update(MemorySource(release))

    assert wrong_files(updater.tree.release("1.0.0"), release.manifest) == []
    updater.uninstall()
    assert not updater.tree.path.exists()


def test_names_of_every_script_install(updater: DeltaUpdater) -> None:
    names = {"año/ñandú.py": b"1", "模型/权重.bin": b"2", "Ωμέγα.txt": b"3", "😀.txt": b"4"}
    release = make_release(names)
    updater.update(MemorySource(release))
    assert wrong_files(updater.tree.release("1.0.0"), release.manifest) == []


# --- rights ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="not as root")
def test_a_read_only_root_is_a_permission_that_lacks(installed: DeltaUpdater) -> None:
    folders = [path for path in installed.root.path.rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with pytest.raises(PermissionRefused):
            installed.update(MemorySource(SECOND))
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_volume_that_refuses_every_write_is_told_as_such(
    make_updater: MakeUpdater, number: int
) -> None:
    make_updater().update(MemorySource(FIRST))
    disk = FaultyDisk(fail_at=1, error=lambda: OSError(number, os.strerror(number)), fails_on=True)
    with pytest.raises(PermissionRefused) as failure:
        make_updater(disk=disk).update(MemorySource(SECOND))
    assert failure.value.exit_code == 51
    Invariants(make_updater().root.path).check(TOOL_ID, FIRST.manifest)


def test_a_file_in_place_of_a_folder_of_ours_is_told(updater: DeltaUpdater) -> None:
    updater.root.path.mkdir()
    updater.tree.path.write_bytes(b"a file")
    with pytest.raises(StoreError):
        updater.update(MemorySource(FIRST))
    assert updater.tree.path.read_bytes() == b"a file"


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_files_are_made_as_the_user_wants_them(updater: DeltaUpdater) -> None:
    before = os.umask(0o027)
    try:
        release = make_release({"run.sh": b"#!", "a.txt": b"a"}, executables=["run.sh"])
        updater.update(MemorySource(release))
    finally:
        os.umask(before)
    modes = {
        path: stat.S_IMODE((updater.tree.release("1.0.0") / path).stat().st_mode)
        for path in release.files
    }
    assert modes == {"run.sh": 0o750, "a.txt": 0o640}


# --- files in use --------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: open files are locked")
def test_an_open_file_of_the_old_release_does_not_hinder_an_update(
    installed: DeltaUpdater,
) -> None:
    with (installed.tree.release("1.0.0") / "main.py").open("rb"):
        installed.update(MemorySource(SECOND))
        third = make_release({"x": b"x"}, "1.2.0")
        installed.update(MemorySource(third))
        assert installed.tree.current_version() == "1.2.0"
    installed.gc()
    check_settled(installed.tree)
    assert installed.tree.kept_versions() == ["1.2.0", "1.1.0"]


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: open files are locked")
def test_an_open_file_that_must_be_mended_is_told_to_be_in_use(installed: DeltaUpdater) -> None:
    path = installed.tree.release("1.0.0") / "main.py"
    path.write_bytes(b"?")
    with path.open("rb"), pytest.raises((FileInUse, PermissionRefused)):
        installed.repair(MemorySource(FIRST))
    installed.repair(MemorySource(FIRST))
    assert wrong_files(path.parent, FIRST.manifest) == []


@pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: open files are locked")
def test_what_is_in_use_is_not_uninstalled_and_that_is_told(installed: DeltaUpdater) -> None:
    path = installed.tree.release("1.0.0") / "main.py"
    with path.open("rb"), pytest.raises((FileInUse, PermissionRefused)):
        installed.uninstall()
    installed.uninstall()
    assert not installed.tree.path.exists()


class NoFolderRename(QuickDisk):
    """Windows while a program looks into our folders: only their files can be renamed."""

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source.is_dir():
            raise PermissionError(errno.EACCES, "in use")
        super().replace(source, target, below=below)


def test_a_folder_that_cannot_be_renamed_is_moved_file_by_file(make_updater: MakeUpdater) -> None:
    make_updater().update(MemorySource(FIRST))
    make_updater(disk=NoFolderRename()).update(MemorySource(SECOND))

    assert make_updater().tree.current_version() == "1.1.0"
    assert wrong_files(make_updater().tree.release("1.1.0"), SECOND.manifest) == []
    assert make_updater().verify().by_hash == 0, "the proofs moved along"
    check_settled(make_updater().tree)


def test_a_release_that_cannot_be_moved_away_stays_until_it_can(
    make_updater: MakeUpdater,
) -> None:
    make_updater().update(MemorySource(FIRST))
    make_updater().update(MemorySource(SECOND))
    third = make_release({"x": b"x"}, "1.2.0")

    make_updater(disk=NoFolderRename()).update(MemorySource(third))

    assert make_updater().tree.kept_versions() == ["1.2.0", "1.1.0", "1.0.0"]
    assert wrong_files(make_updater().tree.release("1.0.0"), FIRST.manifest) == []
    with pytest.raises(PermissionRefused):
        make_updater(disk=NoFolderRename()).gc()
    make_updater().gc()
    assert make_updater().tree.kept_versions() == ["1.2.0", "1.1.0"]
