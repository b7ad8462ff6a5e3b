"""Damage on this machine is mended, never an error: under every name, and from wherever it can."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.errors import DigestMismatch, NoInstallation, ReleaseConflict, SourceError
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import check_settled, wrong_files
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import Release, make_release
from tests.engine.conftest import MakeUpdater

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
FILES = {"models/a.gguf": MODEL, "main.py": b"1", "lib/x.py": b"x", "lib/y.py": b"y"}
FIRST = make_release(FILES, "1.0.0", executables=["main.py"])
SECOND = make_release(FILES | {"main.py": b"2"}, "1.1.0", executables=["main.py"])


class NoClone(QuickDisk):
    def clone(self, source: object, target: object) -> bool:
        return False


@pytest.fixture
def installed(make_updater: MakeUpdater) -> DeltaUpdater:
    updater = make_updater(disk=NoClone())
    updater.update(MemorySource(FIRST))
    return updater


def rot(path: Path) -> None:
    """Damage a file in place, under all its names."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"rot")


def digest_of(release: Release, path: str) -> str:
    return next(entry.sha256 for entry in release.manifest.entries if entry.path == path)


def test_a_damaged_file_is_fetched_by_an_update_and_nothing_else_is(
    installed: DeltaUpdater,
) -> None:
    rot(installed.tree.release("1.0.0") / "lib/x.py")
    source = MemorySource(SECOND)

    installed.update(source)

    assert source.fetched == [digest_of(SECOND, "lib/x.py"), digest_of(SECOND, "main.py")]
    assert wrong_files(installed.tree.release("1.1.0"), SECOND.manifest) == []


def test_the_same_release_again_mends_what_is_damaged(installed: DeltaUpdater) -> None:
    folder = installed.tree.release("1.0.0")
    rot(folder / "lib/x.py")
    (folder / "lib/y.py").unlink()
    source = MemorySource(FIRST)

    stats = installed.update(source)

    assert (stats.files_downloaded, stats.files_unchanged, stats.files_verified) == (2, 2, 4)
    assert wrong_files(folder, FIRST.manifest) == []
    check_settled(installed.tree)


def test_repair_fetches_only_what_is_damaged(installed: DeltaUpdater) -> None:
    folder = installed.tree.release("1.0.0")
    (folder / "lib/y.py").unlink()
    source = MemorySource(FIRST)

    stats = installed.repair(source)

    assert source.fetched == [digest_of(FIRST, "lib/y.py")]
    assert (stats.outcome, stats.files_downloaded) == ("done", 1)
    assert installed.repair(source).outcome == "nothing-to-do"
    assert [record.command for record in installed.history()] == ["update", "repair"]


def test_a_rotten_model_is_mended_under_every_name(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    other = make_release({"weights.gguf": MODEL}, "7.0.0", tool_id="other-tool")
    make_updater("other-tool", disk=NoClone()).update(MemorySource(other))
    installed.update(MemorySource(SECOND))
    rot(installed.tree.release("1.1.0") / "models/a.gguf")

    source = MemorySource(SECOND)
    stats = installed.repair(source)

    assert stats.bytes_downloaded == len(MODEL)
    for version, release in (("1.0.0", FIRST), ("1.1.0", SECOND)):
        assert wrong_files(installed.tree.release(version), release.manifest) == []
    theirs = make_updater("other-tool")
    assert wrong_files(theirs.tree.release("7.0.0"), other.manifest) == []
    for updater, release in ((installed, SECOND), (theirs, other)):
        answer = updater.get_network_eligibility(release.version, release.manifest.manifest_hash)
        assert answer == Eligibility.ELIGIBLE
    names = [installed.tree.release(version) / "models/a.gguf" for version in ("1.0.0", "1.1.0")]
    assert names[0].stat().st_ino == names[1].stat().st_ino, "shared again"


def test_damage_that_stamps_do_not_show_is_found_by_reading(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = installed.tree.release("1.0.0") / "lib/x.py"
    path.write_bytes(b"?")
    with pytest.MonkeyPatch.context() as patched:
        # As bit rot: the bytes differ and no stamp moved since the proof.
        real = installed.verify().damaged
        assert [entry.path for entry in real] == ["lib/x.py"]
        patched.setattr(
            "bitstation.storage.ledger.Ledger.proof",
            lambda _ledger, _facts: None if not _facts.is_file else digest_at(installed, _facts),
        )
        assert installed.verify().damaged == ()
        assert [entry.path for entry in installed.verify(deep=True).damaged] == ["lib/x.py"]
        assert installed.repair(MemorySource(FIRST), deep=True).files_downloaded == 1
    assert installed.verify(deep=True).damaged == ()


def digest_at(updater: DeltaUpdater, facts: object) -> str | None:
    """What a ledger says that believes every file to be what the manifest says."""
    from bitstation import host

    folder = updater.tree.release("1.0.0")
    for entry in FIRST.manifest.entries:
        path = folder / entry.path
        if path.exists() and host.stat_facts(path).identity == facts.identity:  # type: ignore[attr-defined]
            return entry.sha256
    return None


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_a_lost_executable_bit_is_given_back(installed: DeltaUpdater) -> None:
    path = installed.tree.release("1.0.0") / "main.py"
    path.chmod(0o644)
    source = MemorySource(FIRST)

    installed.repair(source)

    assert os.access(path, os.X_OK)
    assert source.asked == [], "its bytes are here"


def test_a_lost_pointer_is_set_again(installed: DeltaUpdater) -> None:
    installed.update(MemorySource(SECOND))
    installed.rollback()
    installed.tree.pointer.unlink()
    source = MemorySource(FIRST, SECOND)

    installed.repair(source)

    assert installed.tree.current_version() == "1.0.0", "as the history says, not the newest"
    assert source.asked == []


@pytest.mark.parametrize("text", [b"", b"v9.9.9", b"../../etc", b"\xff\xfe", b"v1.0.0\n\nv1.1.0"])
def test_a_pointer_of_garbage_is_mended(installed: DeltaUpdater, text: bytes) -> None:
    installed.tree.pointer.write_bytes(text)

    installed.update(MemorySource(FIRST))

    assert installed.tree.pointer.read_bytes() == b"v1.0.0"


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_a_lost_manifest_is_fetched_and_no_file_is(installed: DeltaUpdater, damage: str) -> None:
    manifest = installed.tree.release("1.0.0") / "manifest.json"
    manifest.unlink() if damage == "gone" else manifest.write_bytes(b"{")
    source = MemorySource(FIRST)

    installed.repair(source)

    assert source.asked == []
    assert manifest.read_bytes() == FIRST.manifest.encode()
    answer = installed.get_network_eligibility("1.0.0", FIRST.manifest.manifest_hash)
    assert answer == Eligibility.ELIGIBLE


def test_another_manifest_does_not_take_the_place_of_a_lost_one(installed: DeltaUpdater) -> None:
    (installed.tree.release("1.0.0") / "manifest.json").unlink()
    other = make_release({"main.py": b"evil"}, "1.0.0")

    with pytest.raises(ReleaseConflict):
        installed.repair(MemorySource(other))


def test_manifest_and_pointer_lost_together_are_mended(installed: DeltaUpdater) -> None:
    (installed.tree.release("1.0.0") / "manifest.json").unlink()
    installed.tree.pointer.unlink()
    source = MemorySource(FIRST)

    installed.repair(source)

    assert (installed.tree.current_version(), source.asked) == ("1.0.0", [])


def test_repair_of_what_is_not_there_says_so(updater: DeltaUpdater) -> None:
    with pytest.raises(NoInstallation):
        updater.repair(MemorySource(FIRST))
    assert not updater.tree.path.exists()


def test_a_source_that_lies_cannot_make_it_worse(installed: DeltaUpdater) -> None:
    folder = installed.tree.release("1.0.0")
    (folder / "lib/y.py").unlink()
    source = MemorySource(FIRST)
    source.lie(digest_of(FIRST, "lib/y.py"), other_bytes)

    with pytest.raises(DigestMismatch):
        installed.repair(source)

    assert wrong_files(folder, FIRST.manifest) == ["lib/y.py"]
    assert not (folder / "lib/y.py").exists()


def test_what_users_put_where_a_file_must_be_is_set_aside(installed: DeltaUpdater) -> None:
    folder = installed.tree.release("1.0.0")
    (folder / "lib/y.py").unlink()
    (folder / "lib/y.py").mkdir()
    (folder / "lib/y.py/mine.txt").write_bytes(b"mine")
    for path in ("models/a.gguf", "models"):
        target = folder / path
        target.chmod(0o755)
        target.unlink() if target.is_file() else target.rmdir()
    (folder / "models").write_bytes(b"a file of mine")

    installed.repair(MemorySource(FIRST))

    aside = installed.tree.user_data / "from-v1.0.0"
    assert wrong_files(folder, FIRST.manifest) == []
    assert (aside / "lib/y.py/mine.txt").read_bytes() == b"mine"
    assert (aside / "models").read_bytes() == b"a file of mine"


def test_a_file_that_vanishes_in_the_midst_of_an_update_is_fetched(
    installed: DeltaUpdater,
) -> None:
    source = MemorySource(SECOND)
    gone = [installed.tree.release("1.0.0") / path for path in ("lib/x.py", "models/a.gguf")]

    def remove_once(_asked: object) -> None:
        while gone:
            path = gone.pop()
            path.chmod(0o644)
            path.unlink()

    source.before_open = remove_once
    stats = installed.update(source)

    assert stats.files_downloaded == 3
    assert wrong_files(installed.tree.release("1.1.0"), SECOND.manifest) == []


def test_a_repair_leaves_an_interrupted_update_to_be_gone_on_with(
    installed: DeltaUpdater,
) -> None:
    release = make_release(FILES | {"main.py": b"2", "big": MODEL[::-1]}, "1.2.0")
    source = MemorySource(release)
    failure = SourceError(source="memory", detail="down")
    source.fail(digest_of(release, "main.py"), *[failure] * 9)
    with pytest.raises(SourceError):
        installed.update(source)
    (installed.tree.release("1.0.0") / "lib/x.py").unlink()

    installed.repair(MemorySource(FIRST))
    again = MemorySource(release)
    installed.update(again)

    assert again.fetched == [digest_of(release, "main.py")]
