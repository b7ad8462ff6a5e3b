"""Each check of a manifest by itself: one thing is wrong, and exactly that is named."""

from __future__ import annotations

from typing import Any

import pytest

from bitstation.core import manifest as module
from bitstation.core.canonical import MAX_INTEGER, pretty_bytes
from bitstation.core.digest import EMPTY, digest_of
from bitstation.core.manifest import (
    DELETE_POLICIES,
    MAX_URL_CHARS,
    inspect_manifest,
    manifest_from,
    manifest_hash_of,
    parse_manifest,
)
from bitstation.errors import ManifestError, ManifestHashMismatch

DIGEST = digest_of(b"x")
ROW = {"path": "a", "sha256": DIGEST, "size": 1, "url": "https://x/a"}
OTHER = {"path": "b", "sha256": EMPTY, "size": 0}
HEAD = {
    "manifest_version": "1.0",
    "tool_id": "tool",
    "tool_version": "1.0.0",
    "created_at": "2026-11-23T08:00:00Z",
    "delete_policy": "manual",
    "ignore_globs": ["*.tmp", "cache/**"],
}


def document(*rows: Any, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {**HEAD, "files": list(rows) or [ROW, OTHER], **changes}
    return {**made, "manifest_hash": manifest_hash_of(made)}


def fault_of(made: dict[str, Any], **ways: bool) -> str:
    with pytest.raises(ManifestError) as failure:
        manifest_from(made, **ways)
    (fault,) = failure.value.faults
    return fault


def test_it_is_read_as_it_stands() -> None:
    found = manifest_from(document())
    assert (found.tool_id, found.tool_version) == ("tool", "1.0.0")
    assert (found.delete_policy, found.ignore_globs) == ("manual", ("*.tmp", "cache/**"))
    assert [entry.path for entry in found.entries] == ["a", "b"]
    assert found.created_at == "2026-11-23T08:00:00Z"
    assert found.total_bytes == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"manifest_version": "1.1"}, "manifest_version is not '1.0'"),
        ({"manifest_version": None}, "manifest_version is not '1.0'"),
        ({"tool_id": "Tool"}, "tool_id 'Tool' is not"),
        ({"tool_version": "v1"}, "tool_version: version 'v1' is not"),
        ({"created_at": 5}, "created_at is not"),
        ({"created_at": "yesterday"}, "created_at is not"),
        ({"delete_policy": 5}, "delete_policy is not a string"),
        ({"ignore_globs": "*"}, "ignore_globs is not a list of strings"),
        ({"ignore_globs": ["*", 5]}, "ignore_globs is not a list of strings"),
        ({"api_contract": "x"}, "api_contract is not"),
        ({"files": []}, "files is not a list"),
        ({"files": {"a": ROW}}, "files is not a list"),
    ],
    ids=str,
)
def test_a_wrong_head_is_named(changes: dict[str, Any], fault: str) -> None:
    assert fault_of(document(**changes)).startswith(fault)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a", "files[0]: not an object"),
        ({**ROW, "path": 5}, "files[0]: path is not a string"),
        ({**ROW, "path": "../a"}, "files[0]: path '../a': "),
        ({**ROW, "path": "Manifest.json"}, "files[0]: path 'Manifest.json' belongs to"),
        ({**ROW, "path": "venv/a"}, "files[0]: path 'venv/a' belongs to the runtime scope"),
        ({**ROW, "path": "output/a"}, "files[0]: path 'output/a' belongs to the user scope"),
        ({**ROW, "sha256": DIGEST.upper()}, "files[0]: sha256 of 'a' is not"),
        ({**ROW, "size": -1}, "files[0]: size of 'a' is not"),
        ({**ROW, "size": MAX_INTEGER + 1}, "files[0]: size of 'a' is not"),
        ({**ROW, "size": True}, "files[0]: size of 'a' is not"),
        ({**ROW, "size": "1"}, "files[0]: size of 'a' is not"),
        ({**ROW, "url": 5}, "files[0]: url of 'a' is not"),
        ({**ROW, "url": "u" * (MAX_URL_CHARS + 1)}, "files[0]: url of 'a' is not"),
        ({**ROW, "executable": 1}, "files[0]: executable of 'a' is not"),
        ({**OTHER, "sha256": DIGEST, "size": 2}, "'a' states another size"),
        ({**OTHER, "path": "A"}, "'a' collides with 'A'"),
    ],
    ids=str,
)
def test_a_wrong_row_is_named(row: Any, fault: str) -> None:
    assert fault_of(document(row, ROW)).startswith(fault)


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "size": 0},
        {**ROW, "size": MAX_INTEGER},
        {**ROW, "url": "u" * MAX_URL_CHARS},
        {**ROW, "url": ""},
        {**ROW, "executable": True},
        {**OTHER, "path": "c"},
    ],
    ids=str,
)
def test_what_just_passes_passes(row: dict[str, Any]) -> None:
    assert len(manifest_from(document(row, OTHER)).entries) == 2


def test_any_policy_is_read_and_an_absent_one_is_safe() -> None:
    for policy in (*DELETE_POLICIES, "unknown"):
        assert manifest_from(document(delete_policy=policy)).delete_policy == policy
    bare = {key: value for key, value in HEAD.items() if key not in ("delete_policy", "created_at")}
    bare["files"] = [ROW]
    found = manifest_from({**bare, "manifest_hash": manifest_hash_of(bare)})
    assert (found.delete_policy, found.created_at) == ("safe", None)


@pytest.mark.parametrize("path", ["output/a", "venv/a", "x/node_modules/a"])
def test_other_scopes_are_taken_where_they_may_be(path: str) -> None:
    made = document({**ROW, "path": path})
    for way in ("any_scope", "legacy"):
        assert manifest_from(made, **{way: True}).entries[0].path == path
    assert inspect_manifest(pretty_bytes(made)).problems == ()


@pytest.mark.parametrize("way", ["any_scope", "legacy"])
def test_a_twin_of_the_manifest_is_taken_nowhere(way: str) -> None:
    fault = fault_of(document({**ROW, "path": "MANIFEST.json"}), **{way: True})
    assert fault.startswith("files[0]: path 'MANIFEST.json' belongs to")


def test_a_manifest_that_lists_itself_is_read_without_that_row() -> None:
    made = document({**ROW, "path": "manifest.json", "size": 99}, ROW)
    found = manifest_from(made)
    assert [entry.path for entry in found.entries] == ["a"]
    assert found.manifest_hash == made["manifest_hash"] != document(ROW)["manifest_hash"]
    assert inspect_manifest(pretty_bytes(made)).lists_itself
    assert not inspect_manifest(pretty_bytes(document())).lists_itself


@pytest.mark.parametrize("stated", [None, 5, "a" * 63, DIGEST])
def test_only_legacy_takes_a_hash_that_does_not_recompute(stated: object) -> None:
    made = document()
    wrong = {**made, "manifest_hash": stated}
    if stated == DIGEST:
        with pytest.raises(ManifestHashMismatch):
            manifest_from(wrong)
    else:
        assert fault_of(wrong).startswith("manifest_hash is not 64")
    found = manifest_from(wrong, legacy=True)
    assert found.manifest_hash == found.document["manifest_hash"] == made["manifest_hash"]
    assert manifest_from(made, legacy=True).manifest_hash == made["manifest_hash"]


def test_text_that_has_no_canonical_form_is_refused() -> None:
    lone = {**HEAD, "files": [ROW], "note": "\ud800", "manifest_hash": DIGEST}
    assert fault_of(lone).startswith("lone surrogate")
    data = pretty_bytes({**lone, "note": "?"}).replace(b'"?"', b'"\\ud800"')
    (problem,) = inspect_manifest(data).problems
    assert "lone surrogate" in problem


def test_a_manifest_beyond_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pretty_bytes(document())
    monkeypatch.setattr(module, "MAX_MANIFEST_BYTES", len(data))
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    assert parse_manifest(data).tool_id == "tool"
    with pytest.raises(ManifestError, match="larger than"):
        parse_manifest(data + b" ")
    assert fault_of(document(ROW, OTHER, OTHER)) == "more than 2 entries"


@pytest.mark.parametrize("text", ["[]", '"a"', "5", "null"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="not a JSON object"):
        parse_manifest(text.encode())


# --- an inspection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        ({"files": 5}, ["files is not a list"]),
        ({"files": [5, ROW]}, ["files[0]: not an object"]),
        ({"files": [{**ROW, "size": -1}]}, ["files[0]: size of 'a'"]),
        ({"tool_id": 5, "files": [5]}, ["tool_id 5 is not", "files[0]: not an object"]),
        ({"manifest_hash": 5}, ["manifest_hash is not 64"]),
        ({"manifest_hash": DIGEST}, [f"the manifest states manifest_hash {DIGEST} but"]),
    ],
    ids=str,
)
def test_an_inspection_names_each_problem_once(
    changes: dict[str, Any], problems: list[str]
) -> None:
    made = document(**changes) | {key: changes[key] for key in changes if key == "manifest_hash"}
    report = inspect_manifest(pretty_bytes(made))
    assert len(report.problems) == len(problems)
    for problem, start in zip(report.problems, problems, strict=True):
        assert problem.startswith(start)
    assert report.computed == manifest_hash_of(made)
    assert report.stated == (None if changes.get("manifest_hash") == 5 else made["manifest_hash"])
    assert not report.lists_itself
