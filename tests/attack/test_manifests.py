"""Group M of the threats, 1 to 15 and 19 to 21: what is no manifest, each case by name.

From every kind of source and at HQ. A manifest that breaks one rule is refused as a whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bitstation import DeltaUpdater
from bitstation.errors import NotFound, ToolFolderInvalid, UsageError
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import UNSIGNED
from tests.attack.entrances import INVALID, Entrances, memory_below
from tests.attack.machine import NEW, Machine, document_of, package_of, rehashed, with_rows
from tests.engine.publisher_tools import pack, write_tool

MB = 1_000_000


def row(**fields: Any) -> dict[str, Any]:
    """A row that is right but for those fields."""
    return {"path": "new.py", "sha256": "a" * 64, "size": 1, "url": "", **fields}


@pytest.mark.parametrize("data", [b"", b" ", b"\n"])
def test_m01_empty(entrances: Entrances, data: bytes) -> None:
    entrances.refuse(data, "not JSON")


@pytest.mark.parametrize("data", [b"MZ\x90", b"<html></html>", b"{", b"{}{}", b"{'a': 1}", b"\xff"])
def test_m02_not_json(entrances: Entrances, data: bytes) -> None:
    entrances.refuse(data, "not UTF-8" if data[0] > 127 or data[:2] == b"MZ" else "not JSON")


@pytest.mark.parametrize("value", [[], [NEW.manifest.document], "text", 1, None, True])
def test_m03_array(entrances: Entrances, value: Any) -> None:
    entrances.refuse(json.dumps(value).encode(), "not a JSON object")


def test_m04_100_mb(entrances: Entrances) -> None:
    data = b" " * (100 * MB) + NEW.manifest.encode()
    entrances.refuse(data)


def test_m04_100_mb_are_not_read(machine: Machine, tmp_path: Path) -> None:
    """In a folder and in a package there is more to find than what the limit lets in."""
    folder = NEW.write(tmp_path / "release")
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(100 * MB)
    package = package_of(tmp_path / "tool.zip", bytes(100 * MB))
    for source in (folder, package):
        with memory_below(80 * MB):
            machine.refuses_update(source, INVALID, "33554432 bytes")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_m05_nesting(entrances: Entrances, opening: str) -> None:
    entrances.refuse((opening * 100_000).encode(), "nested too deeply")


@pytest.mark.parametrize("depth", [70, 100_000])
def test_m05_nesting_within(entrances: Entrances, depth: int) -> None:
    """In a field that nobody knows, well formed to its end."""
    data = NEW.manifest.encode()[:-1] + b', "more": ' + b"[" * depth + b"]" * depth + b"}"
    entrances.refuse(data, "nested deeper" if depth == 70 else "nested too deeply")


def test_m06_1_000_000_files(entrances: Entrances) -> None:
    """So many rows of any use are over the limit of bytes too; these are not."""
    entrances.refuse(document_of(files=[{}] * 1_000_000), "more than 100000 entries")


def test_m06_100_001_files(entrances: Entrances) -> None:
    entrances.refuse(document_of(files=[row()] * 100_001), "more than 100000 entries")


def test_m07_negative_size(entrances: Entrances) -> None:
    entrances.refuse(with_rows(row(size=-1)), "size of 'new.py'")


@pytest.mark.parametrize("size", [2**53, 2**53 + 1])
def test_m08_2_to_53_plus_1(entrances: Entrances, size: int) -> None:
    entrances.refuse(with_rows(row(size=size)), "not an integer within 2^53")


@pytest.mark.parametrize("size", [2**63, -(2**63) - 1, 2**64, 10**400])
def test_m09_2_to_63(entrances: Entrances, size: int) -> None:
    entrances.refuse(with_rows(row(size=size)), "not an integer within 2^53")


@pytest.mark.parametrize("text", ["1.0", "1e3", "1E400", "-0", "-0.0", "NaN", "-Infinity"])
def test_m10_float(entrances: Entrances, text: str) -> None:
    """Wherever it stands: two readers could hash two numbers."""
    manifest = json.dumps(with_rows(row(size=77777))).replace("77777", text)
    entrances.refuse(manifest.encode(), "not an integer")
    manifest = json.dumps(document_of(more={"a": [77777]})).replace("77777", text)
    entrances.refuse(manifest.encode(), "not an integer")


@pytest.mark.parametrize("size", ["1", "", True, None, [1], {}])
def test_m11_string_number(entrances: Entrances, size: Any) -> None:
    entrances.refuse(with_rows(row(size=size)), "size of 'new.py'")


def test_m12_sha_in_capitals(entrances: Entrances) -> None:
    entrances.refuse(with_rows(row(sha256="A" * 64)), "sha256 of 'new.py'")


@pytest.mark.parametrize(
    "sha256",
    ["a" * 63, "a" * 65, "g" * 64, "", None, 5, "a" * 63 + "\n", "\uff11" * 64],
)
def test_m13_sha_of_another_form(entrances: Entrances, sha256: Any) -> None:
    entrances.refuse(with_rows(row(sha256=sha256)), "sha256 of 'new.py'")


def test_m14_duplicate_paths(entrances: Entrances) -> None:
    entrances.refuse(with_rows("main.py"), "is listed twice")
    entrances.refuse(with_rows(row(), row(sha256="b" * 64)), "is listed twice")


@pytest.mark.parametrize("path", ["lib", "lib/deep", "main.py/x", "lib/x.py/a/b"])
def test_m15_file_and_directory(entrances: Entrances, path: str) -> None:
    entrances.refuse(with_rows(path), "is both a file and a folder")


@pytest.mark.parametrize("version", ["2.0", "1", "1.0 ", "", 1, True, None, ["1.0"]])
def test_m19_unknown_manifest_version(entrances: Entrances, version: Any) -> None:
    entrances.refuse(rehashed(document_of(manifest_version=version)), "manifest_version")


TOOL_IDS = [
    "a/b",
    "..",
    "../x",
    "/a",
    "a\0b",
    "con",
    "lpt1",
    "x" * 300,
    "Sample-Tool",
    "SAMPLE-TOOL",
]
TOOL_IDS += ["-a", "a-", "a b", "a.b", "", "\u0131d", "sample-tool\n", ".bitstation"]


@pytest.mark.parametrize("tool_id", [*TOOL_IDS, None, 5])
def test_m20_tool_id(entrances: Entrances, tool_id: Any) -> None:
    entrances.refuse(rehashed(document_of(tool_id=tool_id)), "tool_id")


@pytest.mark.parametrize("tool_id", TOOL_IDS)
def test_m20_tool_id_at_publish(publisher: Path, tool_id: str) -> None:
    with pytest.raises(ToolFolderInvalid, match="tool_id"):
        pack(publisher / "dist", write_tool(publisher / "tool", tool_id=tool_id))
    assert not (publisher / "dist").exists()


@pytest.mark.parametrize("tool_id", ["Sample-Tool", "con", "x" * 300, "a b", ".bitstation", ".."])
def test_m20_tool_id_as_a_folder(tmp_path: Path, tool_id: str) -> None:
    with pytest.raises(UsageError, match="tool_id"):
        DeltaUpdater(tmp_path / tool_id, options=UNSIGNED)
    assert not any(tmp_path.iterdir())


VERSIONS = ["..", "v1.1.0", "", "1.1", "1.1.0/../x", "01.1.0", "1.1.0\n", "\uff11.1.0", "1.1.0-"]
VERSIONS += ["1.1.0+", "1.1.0 ", "1.1.0-" + "a" * 60, ".staging", "1.1.0\0", "latest"]


@pytest.mark.parametrize("version", [*VERSIONS, None, 1, 1.1])
def test_m21_version(entrances: Entrances, version: Any) -> None:
    words = "not an integer" if isinstance(version, float) else "version"
    entrances.refuse(rehashed(document_of(tool_version=version)), words)


@pytest.mark.parametrize("version", VERSIONS)
def test_m21_version_at_publish(publisher: Path, version: str) -> None:
    with pytest.raises(ToolFolderInvalid, match="version"):
        pack(publisher / "dist", write_tool(publisher / "tool", version=version))
    assert not (publisher / "dist").exists()


@pytest.mark.parametrize("version", ["..", "../1.1.0", "v1.1.0", "latest", ".staging"])
def test_m21_version_asked_for(machine: Machine, version: str) -> None:
    """By whoever calls, or by an HQ that requires it: no release answers to it."""
    source = MemorySource(NEW)
    machine.refuses(lambda: machine.updater.update(source, version), NotFound, exit_code=40)
