"""Which release is current, which are kept, and who may change that: rollback, retention, order."""

from __future__ import annotations

import pytest

from bitstation import DeltaUpdater
from bitstation.core.events import Event, GuardLowered
from bitstation.errors import (
    DowngradeRefused,
    IntegrityError,
    ManifestError,
    NoInstallation,
    NoSuchRelease,
    ReleaseConflict,
    ReleaseDamaged,
    UnexpectedRelease,
)
from bitstation.testing.invariants import check_settled, wrong_files
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.worker.run import Options
from tests.engine.conftest import MakeUpdater

RELEASES = {
    f"1.{n}.0": make_release({"main.py": b"%d" % n, "same": b"same"}, f"1.{n}.0") for n in range(5)
}


def install(updater: DeltaUpdater, *versions: str) -> None:
    for version in versions:
        updater.update(MemorySource(RELEASES[version]))


def refuses_to_change(updater: DeltaUpdater, source: MemorySource, kind: type[Exception]) -> None:
    """The update is refused, before a byte is asked for, and leaves everything as it was."""
    before = (updater.tree.current_version(), updater.tree.kept_versions(), updater.history())
    with pytest.raises(kind):
        updater.update(source)
    assert (
        updater.tree.current_version(),
        updater.tree.kept_versions(),
        updater.history(),
    ) == before
    assert source.asked == []
    check_settled(updater.tree)


# --- rollback ----------------------------------------------------------------------------------


def test_a_rollback_makes_the_earlier_release_current_without_a_source(
    updater: DeltaUpdater,
) -> None:
    install(updater, "1.0.0", "1.1.0")

    stats = updater.rollback()

    assert updater.tree.current_version() == "1.0.0"
    assert (stats.from_version, stats.to_version, stats.bytes_downloaded) == ("1.1.0", "1.0.0", 0)
    assert wrong_files(updater.tree.release("1.0.0"), RELEASES["1.0.0"].manifest) == []
    assert updater.tree.kept_versions() == ["1.1.0", "1.0.0"]
    check_settled(updater.tree)


def test_a_second_rollback_goes_forth_again(updater: DeltaUpdater) -> None:
    install(updater, "1.0.0", "1.1.0")
    updater.rollback()
    updater.rollback()
    assert updater.tree.current_version() == "1.1.0"
    assert [record.command for record in updater.history()] == ["update"] * 2 + ["rollback"] * 2


def test_a_rollback_may_name_its_release(make_updater: MakeUpdater) -> None:
    updater = make_updater(options=Options(allow_unsigned=True, keep=3))
    install(updater, "1.0.0", "1.1.0", "1.2.0")
    updater.rollback("1.0.0")
    assert updater.tree.current_version() == "1.0.0"


@pytest.mark.parametrize("version", ["1.3.0", "../1.0.0", ""])
def test_a_release_that_is_not_kept_is_named_with_those_that_are(
    updater: DeltaUpdater, version: str
) -> None:
    install(updater, "1.0.0")
    with pytest.raises(NoSuchRelease, match=r"kept: 1\.0\.0"):
        updater.rollback(version)
    assert updater.tree.current_version() == "1.0.0"


def test_a_damaged_release_is_not_gone_back_to(updater: DeltaUpdater) -> None:
    install(updater, "1.0.0", "1.1.0")
    (updater.tree.release("1.0.0") / "main.py").write_bytes(b"?")

    with pytest.raises(ReleaseDamaged) as failure:
        updater.rollback()

    assert failure.value.exit_code == 30
    assert updater.tree.current_version() == "1.1.0"


def test_nothing_to_go_back_to_is_no_installation(updater: DeltaUpdater) -> None:
    with pytest.raises(NoInstallation):
        updater.rollback()


def test_after_a_rollback_the_kept_release_is_updated_to_without_a_download(
    updater: DeltaUpdater,
) -> None:
    install(updater, "1.0.0", "1.1.0")
    updater.rollback()
    source = MemorySource(RELEASES["1.1.0"])

    stats = updater.update(source)

    assert (source.asked, stats.files_downloaded, stats.files_unchanged) == ([], 0, 2)
    assert updater.tree.current_version() == "1.1.0"
    assert stats.activated


def test_a_kept_release_that_is_damaged_is_mended_when_it_is_updated_to(
    updater: DeltaUpdater,
) -> None:
    install(updater, "1.0.0", "1.1.0")
    updater.rollback()
    (updater.tree.release("1.1.0") / "main.py").write_bytes(b"?")

    stats = updater.update(MemorySource(RELEASES["1.1.0"]))

    assert stats.files_downloaded == 1
    assert wrong_files(updater.tree.release("1.1.0"), RELEASES["1.1.0"].manifest) == []


# --- retention ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_as_many_earlier_releases_stay_as_is_said(make_updater: MakeUpdater, keep: int) -> None:
    updater = make_updater(options=Options(allow_unsigned=True, keep=keep))
    install(updater, *RELEASES)
    newest = sorted(RELEASES, reverse=True)
    assert updater.tree.kept_versions() == newest[: keep + 1]


def test_the_release_before_stays_even_when_another_is_newer(make_updater: MakeUpdater) -> None:
    updater = make_updater(options=Options(allow_unsigned=True, keep=2))
    install(updater, "1.0.0", "1.1.0", "1.2.0")
    updater.rollback("1.0.0")
    once = make_updater(options=Options(allow_unsigned=True, keep=1))

    once.update(MemorySource(RELEASES["1.3.0"]))

    assert once.tree.kept_versions() == ["1.3.0", "1.0.0"]


def test_collecting_twice_changes_nothing_more(updater: DeltaUpdater) -> None:
    install(updater, "1.0.0", "1.1.0", "1.2.0")
    for _ in range(2):
        updater.gc()
        assert updater.tree.kept_versions() == ["1.2.0", "1.1.0"]
        check_settled(updater.tree)


# --- downgrades and conflicts --------------------------------------------------------------------


def test_an_older_version_is_refused(updater: DeltaUpdater) -> None:
    install(updater, "1.1.0")
    refuses_to_change(updater, MemorySource(RELEASES["1.0.0"]), DowngradeRefused)


def test_a_pre_release_of_the_installed_version_is_older(updater: DeltaUpdater) -> None:
    install(updater, "1.1.0")
    pre = make_release({"main.py": b"pre"}, "1.1.0-rc.1")
    refuses_to_change(updater, MemorySource(pre), DowngradeRefused)


def test_an_older_version_is_refused_when_the_manifest_of_the_installed_one_is_lost(
    updater: DeltaUpdater,
) -> None:
    install(updater, "1.1.0")
    (updater.tree.release("1.1.0") / "manifest.json").unlink()
    refuses_to_change(updater, MemorySource(RELEASES["1.0.0"]), DowngradeRefused)


def test_an_older_version_that_hq_requires_is_installed(updater: DeltaUpdater) -> None:
    install(updater, "1.1.0")
    source = MemorySource(RELEASES["1.0.0"])
    source.required.add("1.0.0")

    updater.update(source)

    assert updater.tree.current_version() == "1.0.0"


def test_the_switch_that_lowers_the_guard_is_told(make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    options = Options(allow_unsigned=True, allow_downgrade=True)
    updater = make_updater(options=options, listeners=(told.append,))
    install(updater, "1.1.0")
    assert not [event for event in told if isinstance(event, GuardLowered)]

    install(updater, "1.0.0")

    lowered = [event for event in told if isinstance(event, GuardLowered)]
    assert [(event.switch, event.detail) for event in lowered] == [("--allow-downgrade", "1.1.0")]
    assert updater.tree.current_version() == "1.0.0"


@pytest.mark.parametrize("allow", [False, True])
def test_the_same_version_with_other_content_is_refused(
    make_updater: MakeUpdater, allow: bool
) -> None:
    updater = make_updater(options=Options(allow_unsigned=True, allow_downgrade=allow))
    install(updater, "1.0.0")
    other = make_release({"main.py": b"other"}, "1.0.0")
    refuses_to_change(updater, MemorySource(other), ReleaseConflict)


def test_a_version_that_was_here_once_is_remembered(make_updater: MakeUpdater) -> None:
    updater = make_updater(options=Options(allow_unsigned=True, allow_downgrade=True))
    install(updater, "1.0.0", "1.1.0", "1.2.0")
    assert "1.0.0" not in updater.tree.kept_versions()
    other = make_release({"main.py": b"other"}, "1.0.0")
    refuses_to_change(updater, MemorySource(other), ReleaseConflict)


def test_a_refusal_leaves_an_interrupted_download_alone(updater: DeltaUpdater) -> None:
    install(updater, "1.1.0")
    big = make_release({"main.py": b"new", "z": b"never comes"}, "1.2.0")
    source = MemorySource(big)
    source.drop(big.manifest.entries[1].sha256)
    with pytest.raises(Exception, match="does not have"):
        updater.update(source)

    with pytest.raises(DowngradeRefused):
        updater.update(MemorySource(RELEASES["1.0.0"]))
    again = MemorySource(big)
    updater.update(again)

    assert again.fetched == [big.manifest.entries[1].sha256]


# --- the release that was asked for -------------------------------------------------------------


def other(tool_id: str = TOOL_ID, version: str = "9.0.0") -> Release:
    return make_release({"main.py": b"evil"}, version, tool_id=tool_id)


def test_another_tool_than_the_one_asked_for_is_refused(updater: DeltaUpdater) -> None:
    source = MemorySource()
    source.offer_bytes(TOOL_ID, "9.0.0", other("other-tool").manifest.encode())
    refuses_to_change(updater, source, UnexpectedRelease)


def test_another_version_than_the_one_asked_for_is_refused(updater: DeltaUpdater) -> None:
    source = MemorySource()
    source.offer_bytes(TOOL_ID, "8.0.0", other().manifest.encode())
    refuses_to_change(updater, source, UnexpectedRelease)


def test_a_manifest_that_is_not_the_announced_one_is_refused(updater: DeltaUpdater) -> None:
    source = MemorySource(other())
    source.announced = "0" * 64
    refuses_to_change(updater, source, UnexpectedRelease)


def test_the_manifest_given_with_a_package_must_be_its_own(updater: DeltaUpdater) -> None:
    with pytest.raises(ManifestError):
        updater.update_from_zip("nowhere.zip", {"tool_id": TOOL_ID})
    source = MemorySource(RELEASES["1.0.0"])
    from bitstation.worker.update import update

    with updater._run() as run, pytest.raises(IntegrityError):
        update(run, source, "1.0.0", expected_hash="0" * 64)
