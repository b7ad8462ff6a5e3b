"""Manifests as the original system made them: read where they are true, imported where asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.core.canonical import JsonValue, pretty_bytes
from bitstation.core.digest import digest_of
from bitstation.core.events import Event, GuardLowered
from bitstation.core.manifest import manifest_hash_of, parse_manifest
from bitstation.errors import ManifestError, ManifestHashMismatch
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker.run import Options
from tests.engine.conftest import MakeUpdater

OUTPUT = b"png"
LISTED = make_release({"main.py": b"1", "src/x.py": b"x"})
Rows = list[dict[str, JsonValue]]


def document(change: Callable[[Rows], None], *, true_hash: bool = True) -> bytes:
    """A manifest with other rows; its hash is right, or that of the rows before."""
    made = dict(LISTED.manifest.document)
    rows: Rows = [dict(row) for row in made["files"]]  # type: ignore[union-attr, arg-type]
    change(rows)
    made["files"] = rows  # type: ignore[assignment]
    if true_hash:
        made["manifest_hash"] = manifest_hash_of(made)
    return pretty_bytes(made)


def source_of(data: bytes) -> MemorySource:
    source = MemorySource(LISTED)
    source.add_blob(OUTPUT)
    source.offer_bytes(TOOL_ID, "1.0.0", data)
    return source


def lists_itself(rows: Rows) -> None:
    rows.append({"path": "manifest.json", "sha256": "0" * 64, "size": 7, "url": ""})


def lists_output(rows: Rows) -> None:
    row = {"path": "output/sample.png", "sha256": digest_of(OUTPUT), "size": len(OUTPUT)}
    rows.insert(1, row)


def renamed(rows: Rows) -> None:
    rows[0]["url"] = "edited by hand"


def test_an_entry_of_the_manifest_itself_is_read_and_never_installed(
    updater: DeltaUpdater,
) -> None:
    data = document(lists_itself)
    source = source_of(data)

    stats = updater.update(source)

    manifest_hash = parse_manifest(data).manifest_hash
    assert (stats.files_downloaded, stats.files_verified) == (2, 2)
    assert (updater.tree.release("1.0.0") / "manifest.json").read_bytes() == data
    assert updater.get_network_eligibility("1.0.0", manifest_hash) == Eligibility.ELIGIBLE
    assert updater.update(source).outcome == "nothing-to-do"


def test_a_hash_that_does_not_recompute_is_refused(updater: DeltaUpdater) -> None:
    with pytest.raises(ManifestHashMismatch) as failure:
        updater.update(source_of(document(renamed, true_hash=False)))
    assert "--legacy" in failure.value.advice()
    assert not updater.tree.path.exists()


@pytest.mark.parametrize("hash_field", ["wrong", "absent"])
def test_legacy_imports_it_under_its_true_hash_and_says_so(
    make_updater: MakeUpdater, hash_field: str
) -> None:
    told: list[Event] = []
    updater = make_updater(
        options=Options(allow_unsigned=True, legacy=True), listeners=(told.append,)
    )
    data = document(renamed, true_hash=False)
    if hash_field == "absent":
        stated = LISTED.manifest.manifest_hash
        data = data.replace(b'"manifest_hash": "' + stated.encode() + b'"', b'"was": ""')

    stats = updater.update(source_of(data))

    true_hash = parse_manifest(data, legacy=True).manifest_hash
    assert true_hash != LISTED.manifest.manifest_hash
    assert stats.manifest_hash == true_hash
    lowered = [event for event in told if isinstance(event, GuardLowered)]
    assert [(event.switch, event.detail) for event in lowered] == [("--legacy", true_hash)]
    assert updater.get_network_eligibility("1.0.0", true_hash) == Eligibility.ELIGIBLE
    stated_hash = LISTED.manifest.manifest_hash
    assert updater.get_network_eligibility("1.0.0", stated_hash) == Eligibility.OUTDATED
    assert make_updater().verify().damaged == ()


def test_entries_of_other_scopes_need_the_switch_and_stay_listed(
    make_updater: MakeUpdater,
) -> None:
    data = document(lists_output)
    with pytest.raises(ManifestError, match="user scope"):
        make_updater().update(source_of(data))

    updater = make_updater(options=Options(allow_unsigned=True, legacy=True))
    updater.update(source_of(data))

    assert (updater.tree.release("1.0.0") / "output/sample.png").read_bytes() == b"png"
    assert make_updater().verify(deep=True).verified == 3
    assert (
        make_updater().update(MemorySource(make_release({"a": b"a"}, "1.1.0"))).files_deleted == 3
    )


def test_the_switch_is_not_told_where_it_was_not_needed(make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    make_updater(
        options=Options(allow_unsigned=True, legacy=True), listeners=(told.append,)
    ).update(MemorySource(LISTED))
    assert not [event for event in told if isinstance(event, GuardLowered)]


@pytest.mark.parametrize(
    "path", ["../evil", "/evil", "C:/evil", "a\\b", "con", "Manifest.json", "a//b", "current.txt"]
)
def test_the_switch_lowers_no_guard_over_paths(make_updater: MakeUpdater, path: str) -> None:
    def evil(rows: Rows) -> None:
        rows[0]["path"] = path

    updater = make_updater(options=Options(allow_unsigned=True, legacy=True))
    with pytest.raises(ManifestError):
        updater.update(source_of(document(evil)))
    assert not updater.tree.path.exists()
