"""An unchanged content costs nothing, wherever on this machine it lies, whatever its name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.volumes import NoClone, NoLinks
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FIRST = make_release({"models/a.gguf": MODEL, "main.py": b"1", "run.sh": b"go"}, "1.0.0")


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def test_a_moved_and_a_renamed_file_are_not_fetched(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(FIRST))
    moved = make_release({"weights/b.gguf": MODEL, "src/main.py": b"1", "run.sh": b"go"}, "1.1.0")
    source = MemorySource(moved)

    stats = updater.update(source)

    assert (source.asked, stats.bytes_downloaded, stats.files_downloaded) == ([], 0, 0)
    assert (stats.files_unchanged, stats.files_deleted) == (3, 2)
    folder = updater.tree.release("1.1.0")
    assert {path: (folder / path).read_bytes() for path in moved.files} == moved.files


def test_swapped_files_and_duplicates_are_not_fetched(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(make_release({"a": b"1", "b": b"2"}, "1.0.0")))
    swapped = make_release({"a": b"2", "b": b"1", **{f"c{n}": b"1" for n in range(10)}}, "1.1.0")
    source = MemorySource(swapped)

    updater.update(source)

    assert source.asked == []
    assert (updater.tree.release("1.1.0") / "c9").read_bytes() == b"1"


def test_one_content_under_ten_names_is_fetched_once(updater: DeltaUpdater) -> None:
    release = make_release({f"c{n}": MODEL for n in range(10)})
    source = MemorySource(release, concurrency=4)

    stats = updater.update(source)

    assert stats.bytes_downloaded == len(MODEL)
    assert len(source.fetched) == 1
    assert (stats.files_downloaded, stats.files_unchanged) == (1, 9)


def test_a_file_becomes_a_folder_and_back(updater: DeltaUpdater) -> None:
    file, folder = {"x": b"file"}, {"x/y": b"below", "x/z": b"file"}
    for number, files in enumerate((file, folder, file)):
        updater.update(MemorySource(make_release(files, f"1.{number}.0")))
    assert (updater.tree.release("1.2.0") / "x").read_bytes() == b"file"


def test_what_another_tool_has_is_not_fetched(make_updater: MakeUpdater) -> None:
    make_updater(disk=NoClone()).update(MemorySource(FIRST))
    other = make_release({"weights.gguf": MODEL}, "7.0.0", tool_id="other-tool")
    source = MemorySource(other)

    make_updater("other-tool", disk=NoClone()).update(source)

    assert source.asked == []
    theirs = make_updater("other-tool").tree.release("7.0.0") / "weights.gguf"
    ours = make_updater().tree.release("1.0.0") / "models/a.gguf"
    assert identity(theirs) == identity(ours)


def test_large_files_are_linked_and_read_only_small_ones_are_copied(
    make_updater: MakeUpdater,
) -> None:
    make_updater(disk=NoClone()).update(MemorySource(FIRST))
    second = make_release({"models/a.gguf": MODEL, "main.py": b"1", "run.sh": b"go!"}, "1.1.0")

    make_updater(disk=NoClone()).update(MemorySource(second))

    old, new = (make_updater().tree.release(version) for version in ("1.0.0", "1.1.0"))
    assert identity(old / "models/a.gguf") == identity(new / "models/a.gguf")
    assert not new.joinpath("models/a.gguf").stat().st_mode & 0o222
    assert identity(old / "main.py") != identity(new / "main.py")
    (new / "main.py").write_bytes(b"mine")
    assert (old / "main.py").read_bytes() == b"1"


def test_a_volume_without_links_gets_copies_and_is_asked_for_their_space(
    make_updater: MakeUpdater,
) -> None:
    make_updater(disk=NoLinks()).update(MemorySource(FIRST))
    second = make_release({"models/b.gguf": MODEL}, "1.1.0")
    source = MemorySource(second)

    plan = make_updater(disk=NoLinks()).plan(source)
    make_updater(disk=NoLinks()).update(source)

    assert plan.write_bytes == len(MODEL)
    assert make_updater(disk=NoClone()).plan(source).write_bytes == 0
    assert source.asked == []
    assert (make_updater().tree.release("1.1.0") / "models/b.gguf").read_bytes() == MODEL


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_a_file_of_another_executable_bit_is_copied(make_updater: MakeUpdater) -> None:
    make_updater(disk=NoClone()).update(MemorySource(FIRST))
    second = make_release({"models/a.gguf": MODEL}, "1.1.0", executables=["models/a.gguf"])
    source = MemorySource(second)

    make_updater(disk=NoClone()).update(source)

    old, new = (
        make_updater().tree.release(version) / "models/a.gguf" for version in ("1.0.0", "1.1.0")
    )
    assert source.asked == []
    assert identity(old) != identity(new)
    assert os.access(new, os.X_OK)
    assert not os.access(old, os.X_OK)


def test_our_own_links_and_removals_un_prove_nothing(
    make_updater: MakeUpdater, hashed: list[str]
) -> None:
    releases = [
        make_release({"models/a.gguf": MODEL, "main.py": b"%d" % n}, f"1.{n}.0") for n in range(4)
    ]
    other = make_release({"weights.gguf": MODEL}, "7.0.0", tool_id="other-tool")
    make_updater(disk=NoClone()).update(MemorySource(releases[0]))
    make_updater("other-tool", disk=NoClone()).update(MemorySource(other))
    for release in releases[1:]:
        make_updater(disk=NoClone()).update(MemorySource(release))
    make_updater().rollback()
    make_updater().gc()
    hashed.clear()

    answers = [
        make_updater(TOOL_ID).get_network_eligibility("1.2.0", releases[2].manifest.manifest_hash),
        make_updater("other-tool").get_network_eligibility("7.0.0", other.manifest.manifest_hash),
    ]

    assert answers == [Eligibility.ELIGIBLE, Eligibility.ELIGIBLE]
    assert hashed == []
    make_updater("other-tool").uninstall()
    assert make_updater().verify().by_hash == 0


def test_what_a_failed_update_linked_is_let_go_without_un_proving_it(
    make_updater: MakeUpdater, hashed: list[str]
) -> None:
    make_updater(disk=NoClone()).update(MemorySource(FIRST))
    second = make_release({"models/a.gguf": MODEL, "z": b"lost", "e": b""}, "1.1.0")
    source = MemorySource(second)
    # Fails in verification, when the model is linked already.
    source.before_open = lambda _asked: None
    updater = make_updater(disk=_Spoiler())
    with pytest.raises(Exception, match="files of"):
        updater.update(source)

    hashed.clear()
    answer = make_updater().get_network_eligibility("1.0.0", FIRST.manifest.manifest_hash)

    assert (answer, hashed) == (Eligibility.ELIGIBLE, [])


class _Spoiler(NoClone):
    """Damages what was fetched, once it is synced."""

    def sync_path(self, path: Path) -> None:
        if path.name == "z":
            path.write_bytes(b"spoiled")


def test_an_update_with_nothing_to_do_reads_no_file_and_changes_none(
    updater: DeltaUpdater, opened: list[Path], hashed: list[str]
) -> None:
    updater.update(MemorySource(FIRST))
    folder = updater.tree.release("1.0.0")
    before = {path: path.stat() for path in folder.rglob("*")}
    opened.clear()

    stats = updater.update(MemorySource(FIRST))

    read = {path.name for path in opened if "releases" in path.parts}
    assert read == {"manifest.json"}
    assert (hashed, stats.outcome, stats.files_verified_by_hash) == ([], "nothing-to-do", 0)
    after = {path: path.stat() for path in folder.rglob("*")}
    assert {path: facts.st_ctime_ns for path, facts in after.items()} == {
        path: facts.st_ctime_ns for path, facts in before.items()
    }


def test_an_unchanged_model_is_not_read_by_an_update(
    make_updater: MakeUpdater, opened: list[Path], hashed: list[str]
) -> None:
    make_updater(disk=NoClone()).update(MemorySource(FIRST))
    second = make_release({"models/b.gguf": MODEL, "main.py": b"2"}, "1.1.0")
    opened.clear()

    make_updater(disk=NoClone()).update(MemorySource(second))

    # Asking the volume for a clone opens it, and reads nothing.
    assert hashed == []
    # On POSIX a new file is opened from within its folder, by its name alone.
    new = [path for path in opened if path.suffix == ".gguf" and "v1.0.0" not in path.parts]
    assert [path.name for path in new] == ["b.gguf"]
