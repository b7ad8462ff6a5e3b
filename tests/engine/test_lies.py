"""A source may say anything: no wrong byte is ever activated, and nothing outside is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.core.canonical import pretty_bytes
from bitstation.core.manifest import MAX_ENTRIES, MAX_MANIFEST_BYTES, manifest_hash_of
from bitstation.errors import DigestMismatch, ManifestError, SourceError
from bitstation.testing.invariants import Invariants, check_settled, look_at
from bitstation.testing.memory_source import (
    Lie,
    MemorySource,
    cut_short,
    drawn_out,
    other_bytes,
)
from bitstation.testing.releases import TOOL_ID, make_release
from tests.engine.conftest import MakeUpdater

OLD = make_release({"main.py": b"1" * 100, "lib.py": b"lib"}, "1.0.0")
NEW = make_release({"main.py": b"2" * 100, "lib.py": b"lib", "more.py": b"more"}, "1.1.0")
MAIN = NEW.manifest.entries[1].sha256


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    updater.update(MemorySource(OLD))
    return updater


def is_refused(updater: DeltaUpdater, source: MemorySource, *kinds: type[BitStationError]) -> None:
    """The update fails with one of these and the old release stays as it was, every byte of it."""
    invariants = Invariants(updater.root.path)
    before = look_at(updater.tree.release("1.0.0"))
    with pytest.raises(kinds):
        updater.update(source)
    invariants.check(TOOL_ID, OLD.manifest)
    assert look_at(updater.tree.release("1.0.0")) == before
    assert updater.tree.kept_versions() == ["1.0.0"]


# --- contents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (other_bytes, DigestMismatch),
        (cut_short, SourceError),
        (lambda _data: b"", SourceError),
        (lambda _data: b"<html>log in</html>" * 100, DigestMismatch),
    ],
    ids=["other bytes", "cut short", "nothing", "a captive portal"],
)
def test_wrong_contents_activate_nothing(
    installed: DeltaUpdater, lie: Lie, kind: type[BitStationError]
) -> None:
    source = MemorySource(NEW)
    source.lie(MAIN, lie)
    is_refused(installed, source, kind)
    source.tell_truth()
    installed.update(source)
    Invariants(installed.root.path).check(TOOL_ID, NEW.manifest)
    check_settled(installed.tree)


def test_what_follows_a_content_is_not_read(installed: DeltaUpdater) -> None:
    source = MemorySource(NEW)
    source.lie(MAIN, drawn_out)
    stats = installed.update(source)
    assert stats.bytes_downloaded == 100 + 4
    Invariants(installed.root.path).check(TOOL_ID, NEW.manifest)


def test_two_files_swapped_are_refused(installed: DeltaUpdater) -> None:
    new = make_release({"a": b"aaaa", "b": b"bbbb"}, "1.1.0")
    source = MemorySource(new)
    source.lie(new.manifest.entries[0].sha256, lambda _data: b"bbbb")
    source.lie(new.manifest.entries[1].sha256, lambda _data: b"aaaa")
    is_refused(installed, source, DigestMismatch)


def test_a_file_that_is_said_to_be_empty_and_has_a_digest_is_refused(
    installed: DeltaUpdater,
) -> None:
    source = MemorySource(NEW)
    source.offer_bytes(TOOL_ID, "1.1.0", with_row(1, size=0))
    is_refused(installed, source, DigestMismatch)


@pytest.mark.parametrize("size", [1, 99, 101, 10_000])
def test_a_false_size_is_refused_also_where_the_content_is_here(
    installed: DeltaUpdater, size: int
) -> None:
    source = MemorySource(NEW)
    source.offer_bytes(TOOL_ID, "1.1.0", with_row(0, size=size))
    is_refused(installed, source, DigestMismatch, SourceError)


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/x",
        "\\\\server\\share\\x",
        "data:text/plain,evil",
        "javascript:alert(1)",
        "",
    ],
)
def test_addresses_of_a_manifest_are_not_followed(
    make_updater: MakeUpdater,
    monkeypatch: pytest.MonkeyPatch,
    opened: list[Path],
    url: str,
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("it went to the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    source = MemorySource(NEW)
    source.offer_bytes(TOOL_ID, "1.1.0", with_row(1, url=url))

    make_updater().update(source)

    assert {asked.digest for asked in source.asked} == set(NEW.blobs)
    assert not [path for path in opened if path.name == "passwd"]


# --- manifests -----------------------------------------------------------------------------------


def with_row(number: int, **changes: object) -> bytes:
    """The new manifest with a changed row, and its right hash."""
    rows: list[Any] = [dict(row) for row in NEW.manifest.document["files"]]  # type: ignore[union-attr, arg-type]
    rows[number].update(changes)
    return with_fields(files=rows)


def with_fields(**changes: Any) -> bytes:
    document = {**NEW.manifest.document, **changes}
    document["manifest_hash"] = manifest_hash_of(document)
    return pretty_bytes(document)


def row(path: str) -> dict[str, object]:
    return {"path": path, "sha256": "0" * 64, "size": 1, "url": ""}


TEXT = NEW.manifest.encode().decode()
BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "not JSON": lambda: b"{]",
    "an array": lambda: b"[]",
    "null": lambda: b"null",
    "a byte order mark": lambda: b"\xef\xbb\xbf" + TEXT.encode(),
    "UTF-16": lambda: TEXT.encode("utf-16"),
    "a repeated key": lambda: TEXT.replace('"tool_id"', '"tool_id": "x", "tool_id"', 1).encode(),
    "trailing words": lambda: TEXT.encode() + b"{}",
    "deeply nested": lambda: b"[" * 100_000 + b"]" * 100_000,
    "NaN": lambda: TEXT.replace('"files"', '"x": NaN, "files"').encode(),
    "a float size": lambda: TEXT.replace('"size": 100', '"size": 100.0').encode(),
    "a huge number": lambda: TEXT.replace('"size": 100', '"size": 1e400').encode(),
    "a text size": lambda: with_row(1, size="100"),
    "a true size": lambda: with_row(1, size=True),
    "a negative size": lambda: with_row(1, size=-1),
    "a size over 2^53": lambda: TEXT.replace('"size": 100', f'"size": {2**53 + 1}').encode(),
    "no size": lambda: with_fields(files=[{"path": "a", "sha256": "0" * 64}]),
    "an upper-case digest": lambda: with_row(1, sha256=MAIN.upper()),
    "a short digest": lambda: with_row(1, sha256=MAIN[:-1]),
    "a digest with a line end": lambda: with_row(1, sha256=MAIN[:-1] + "\n"),
    "no files": lambda: with_fields(files=[]),
    "files that are no list": lambda: with_fields(files={}),
    "an unknown version of the format": lambda: with_fields(manifest_version="2.0"),
    "no version of the format": lambda: TEXT.replace("manifest_version", "version").encode(),
    "a version with v": lambda: with_fields(tool_version="v1.1.0"),
    "a wrong hash": lambda: TEXT.replace('"created_at"', '"x": 1, "created_at"').encode(),
    "a duplicate path": lambda: with_fields(files=[row("a"), row("a")]),
    "twins of case": lambda: with_fields(files=[row("a/B"), row("A/c")]),
    "twins of Unicode": lambda: with_fields(files=[row("\u00c5"), row("\u212b")]),
    "a file and a folder": lambda: with_fields(files=[row("a"), row("a/b")]),
    "two sizes of one content": lambda: with_fields(files=[row("a"), {**row("b"), "size": 2}]),
    "a path upwards": lambda: with_row(1, path="../main.py"),
    "an absolute path": lambda: with_row(1, path="/main.py"),
    "a reserved name": lambda: with_row(1, path="NUL.txt"),
    "a path in user_data": lambda: with_row(1, path="user_data/x"),
    "a path in .VENV": lambda: with_row(1, path=".VENV/x"),
    "another tool": lambda: with_fields(tool_id="other-tool"),
    "too many entries": lambda: with_fields(files=[row(f"f{n}") for n in range(MAX_ENTRIES + 1)]),
    "too large": lambda: b" " * (MAX_MANIFEST_BYTES + 1),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_manifest_is_refused_and_changes_nothing(installed: DeltaUpdater, name: str) -> None:
    source = MemorySource(NEW)
    source.offer_bytes(TOOL_ID, "1.1.0", BAD[name]())
    before = look_at(installed.tree.path / "releases")

    with pytest.raises(BitStationError) as failure:
        installed.update(source)

    expected = 31 if name == "another tool" else 30
    assert failure.value.exit_code == expected
    assert isinstance(failure.value, ManifestError) or expected == 31
    assert source.asked == []
    assert look_at(installed.tree.path / "releases") == before
    assert len(str(failure.value)) < 20_000, "a hostile manifest cannot flood the log"
    json.dumps(str(failure.value))
