"""What users leave in a release folder is carried along, set aside or asked about, never lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, UpdateStats
from bitstation.core.events import Event, FilesCarried, ReleaseRetired, RetireDeferred
from bitstation.storage.tree import files_below
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release, make_release
from bitstation.worker.run import Options
from tests.engine.conftest import MakeUpdater

GLOBS = ["*.local", "kept/**", "__pycache__/**", "*.pyc", ".env"]


def release(number: int, policy: str = "safe", **files: bytes) -> Release:
    listed = {"main.py": b"%d" % number, **files}
    return make_release(listed, f"1.{number}.0", delete_policy=policy, ignore_globs=GLOBS)


def leave(updater: DeltaUpdater, path: str, data: bytes = b"mine") -> Path:
    """Put a file into the active release, as a user does."""
    target = updater.tree.release(updater.tree.current_version() or "") / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def install(updater: DeltaUpdater, *numbers: int, policy: str = "safe") -> UpdateStats:
    for number in numbers:
        stats = updater.update(MemorySource(release(number, policy)))
    return stats


def in_current(updater: DeltaUpdater) -> set[str]:
    folder = updater.tree.release(updater.tree.current_version() or "")
    return set(files_below(folder)) - {"manifest.json", "main.py"}


def aside(updater: DeltaUpdater, version: str = "1.0.0") -> set[str]:
    return set(files_below(updater.tree.user_data / f"from-v{version}"))


def test_what_ignore_globs_name_is_carried_into_every_new_release(updater: DeltaUpdater) -> None:
    install(updater, 0)
    leave(updater, "settings.local")
    leave(updater, "kept/deep/file.bin")

    stats = install(updater, 1)
    assert stats.files_carried == 2
    install(updater, 2, 3)

    assert in_current(updater) == {"settings.local", "kept/deep/file.bin"}
    assert aside(updater) == set()


def test_what_is_carried_keeps_its_time_and_mode(updater: DeltaUpdater) -> None:
    install(updater, 0)
    path = leave(updater, "kept/tool.sh")
    path.chmod(0o755)
    os.utime(path, (1_000_000, 1_000_000))

    install(updater, 1)

    carried = updater.tree.release("1.1.0") / "kept/tool.sh"
    assert carried.stat().st_mtime == 1_000_000
    assert sys.platform == "win32" or carried.stat().st_mode & 0o777 == 0o755


def test_other_files_stay_with_their_release_and_are_set_aside_with_it(
    updater: DeltaUpdater,
) -> None:
    install(updater, 0)
    leave(updater, "notes/a.txt")
    install(updater, 1)
    assert in_current(updater) == set(), "residues never enter a new release"
    assert (updater.tree.release("1.0.0") / "notes/a.txt").exists()

    stats = install(updater, 2)

    assert stats.files_set_aside == 1
    assert aside(updater) == {"notes/a.txt"}
    assert not updater.tree.release("1.0.0").exists()


def test_nothing_that_was_set_aside_before_is_overwritten(updater: DeltaUpdater) -> None:
    (updater.tree.user_data / "from-v1.0.0").mkdir(parents=True)
    (updater.tree.user_data / "from-v1.0.0/a.txt").write_bytes(b"earlier")
    install(updater, 0)
    leave(updater, "a.txt", b"later")

    install(updater, 1, 2)

    folder = updater.tree.user_data / "from-v1.0.0"
    assert (folder / "a.txt").read_bytes() == b"earlier"
    assert (folder / "a-1.txt").read_bytes() == b"later"


def test_aggressive_deletes_them_and_says_so(make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    updater = make_updater(listeners=(told.append,))
    install(updater, 0, policy="aggressive")
    leave(updater, "notes.txt")
    install(updater, 1, 2, policy="aggressive")

    retired = [event for event in told if isinstance(event, ReleaseRetired)]
    assert [(event.version, event.destroyed, event.set_aside) for event in retired] == [
        ("1.0.0", 1, 0)
    ]
    assert aside(updater) == set()


def test_manual_asks_and_waits_for_the_answer(make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    updater = make_updater(listeners=(told.append,))
    install(updater, 0, policy="manual")
    kept = leave(updater, "notes.txt")
    install(updater, 1, 2, policy="manual")

    deferred = [event for event in told if isinstance(event, RetireDeferred)]
    assert [(event.version, event.why, event.files) for event in deferred] == [
        ("1.0.0", "asked", 1)
    ]
    assert kept.exists()

    install(make_updater(options=Options(allow_unsigned=True, yes=True)), 3, policy="manual")
    assert not kept.exists()


def test_an_unknown_policy_is_safe(updater: DeltaUpdater) -> None:
    install(updater, 0, policy="burn-it-all")
    leave(updater, "notes.txt")
    install(updater, 1, 2)
    assert aside(updater) == {"notes.txt"}


@pytest.mark.parametrize("globs", [["**"], [""], ["*"], ["**/*", ""]])
def test_no_pattern_widens_what_is_deleted(updater: DeltaUpdater, globs: list[str]) -> None:
    def made(number: int) -> Release:
        return make_release({"main.py": b"%d" % number}, f"1.{number}.0", ignore_globs=list(globs))

    updater.update(MemorySource(made(0)))
    leave(updater, "notes.txt")
    for number in (1, 2):
        updater.update(MemorySource(made(number)))

    found = in_current(updater) | aside(updater)
    assert found == {"notes.txt"}


def test_a_file_that_a_new_release_brings_itself_wins_and_mine_is_set_aside(
    updater: DeltaUpdater,
) -> None:
    install(updater, 0)
    leave(updater, "options.local", b"mine")
    ships = release(1, **{"options.local": b"theirs"})

    updater.update(MemorySource(ships))
    assert (updater.tree.release("1.1.0") / "options.local").read_bytes() == b"theirs"
    install(updater, 2)

    assert (updater.tree.user_data / "from-v1.0.0/options.local").read_bytes() == b"mine"


def test_a_file_that_stands_in_the_way_of_a_carried_folder_is_no_error(
    updater: DeltaUpdater,
) -> None:
    install(updater, 0)
    leave(updater, "kept/mine.txt")

    updater.update(MemorySource(release(1, kept=b"a file of that name")))
    install(updater, 2)

    assert aside(updater) == {"kept/mine.txt"}


def test_carried_files_go_back_with_a_rollback_and_forth_again(updater: DeltaUpdater) -> None:
    install(updater, 0, 1)
    leave(updater, "a.local", b"made in 1.1.0")

    updater.rollback()
    assert in_current(updater) == {"a.local"}
    path = leave(updater, "a.local", b"changed in 1.0.0")
    os.utime(path, (4e9, 4e9))
    install(updater, 1)

    assert (updater.tree.release("1.1.0") / "a.local").read_bytes() == b"changed in 1.0.0"


def test_byte_code_is_not_set_aside(updater: DeltaUpdater) -> None:
    install(updater, 0)
    leave(updater, "__pycache__/main.cpython-311.pyc")
    leave(updater, "lib/__pycache__/x.cpython-311.pyc")
    updater.uninstall()
    assert not updater.tree.path.exists()


def test_an_uninstall_loses_no_file_of_a_user(updater: DeltaUpdater) -> None:
    install(updater, 0, policy="manual")
    leave(updater, "notes.txt")
    leave(updater, "settings.local")
    leave(updater, ".env", b"SECRET=1")

    updater.uninstall()

    assert aside(updater) == {"notes.txt", "settings.local", ".env"}
    assert not updater.tree.releases.exists()


def test_folders_among_the_releases_that_are_not_ours_stay(updater: DeltaUpdater) -> None:
    install(updater, 0)
    for name in ("backup", "v1.0.0.old", "latest"):
        (updater.tree.releases / name).mkdir()
        (updater.tree.releases / name / "file").write_bytes(b"not ours")

    install(updater, 1, 2)
    updater.gc()

    for name in ("backup", "v1.0.0.old", "latest"):
        assert (updater.tree.releases / name / "file").read_bytes() == b"not ours"


def test_a_release_that_lost_its_manifest_is_put_away_whole(updater: DeltaUpdater) -> None:
    install(updater, 0, 1)
    leave_in = updater.tree.release("1.0.0")
    (leave_in / "notes.txt").write_bytes(b"mine")
    (leave_in / "manifest.json").unlink()

    updater.gc()

    assert aside(updater) == {"main.py", "notes.txt"}
    assert not leave_in.exists()


def test_the_event_says_how_much_was_carried(make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    updater = make_updater(listeners=(told.append,))
    install(updater, 0)
    leave(updater, "a.local", b"12345")
    install(updater, 1)
    carried = [event for event in told if isinstance(event, FilesCarried)]
    assert [(event.files, event.size_bytes) for event in carried] == [(1, 5)]


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_links_move_along_as_links(updater: DeltaUpdater, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"outside")
    install(updater, 0)
    folder = updater.tree.release("1.0.0")
    (folder / "data.local").symlink_to(outside)
    (folder / "other").symlink_to(outside)

    install(updater, 1, 2)

    assert (updater.tree.release("1.2.0") / "data.local").readlink() == outside
    assert (updater.tree.user_data / "from-v1.0.0/other").readlink() == outside
    assert [path.name for path in outside.iterdir()] == ["file"]
