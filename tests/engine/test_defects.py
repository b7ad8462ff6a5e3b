"""The 24 defects of the original system: each shown to be impossible here.

Numbered as in docs/delta_update_system.md. Of 18 and 21 only what exists yet can be shown: the
catalogue is not signed and nothing warms a GPU, so nothing claims to.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bitstation
from bitstation import DeltaUpdater, Eligibility
from bitstation.core.canonical import pretty_bytes
from bitstation.core.events import EntryPlaced, EntryVerified, Event
from bitstation.core.manifest import Entry, manifest_hash_of, parse_manifest
from bitstation.core.names import tool_id_fault
from bitstation.core.relpath import collisions
from bitstation.errors import (
    DowngradeRefused,
    ManifestError,
    ManifestHashMismatch,
    PackageInvalid,
    ReleaseConflict,
    SourceUnreachable,
    UsageError,
)
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import FaultyDisk, Stopped
from bitstation.testing.invariants import Invariants
from bitstation.testing.memory_source import MemorySource, other_bytes, unreachable
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.transport.open import open_source
from tests.engine.publisher_tools import pack, write_tool

MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 128)
FILES = {"main.py": b"print(1)\n", "models/m.gguf": MODEL, "run.sh": b"#!/bin/sh\n"}
OLD = make_release(FILES, "1.0.0", executables=["run.sh"])
NEW = make_release(FILES | {"main.py": b"print(2)\n"}, "1.1.0", executables=["run.sh"])
FEWER = make_release({"main.py": b"print(3)\n"}, "1.2.0")


LITTER = {
    path: b"litter"
    for path in ("output/picture.png", "logs/run.log", "__pycache__/x.pyc", "node_modules/a.js")
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the publisher packs of a tool folder that is also used."""
    monkeypatch.setenv("BITSTATION_CACHE_DIR", str(tmp_path / "publisher-cache"))
    files = FILES | LITTER | {"runner/run.ps1": b"exit 0\n"}
    pack(tmp_path / "dist", write_tool(tmp_path / "tool", files, tool_id=TOOL_ID))
    return tmp_path / "dist" / f"tool_{TOOL_ID}_1.0.0.zip"


@pytest.fixture
def updater(tmp_path: Path) -> DeltaUpdater:
    return DeltaUpdater(tmp_path / "tools" / TOOL_ID, options=UNSIGNED)


def _with_row(**row: object) -> bytes:
    """A manifest with its right hash, but for what ``row`` changes in its first entry."""
    document = dict(OLD.manifest.document)
    first, *rest = document["files"]  # type: ignore[misc]
    document["files"] = [{**first, **row}, *rest]  # type: ignore[list-item, dict-item]
    document["manifest_hash"] = manifest_hash_of(document)
    return pretty_bytes(document)


def test_defect_01_what_is_packed_installs(package: Path, updater: DeltaUpdater) -> None:
    stats = updater.update_from_zip(package)

    assert stats.files_verified == len(listed_in(package))
    assert "manifest.json" not in {entry.path for entry in current(updater)}


def test_defect_02_the_hash_is_recomputed_never_believed(updater: DeltaUpdater) -> None:
    document = {**OLD.manifest.document, "manifest_hash": "0" * 64}
    source = MemorySource(OLD)
    source.offer_bytes(TOOL_ID, "1.0.0", pretty_bytes(document))

    with pytest.raises(ManifestHashMismatch):
        updater.update(source)

    assert updater.get_network_eligibility("1.0.0", "0" * 64) == "NO_INSTALLATION"


def test_defect_03_a_tampered_file_ends_eligibility(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    required = ("1.0.0", OLD.manifest.manifest_hash)
    assert updater.get_network_eligibility(*required) is Eligibility.ELIGIBLE

    (updater.tree.release("1.0.0") / "main.py").write_bytes(b"print(6)\n")

    assert updater.get_network_eligibility(*required) is Eligibility.OUTDATED


@pytest.mark.parametrize("path", ["../../../evil.txt", "/evil.txt", "C:/evil.txt", "a\\..\\b"])
def test_defect_04_no_path_leaves_the_release(updater: DeltaUpdater, path: str) -> None:
    source = MemorySource(OLD)
    source.offer_bytes(TOOL_ID, "1.0.0", _with_row(path=path))

    with pytest.raises(ManifestError):
        updater.update(source)

    assert not updater.tree.path.exists()


def test_defect_05_a_deleted_file_takes_nothing_else_along(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    inside = updater.tree.release("1.0.0") / ".venv" / "site.py"
    beside = updater.tree.path / "venv" / "site.py"
    for path in (inside, beside):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"mine")

    stats = updater.update(MemorySource(FEWER))

    assert stats.files_deleted == 2
    assert (updater.tree.release("1.0.0") / "models/m.gguf").read_bytes() == MODEL
    assert inside.read_bytes() == beside.read_bytes() == b"mine"
    assert (updater.tree.release("1.2.0") / ".venv/site.py").read_bytes() == b"mine"


def test_defect_06_releases_do_not_pile_up_and_one_can_go_back(updater: DeltaUpdater) -> None:
    for release in (OLD, NEW, FEWER):
        updater.update(MemorySource(release))
    assert updater.tree.kept_versions() == ["1.2.0", "1.1.0"]

    updater.rollback()

    assert updater.tree.current_version() == "1.1.0"


def test_defect_07_a_downgrade_is_refused(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(NEW))

    with pytest.raises(DowngradeRefused):
        updater.update(MemorySource(OLD))

    assert updater.tree.current_version() == "1.1.0"


def test_defect_08_a_damaged_unchanged_file_is_fetched_again(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    damaged = updater.tree.release("1.0.0") / "run.sh"
    damaged.write_bytes(b"damaged")

    updater.update(MemorySource(NEW))

    assert (updater.tree.release("1.1.0") / "run.sh").read_bytes() == FILES["run.sh"]


def test_defect_09_an_interrupted_update_goes_on(updater: DeltaUpdater) -> None:
    source = MemorySource(OLD)
    last = next(entry.sha256 for entry in OLD.manifest.entries if entry.path == "run.sh")
    source.fail(last, *[unreachable() for _ in range(4)])
    with pytest.raises(SourceUnreachable):
        updater.update(source)

    again = MemorySource(OLD)
    updater.update(again)

    assert again.fetched == [last], "what was whole is not fetched twice"


def test_defect_10_addresses_in_a_manifest_are_never_followed(
    updater: DeltaUpdater, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    source = MemorySource(OLD)
    source.offer_bytes(TOOL_ID, "1.0.0", _with_row(url=secret.as_uri()))

    updater.update(source)

    assert (updater.tree.release("1.0.0") / "main.py").read_bytes() == FILES["main.py"]
    with pytest.raises(UsageError):
        open_source(secret.as_uri())


def test_defect_11_a_package_in_hand_needs_no_network(package: Path, updater: DeltaUpdater) -> None:
    stats = updater.update_from_zip(package)

    assert list(stats.sources) == [str(package)]


def test_defect_12_an_unchanged_model_is_neither_copied_nor_read(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    told: list[Event] = []

    DeltaUpdater(updater.tree.path, listeners=(told.append,), options=UNSIGNED).update(
        MemorySource(NEW)
    )

    placed = [each for each in told if isinstance(each, EntryPlaced) and "m.gguf" in each.path]
    proved = [each for each in told if isinstance(each, EntryVerified) and "m.gguf" in each.path]
    assert [each.how in ("cloned", "linked") for each in placed] == [True]
    assert [each.by_hash for each in proved] == [False]


def test_defect_13_the_old_or_the_new_release_is_current_at_every_moment(tmp_path: Path) -> None:
    """The whole of it is tests/crash; here: right before and right after the one commit point."""
    root = tmp_path / TOOL_ID
    DeltaUpdater(root, options=UNSIGNED).update(MemorySource(OLD))
    probe = FaultyDisk()
    DeltaUpdater(root, disk=probe, options=UNSIGNED).update(MemorySource(NEW))
    commit = 1 + max(n for n, call in enumerate(probe.calls) if call.endswith(" current.txt"))
    for moment, expected in ((commit - 1, "1.0.0"), (commit, "1.1.0")):
        root = tmp_path / str(moment) / TOOL_ID
        DeltaUpdater(root, options=UNSIGNED).update(MemorySource(OLD))
        with pytest.raises(Stopped):
            DeltaUpdater(root, disk=FaultyDisk(stop_after=moment), options=UNSIGNED).update(
                MemorySource(NEW)
            )
        assert DeltaUpdater(root, options=UNSIGNED).tree.current_version() == expected


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: modes")
def test_defect_14_executables_are_executable(package: Path, updater: DeltaUpdater) -> None:
    with zipfile.ZipFile(package) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    updater.update_from_zip(package)

    assert stat.S_IMODE(modes["run.sh"]) == 0o755
    assert os.access(updater.tree.release("1.0.0") / "run.sh", os.X_OK)
    assert not os.access(updater.tree.release("1.0.0") / "models/m.gguf", os.X_OK)


def test_defect_15_a_package_holds_what_its_manifest_lists_and_nothing_else(
    package: Path, updater: DeltaUpdater
) -> None:
    assert LITTER.keys().isdisjoint(listed_in(package))

    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("unlisted.txt", b"never verified")
    with pytest.raises(PackageInvalid):
        updater.update_from_zip(package)


def test_defect_16_the_first_wrong_file_ends_the_run(updater: DeltaUpdater) -> None:
    source = MemorySource(OLD)
    first = OLD.manifest.entries[0].sha256
    source.lie(first, other_bytes)

    with pytest.raises(bitstation.BitStationError) as failure:
        updater.update(source)

    assert failure.value.code == "digest-mismatch"
    assert source.fetched == [first]


def test_defect_17_a_tool_id_is_lower_case_and_names_twins_collide() -> None:
    assert tool_id_fault("BM-Generator") is not None
    assert tool_id_fault("bm-generator") is None
    assert list(collisions(["Models/a.bin", "models/b.bin"]))


def test_defect_18_a_version_has_one_content_for_ever(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    other = make_release({"main.py": b"print(9)\n"}, "1.0.0")

    with pytest.raises(ReleaseConflict):
        updater.update(MemorySource(other))


def test_defect_19_bytes_and_deletions_are_counted_where_they_happen(
    updater: DeltaUpdater,
) -> None:
    updater.update(MemorySource(OLD))
    source = MemorySource(NEW)
    changed = next(entry for entry in NEW.manifest.entries if entry.path == "main.py")
    lies = [other_bytes]
    source.lie(changed.sha256, lambda data: lies.pop()(data) if lies else data)

    stats = updater.update(source)

    assert stats.bytes_downloaded == 2 * changed.size, "the wrong bytes crossed the wire too"
    assert stats.files_deleted == 0


def test_defect_20_models_are_files_of_the_release(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(OLD))
    assert "models/m.gguf" in {entry.path for entry in current(updater)}
    other_tool = make_release({"weights.gguf": MODEL}, tool_id="other-tool")
    source = MemorySource(other_tool)

    stats = DeltaUpdater(updater.tree.path.parent / "other-tool", options=UNSIGNED).update(source)

    assert (stats.files_downloaded, source.fetched) == (0, []), "shared with the tool that has it"


def test_defect_21_nothing_claims_to_warm_a_gpu() -> None:
    assert not hasattr(DeltaUpdater, "flash_gpu")


def test_defect_22_the_tests_can_fail(updater: DeltaUpdater) -> None:
    """The invariants that every crash test asserts do notice a broken release."""
    updater.update(MemorySource(OLD))
    invariants = Invariants(updater.root.path)
    (updater.tree.release("1.0.0") / "main.py").write_bytes(b"print(6)\n")

    assert invariants.broken(TOOL_ID, [OLD.manifest], absent=False)


def test_defect_23_the_sample_tool_keeps_the_runner_protocol(tmp_path: Path) -> None:
    tool = Path(__file__).parents[2] / "tools" / "add"
    given, answer = tmp_path / "in.json", tmp_path / "out.json"
    given.write_text('{"numbers": [1, 2, 3.5]}', "utf-8")
    command = [sys.executable, "main.py", "--input", str(given), "--output", str(answer)]

    done = subprocess.run(command, cwd=tool, check=False, timeout=60)

    assert done.returncode == 0
    assert "6.5" in answer.read_text("utf-8")


def test_defect_24_no_code_of_ours_touches_git_or_moves_a_tag() -> None:
    sources = Path(bitstation.__file__).parent.rglob("*.py")
    assert not [path for path in sources if '"git"' in path.read_text("utf-8")]


def current(updater: DeltaUpdater) -> tuple[Entry, ...]:
    """Entries of the active release."""
    manifest = updater.tree.manifest(updater.tree.current_version() or "")
    assert manifest is not None
    return manifest.entries


def listed_in(package: Path) -> list[str]:
    """Paths that the manifest in a package lists."""
    with zipfile.ZipFile(package) as archive:
        return [entry.path for entry in parse_manifest(archive.read("manifest.json")).entries]
