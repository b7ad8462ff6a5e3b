"""The four promises that the original system tested: here the content is asserted too."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.errors import DigestMismatch
from bitstation.storage.tree import files_below
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import TOOL_ID, UNSIGNED, Release, make_release

FILES = {
    "main.py": b"print('hello')\n",
    "lib/helper.py": b"VALUE = 1\n",
    "models/tiny.gguf": b"GGUF" + bytes(1000),
}
FIRST = make_release(FILES, "1.0.0")


@pytest.fixture
def updater(tmp_path: Path) -> DeltaUpdater:
    updater = DeltaUpdater(tmp_path / "tools" / TOOL_ID, options=UNSIGNED)
    updater.update(MemorySource(FIRST))
    return updater


def current_files(updater: DeltaUpdater) -> dict[str, bytes]:
    """What a user finds in the active release, its manifest aside."""
    folder = updater.tree.release(updater.tree.current_version() or "none")
    found = {path: (folder / path).read_bytes() for path in files_below(folder)}
    del found["manifest.json"]
    return found


def test_no_change_downloads_no_file(updater: DeltaUpdater) -> None:
    source = MemorySource(FIRST)

    stats = updater.update(source)

    assert (stats.files_downloaded, stats.files_deleted, stats.bytes_downloaded) == (0, 0, 0)
    assert (stats.files_unchanged, stats.files_verified) == (3, 3)
    assert source.fetched == []
    assert current_files(updater) == FILES


def test_one_changed_file_downloads_one(updater: DeltaUpdater) -> None:
    changed = FILES | {"lib/helper.py": b"VALUE = 2\n"}
    release = make_release(changed, "1.1.0")
    source = MemorySource(release)

    stats = updater.update(source)

    assert (stats.files_downloaded, stats.files_unchanged, stats.files_deleted) == (1, 2, 0)
    assert stats.bytes_downloaded == len(changed["lib/helper.py"])
    assert source.fetched == [entry.sha256 for entry in _entries(release, "lib/helper.py")]
    assert current_files(updater) == changed


def test_one_deleted_file_deletes_one(updater: DeltaUpdater) -> None:
    fewer = {path: data for path, data in FILES.items() if path != "lib/helper.py"}
    source = MemorySource(make_release(fewer, "1.1.0"))

    stats = updater.update(source)

    assert (stats.files_downloaded, stats.files_unchanged, stats.files_deleted) == (0, 2, 1)
    assert source.fetched == []
    assert current_files(updater) == fewer
    kept = updater.tree.release("1.0.0") / "lib/helper.py"
    assert kept.read_bytes() == FILES["lib/helper.py"], "kept for rollback"


def test_a_hash_mismatch_aborts_and_activates_nothing(updater: DeltaUpdater) -> None:
    release = make_release(FILES | {"main.py": b"print('new!!')\n"}, "1.1.0")
    source = MemorySource(release)
    source.lie(_entries(release, "main.py")[0].sha256, other_bytes)

    with pytest.raises(DigestMismatch) as failure:
        updater.update(source)

    assert failure.value.exit_code == 30
    assert updater.tree.current_version() == "1.0.0"
    assert updater.tree.kept_versions() == ["1.0.0"]
    assert not updater.tree.staging_area.exists()
    assert current_files(updater) == FILES


def _entries(release: Release, path: str) -> list:
    return [entry for entry in release.manifest.entries if entry.path == path]
