"""F12, F24-F28, F30 and F32: volumes that can less than others."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility, host
from bitstation.core.manifest import Entry, build_manifest
from bitstation.errors import NotFound, StoreError, VolumeUnfit
from bitstation.host import StatFacts
from bitstation.storage import ledger
from bitstation.storage.durable import Disk
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_reads import FaultyReads
from bitstation.testing.invariants import Invariants, wrong_files
from bitstation.testing.mapped import Mapped
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import CREATED_AT, TOOL_ID, UNSIGNED, Release, make_release
from bitstation.testing.volumes import Caseless, NoClone, NoLinks, ShortFiles, caseless, refuse
from tests.attack.updates import (
    EDITED,
    FIRST,
    MODEL,
    NEW_MODEL,
    SECOND,
    asked_of,
    release_of,
    source_of,
    updates,
)

LARGE = MODEL * (LINK_FROM_BYTES // len(MODEL) + 1)
BOTH_LARGE = [
    release_of({"a": LARGE, "run.py": b"1"}, "1.0.0"),
    release_of({"b": LARGE, "run.py": b"2"}, "1.1.0"),
]


def on(updater: DeltaUpdater, disk: Disk) -> DeltaUpdater:
    """The same tool, on a disk of that kind."""
    return DeltaUpdater(updater.tree.path, disk=disk, options=UNSIGNED)


def eligibility(updater: DeltaUpdater, release: Mapped = FIRST) -> Eligibility:
    """Whether a release is what may take jobs."""
    manifest = release.release.manifest
    return updater.get_network_eligibility(manifest.tool_version, manifest.manifest_hash)


class NtfsLinks(NoClone):
    """NTFS: a file has 1,024 names at most."""

    def link(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source.stat().st_nlink >= 1024:
            raise refuse(errno.EMLINK, target)
        super().link(source, target, below=below)


def test_f12_all_1024_names_of_a_file_are_taken(updater: DeltaUpdater, tmp_path: Path) -> None:
    """The next release copies it, the one after that shares the copy."""
    updater = on(updater, NtfsLinks())
    updates(updater, source_of(BOTH_LARGE[0]), BOTH_LARGE[0])
    first = updater.tree.release("1.0.0") / "a"
    for number in range(1023):
        os.link(first, tmp_path / f"name-{number}")
    assert updater.verify().damaged == ()
    third = release_of({"c": LARGE, "run.py": b"3"}, "1.2.0")
    for base, target in zip(BOTH_LARGE, [BOTH_LARGE[1], third], strict=True):
        source = source_of(target, base)
        updates(updater, source, target)
        assert asked_of(source, BOTH_LARGE[0].digest("a")) == 0
    second = updater.tree.release("1.1.0") / "b"
    assert not second.samefile(tmp_path / "name-0")
    assert second.samefile(updater.tree.release("1.2.0") / "c")


def test_f24_case_insensitive_volume(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's file that the next release lists in other letters is neither carried nor lost.

    On every volume alike, so that a tool behaves the same for all.
    """
    updater, real = on(updater, Caseless()), os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: real(caseless(Path(path))))
    base = make_release({"run.py": b"1"}, "1.0.0", ignore_globs=["*.json"])
    updater.update(MemorySource(base))
    mine = updater.tree.release("1.0.0") / "Settings.json"
    target = make_release({"settings.json": b"theirs", "run.py": b"2"}, "1.1.0")
    mine.write_bytes(b"mine")
    os.utime(mine, (4_000_000_000, 4_000_000_000))
    updater.update(MemorySource(target))
    assert wrong_files(updater.tree.release("1.1.0"), target.manifest) == []
    names = [path.name for path in updater.tree.release("1.1.0").iterdir()]
    assert sorted(names) == ["manifest.json", "run.py", "settings.json"]
    last = make_release({"settings.json": b"theirs", "run.py": b"3"}, "1.2.0")
    updater.update(MemorySource(last))
    assert not mine.exists()
    found = list(updater.tree.user_data.rglob("*ettings.json"))
    assert [path.read_bytes() for path in found] == [b"mine"]


class CoarseStamps:
    """What exFAT says of a file: times in steps of 2 s, and none of a change of names or modes."""

    def __init__(self) -> None:
        self._real = host.stat_facts

    def __call__(self, path: Path | int) -> StatFacts:
        facts = self._real(path)
        stamp_ns = facts.mtime_ns // 2_000_000_000 * 2_000_000_000
        return facts._replace(mtime_ns=stamp_ns, change_ns=stamp_ns, links=1)


def test_f25_exfat(updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in place of links; an edit within the 2 s of a stamp is seen all the same."""
    monkeypatch.setattr(host, "stat_facts", CoarseStamps())
    updater = on(updater, NoLinks())
    updates(updater, source_of(BOTH_LARGE[0]), BOTH_LARGE[0])
    source = source_of(BOTH_LARGE[1], BOTH_LARGE[0])
    updates(updater, source, BOTH_LARGE[1])
    assert asked_of(source, BOTH_LARGE[1].digest("b")) == 0
    model = updater.tree.release("1.1.0") / "b"
    model.chmod(0o644)
    with model.open("r+b") as file:
        file.write(bytes([LARGE[0] ^ 1]))
    assert eligibility(updater, BOTH_LARGE[1]) == Eligibility.OUTDATED


def test_f26_fat32(updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 4 GiB is refused before any byte; one byte less is not."""
    updates(updater, source_of(FIRST), FIRST)
    asked: list[int] = []

    def takes_length(path: Path, size_bytes: int) -> bool:
        assert path.is_file()
        asked.append(size_bytes)
        return size_bytes < 4 * 1024**3

    monkeypatch.setattr(host, "takes_length", takes_length)
    monkeypatch.setattr("bitstation.worker.fit.free_bytes", lambda _path: 2**50)
    invariants = Invariants(updater.root.path)
    for size, kind in ((4 * 1024**3, VolumeUnfit), (4 * 1024**3 - 1, NotFound)):
        source = MemorySource(large_release(size))
        with pytest.raises(kind) as caught:
            updater.update(source)
        assert caught.value.exit_code == (50 if kind is VolumeUnfit else 40)
        assert bool(source.asked) == (kind is NotFound)
        invariants.check(TOOL_ID, FIRST.release.manifest)
    assert asked == [4 * 1024**3]


def large_release(size_bytes: int) -> Release:
    """A release of one file of which only the size is known."""
    row = Entry("model.bin", NEW_MODEL, size_bytes, "https://x/", False)
    fields = {"delete_policy": "safe"}
    manifest = build_manifest(TOOL_ID, "1.1.0", [row], created_at=CREATED_AT, fields=fields)  # type: ignore[arg-type]
    return Release(manifest, {})


def test_f26_a_volume_that_did_not_say_so(installed: DeltaUpdater) -> None:
    """It refuses in the midst, and what is said is the same."""
    invariants = Invariants(installed.root.path)
    with pytest.raises(VolumeUnfit) as caught:
        on(installed, ShortFiles(len(EDITED) - 1)).update(source_of(SECOND, FIRST))
    assert caught.value.exit_code == 50
    invariants.check(TOOL_ID, FIRST.release.manifest)
    updates(installed, source_of(SECOND, FIRST), SECOND)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def test_f27_network_volume_without_locks(
    installed: DeltaUpdater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Two runs could not know of each other: refused. What only looks goes on, by reading."""
    invariants = Invariants(installed.root.path)

    def flock(_fd: int, _operation: int) -> None:
        raise refuse(number)

    real = ledger._connected

    def connected(path: Path | str) -> sqlite3.Connection:
        if path != ":memory:":
            error = sqlite3.OperationalError("locking protocol")
            error.sqlite_errorname = "SQLITE_PROTOCOL"
            raise error
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", flock)
        patched.setattr(ledger, "_connected", connected)
        source = source_of(SECOND, FIRST)
        with pytest.raises(VolumeUnfit) as caught:
            installed.update(source)
        assert caught.value.exit_code == 50
        assert source.asked == []
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.iterdir())
        assert eligibility(installed) == Eligibility.ELIGIBLE
        assert sorted(tmp_path.iterdir()) == before, "who only looks leaves nothing, anywhere"
    invariants.check(TOOL_ID, FIRST.release.manifest)
    updates(installed, source_of(SECOND, FIRST), SECOND)


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: folders that can be synced")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP], ids=errno.errorcode.get)
def test_f27_network_volume_that_syncs_no_folder(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real, refused = os.fsync, []

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            refused.append(fd)
            raise refuse(number)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    updates(on(updater, Disk()), source_of(FIRST), FIRST)
    assert refused


def test_f28_volume_without_reflink(updater: DeltaUpdater) -> None:
    """What is large is linked: no byte is fetched, and none is written."""
    updater = on(updater, NoClone())
    updates(updater, source_of(BOTH_LARGE[0]), BOTH_LARGE[0])
    source = source_of(BOTH_LARGE[1], BOTH_LARGE[0])
    assert updater.plan(source).write_bytes <= 1
    updates(updater, source, BOTH_LARGE[1])
    assert asked_of(source, BOTH_LARGE[1].digest("b")) == 0
    a, b = (updater.tree.release(v) / n for v, n in (("1.0.0", "a"), ("1.1.0", "b")))
    assert a.samefile(b)


def test_f30_onedrive_placeholder(installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is in the cloud only, with nobody to bring it, is fetched from the source."""
    model = installed.tree.release("1.0.0") / "model.bin"
    installed.root.ledger.unlink()

    def absent(path: Path) -> None:
        if path == model:
            raise OSError(errno.EINVAL, "The cloud file provider is not running", str(path))

    source = source_of(SECOND, FIRST)
    with FaultyReads(installed.root.path, 1, before=absent, strikes_on=True):
        stats = installed.update(source)
    assert stats.activated
    assert asked_of(source, NEW_MODEL) >= len(EDITED)
    Invariants(installed.root.path).check(TOOL_ID, SECOND.release.manifest)
    assert model.read_bytes() == MODEL


def test_f30_onedrive_placeholder_in_place_of_a_folder(
    installed: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows shows it as a link: refused, for what is below may not be here."""
    real = host.is_link
    releases = installed.tree.releases
    monkeypatch.setattr(host, "is_link", lambda path: path == releases or real(path))
    with pytest.raises(StoreError):
        installed.update(source_of(SECOND, FIRST))
    Invariants(installed.root.path).check(TOOL_ID, FIRST.release.manifest)


def test_f32_read_only_attribute(updater: DeltaUpdater) -> None:
    """Somebody set it on every file of every release: each command goes on."""
    for release in BOTH_LARGE:
        updates(updater, source_of(release), release)
    for path in updater.tree.releases.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    lost = updater.tree.release("1.1.0") / "run.py"
    lost.chmod(0o644)
    lost.unlink()
    updater.repair(source_of(BOTH_LARGE[1]))
    assert updater.rollback().to_version == "1.0.0"
    third = release_of({"run.py": b"3"}, "1.2.0")
    updates(updater, source_of(third), third)
    updater.gc()
    updater.uninstall()
    assert not updater.tree.path.exists()
