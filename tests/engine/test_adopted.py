"""Models that people have already serve releases instead of a download, and stay as they were."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility, host
from bitstation.storage.adopted import forget
from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from bitstation.testing.volumes import NoClone, NoLinks
from tests.engine.conftest import MODEL, Adopt, MakeUpdater
from tests.engine.test_sharing import identity

RELEASE = make_release({"models/a.gguf": MODEL, "main.py": b"1"}, "1.0.0")


def seen(path: Path) -> tuple[object, ...]:
    """All of a file that an owner could see changed, but for when it was last read."""
    facts = path.stat()
    numbers = (facts.st_ino, facts.st_mode, facts.st_nlink, facts.st_size, facts.st_mtime_ns)
    return path.read_bytes(), *numbers, *((facts.st_ctime_ns,) if sys.platform != "win32" else ())


def install(updater: DeltaUpdater, *files: bytes) -> MemorySource:
    """Install a release that holds those contents; gives the source that was asked."""
    release = make_release({f"f{n}": data for n, data in enumerate(files)}, "1.0.0")
    source = MemorySource(release)
    updater.update(source)
    folder = updater.tree.release("1.0.0")
    assert [(folder / f"f{n}").read_bytes() for n in range(len(files))] == list(files)
    return source


@pytest.mark.parametrize("disk", [QuickDisk, NoClone, NoLinks])
def test_an_adopted_file_serves_an_install_without_a_download(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, disk: type[Disk]
) -> None:
    adopt(mine)
    source = MemorySource(make_release({"weights/b.bin": MODEL}, "1.0.0"))

    stats = make_updater(disk=disk()).update(source)

    assert (source.asked, stats.bytes_downloaded, stats.bytes_reused) == ([], 0, len(MODEL))
    assert (make_updater().tree.release("1.0.0") / "weights/b.bin").read_bytes() == MODEL


@pytest.mark.parametrize("disk", [QuickDisk, NoClone, NoLinks])
def test_the_owners_file_is_as_it_was(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, disk: type[Disk]
) -> None:
    before = seen(mine)
    adopt(mine)
    updater = make_updater(disk=disk())
    updater.update(MemorySource(RELEASE))
    placed = updater.tree.release("1.0.0") / "models/a.gguf"
    assert identity(placed) != identity(mine)
    placed.chmod(0o600)
    placed.write_bytes(b"damaged")
    source = MemorySource(RELEASE)
    updater.repair(source)
    assert (placed.read_bytes(), source.asked) == (MODEL, [])
    updater.update(MemorySource(make_release({"main.py": b"2"}, "1.1.0")))
    updater.uninstall()
    assert seen(mine) == before


def test_nothing_of_an_install_from_adopted_files_is_hashed_again(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, hashed: list[str]
) -> None:
    adopt(mine)
    hashed.clear()
    make_updater().update(MemorySource(RELEASE))
    answer = make_updater().get_network_eligibility("1.0.0", RELEASE.manifest.manifest_hash)
    assert (answer, hashed) == (Eligibility.ELIGIBLE, [])


# --- links --------------------------------------------------------------------------------------


def test_link_shares_the_file_and_its_proof(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, hashed: list[str]
) -> None:
    adopt(mine, link=True)
    hashed.clear()
    updater = make_updater(disk=NoClone())
    updater.update(MemorySource(RELEASE))
    placed = updater.tree.release("1.0.0") / "models/a.gguf"
    assert identity(placed) == identity(mine)
    assert not mine.stat().st_mode & 0o222
    # The owner's name of the file stays proved when the release goes, so nothing is read again.
    updater.uninstall()
    assert mine.read_bytes() == MODEL
    updater.update(MemorySource(RELEASE))
    assert identity(updater.tree.release("1.0.0") / "models/a.gguf") == identity(mine)
    assert hashed == []


def test_a_damaged_shared_file_is_mended_in_the_release_only(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    adopt(mine, link=True)
    updater = make_updater(disk=NoClone())
    updater.update(MemorySource(RELEASE))
    mine.chmod(0o600)
    mine.write_bytes(b"spoiled by its owner")
    before = seen(mine)
    source = MemorySource(RELEASE)

    updater.repair(source)

    placed = updater.tree.release("1.0.0") / "models/a.gguf"
    assert (placed.read_bytes(), len(source.asked)) == (MODEL, 1)
    assert identity(placed) != identity(mine)
    assert seen(mine)[0] == b"spoiled by its owner"
    # Only its count of names went down: the release shares it no longer.
    assert seen(mine)[1:3] == before[1:3]


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: owners")
def test_a_file_that_cannot_be_made_read_only_is_copied(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(mine)
    adopt(mine, link=True)
    monkeypatch.setattr("bitstation.host.may_set_mode", lambda _path: False)
    updater = make_updater(disk=NoClone())
    assert updater.plan(MemorySource(RELEASE)).write_bytes == len(MODEL) + 1
    updater.update(MemorySource(RELEASE))
    assert seen(mine) == before


def test_a_later_adoption_without_link_takes_the_permission_back(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    before = seen(mine)
    adopt(mine, link=True)
    adopt(mine)
    make_updater(disk=NoClone()).update(MemorySource(RELEASE))
    assert seen(mine) == before


def test_what_will_be_copied_is_asked_for_its_space(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    adopt(mine)
    assert make_updater(disk=NoClone()).plan(MemorySource(RELEASE)).write_bytes == len(MODEL) + 1
    adopt(mine, link=True)
    assert make_updater(disk=NoClone()).plan(MemorySource(RELEASE)).write_bytes == 1
    assert make_updater(disk=NoLinks()).plan(MemorySource(RELEASE)).write_bytes == len(MODEL) + 1


class Clones(QuickDisk):
    """A volume with copy on write."""

    def clone(self, source: object, target: object) -> bool:
        target.write(source.read())  # type: ignore[attr-defined]
        return True


class OtherVolume(Clones):
    """As when the adopted file lies on another volume than the tools: no clone, no link."""

    def __init__(self, elsewhere: Path) -> None:
        self.elsewhere = host.native_path(elsewhere)
        self.clones = 0

    def clone(self, source: object, target: object) -> bool:
        if Path(source.name) == self.elsewhere:  # type: ignore[attr-defined]
            return False
        self.clones += 1
        return super().clone(source, target)

    def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source == self.elsewhere:
            raise OSError(errno.EXDEV, "another volume")
        super().link(source, target, below=below)


def test_a_clone_takes_no_space_and_leaves_the_file_alone(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    before = seen(mine)
    adopt(mine)
    updater = make_updater(disk=Clones())
    assert updater.plan(MemorySource(RELEASE)).write_bytes == 1
    updater.update(MemorySource(RELEASE))
    assert seen(mine) == before
    assert not (updater.tree.control / "probe").exists()


def test_a_file_on_another_volume_is_copied_even_with_link(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    before = seen(mine)
    adopt(mine, link=True)
    make_updater(disk=OtherVolume(mine)).update(MemorySource(RELEASE))
    assert (make_updater().tree.release("1.0.0") / "models/a.gguf").read_bytes() == MODEL
    assert seen(mine) == before


def test_what_another_volume_cannot_do_is_no_word_on_our_own(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, number = host.stat_facts, mine.stat().st_ino

    def facts_of(path: Path | int) -> host.StatFacts:
        facts = real(path)
        return facts._replace(volume=1) if facts.file_id == number else facts

    monkeypatch.setattr(host, "stat_facts", facts_of)
    adopt(mine)
    ours = bytes(reversed(MODEL))
    make_updater().update(MemorySource(make_release({"z": ours}, "1.0.0")))
    disk = OtherVolume(mine)
    source = MemorySource(make_release({"a": MODEL, "z": ours}, "1.1.0"))

    make_updater(disk=disk).update(source)

    assert (source.asked, disk.clones) == ([], 1)


# --- files that are not what they were ----------------------------------------------------------


def test_a_file_that_changed_is_fetched_and_left_alone(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, hashed: list[str]
) -> None:
    adopt(mine)
    mine.write_bytes(MODEL[:-1] + b"?")
    source = install(updater, MODEL)
    assert len(source.asked) == 1
    assert hashed.count("model.gguf") == 1
    assert mine.read_bytes() == MODEL[:-1] + b"?"


def test_a_file_of_another_size_is_not_even_read(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, hashed: list[str]
) -> None:
    adopt(mine)
    mine.write_bytes(MODEL + b"?")
    assert len(install(updater, MODEL).asked) == 1
    assert "model.gguf" not in hashed


@pytest.mark.parametrize("instead", ["nothing", "folder"])
def test_a_file_that_is_gone_is_fetched(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, instead: str
) -> None:
    adopt(mine)
    mine.unlink()
    if instead == "folder":
        mine.mkdir()
    assert len(install(updater, MODEL).asked) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: links without a privilege")
def test_a_link_in_place_of_the_file_is_not_followed(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path, tmp_path: Path
) -> None:
    adopt(mine, link=True)
    other = tmp_path / "other.gguf"
    mine.rename(other)
    mine.symlink_to(other)
    before = seen(other)
    assert len(install(make_updater(disk=NoClone()), MODEL).asked) == 1
    assert seen(other) == before


def test_a_file_that_vanishes_in_the_middle_is_fetched(
    adopt: Adopt, make_updater: MakeUpdater, mine: Path
) -> None:
    adopt(mine)

    class Vanishing(NoClone):
        def remove(self, path: Path, *, below: Path | None = None) -> None:
            # The place is cleared just before the file is looked at again.
            if path.suffix == ".gguf":
                mine.unlink(missing_ok=True)
            super().remove(path, below=below)

    source = MemorySource(RELEASE)
    make_updater(disk=Vanishing()).update(source)
    placed = make_updater().tree.release("1.0.0") / "models/a.gguf"
    assert placed.read_bytes() == MODEL
    assert len(source.asked) == 2


def test_what_is_forgotten_is_not_used(adopt: Adopt, updater: DeltaUpdater, mine: Path) -> None:
    adopt(mine)
    forget(updater.root, lambda _path: True, QuickDisk())
    assert len(install(updater, MODEL).asked) == 1
    assert mine.read_bytes() == MODEL


def test_a_damaged_record_only_costs_a_download(
    adopt: Adopt, updater: DeltaUpdater, mine: Path
) -> None:
    adopt(mine)
    updater.root.adopted.write_bytes(b"\xff not a record")
    assert len(install(updater, MODEL).asked) == 1
