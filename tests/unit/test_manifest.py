"""manifest.json: what is hashed, refused and written; engine/test_lies has the bad ones."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.canonical import pretty_bytes
from bitstation.core.digest import digest_of
from bitstation.core.manifest import (
    DATE_TIME_PATTERN,
    MAX_ENTRIES,
    Entry,
    build_manifest,
    file_url,
    inspect_manifest,
    manifest_hash_of,
    parse_manifest,
)
from bitstation.errors import ManifestError, ManifestHashMismatch
from bitstation.testing.releases import CREATED_AT, make_release

DIGEST = digest_of(b"x")
MADE = make_release(
    {"b.txt": b"b", "a/é.txt": b"a", "run.sh": b"#!"}, executables=["run.sh"]
).manifest


def document(**changes: Any) -> dict[str, Any]:
    made = {**MADE.document, **changes}
    made["manifest_hash"] = manifest_hash_of(made)
    return made


def row(path: str = "a", **changes: Any) -> dict[str, Any]:
    return {"path": path, "sha256": DIGEST, "size": 1, "url": "", **changes}


def faults_of(made: object) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as failure:
        parse_manifest(pretty_bytes(made))  # type: ignore[arg-type]
    return failure.value.faults


# --- the hash ----------------------------------------------------------------------------------


def test_the_hash_is_the_one_that_the_contract_describes() -> None:
    covered = {
        key: value
        for key, value in MADE.document.items()
        if key not in ("manifest_hash", "created_at")
    }
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert MADE.manifest_hash == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_the_moment_of_making_is_not_covered_and_all_else_is() -> None:
    later = document(created_at="2030-01-01T00:00:00Z")
    assert later["manifest_hash"] == MADE.manifest_hash
    for change in ({"delete_policy": "manual"}, {"ignore_globs": []}, {"unknown": None}):
        assert document(**change)["manifest_hash"] != MADE.manifest_hash
    moved = [{**each, "url": "https://elsewhere/" + each["path"]} for each in document()["files"]]
    assert document(files=moved)["manifest_hash"] != MADE.manifest_hash
    assert document(files=document()["files"][::-1])["manifest_hash"] != MADE.manifest_hash


@given(st.dictionaries(st.text("abcü", min_size=1), st.integers(0, 99), max_size=5))
def test_unknown_fields_are_kept_and_hashed(unknown: dict[str, int]) -> None:
    made = document(**{f"x-{key}": value for key, value in unknown.items()})
    parsed = parse_manifest(pretty_bytes(made))
    assert parsed.document == made
    assert parse_manifest(parsed.encode()).manifest_hash == parsed.manifest_hash
    if unknown:
        spoiled = {key: value for key, value in made.items() if not key.startswith("x-")}
        with pytest.raises(ManifestHashMismatch):
            parse_manifest(pretty_bytes(spoiled))


def test_the_spelling_of_the_file_changes_nothing() -> None:
    compact = json.dumps(MADE.document, ensure_ascii=True).encode()
    assert parse_manifest(compact).manifest_hash == MADE.manifest_hash


# --- building and writing ------------------------------------------------------------------------


def test_entries_are_sorted_by_code_point_and_only_true_bits_are_written() -> None:
    assert [entry.path for entry in MADE.entries] == ["a/é.txt", "b.txt", "run.sh"]
    rows = MADE.document["files"]
    assert [each.get("executable", "absent") for each in rows] == ["absent", "absent", True]  # type: ignore[union-attr]
    upper = build_manifest(
        "t",
        "1.0.0",
        [Entry(p, DIGEST, 1) for p in ("a", "é", "Z")],
        created_at=CREATED_AT,
        fields={},
    )
    assert [entry.path for entry in upper.entries] == ["Z", "a", "é"]


def test_it_is_written_with_indents_of_two_unescaped_without_bom() -> None:
    data = MADE.encode()
    assert data.startswith(b'{\n  "manifest_version": "1.0",\n')
    assert "a/é.txt".encode() in data
    assert b"\r" not in data
    assert MADE.created_at == CREATED_AT
    assert MADE.total_bytes == 4


def test_what_is_built_must_be_readable() -> None:
    with pytest.raises(ManifestError, match="is not a name"):
        build_manifest("t", "1.0.0", [Entry("../x", DIGEST, 1)], created_at=CREATED_AT, fields={})


@pytest.mark.parametrize("base", ["https://hq/tools/", "https://hq/tools"])
def test_an_address_quotes_only_the_path(base: str) -> None:
    url = file_url(base, "tool", "1.0.0+b", "a b/ñ#?%.txt")
    assert url == "https://hq/tools/tool/1.0.0+b/files/a%20b/%C3%B1%23%3F%25.txt"


# --- reading -----------------------------------------------------------------------------------


def test_every_fault_is_named_at_once() -> None:
    found = faults_of(
        {
            "manifest_version": "2.0",
            "tool_id": "No!",
            "tool_version": "v1",
            "created_at": "yesterday",
            "delete_policy": 1,
            "ignore_globs": ["x", 2],
            "manifest_hash": "short",
            "files": [1, row("../x"), row("a", sha256="no"), row("b", size=-1), row("c", url=7)],
        }
    )
    text = "\n".join(found)
    for word in ("manifest_version", "tool_id", "tool_version", "created_at", "delete_policy"):
        assert word in text
    for word in ("ignore_globs", "manifest_hash", "files[0]", "files[1]", "files[2]", "files[3]"):
        assert word in text
    assert "files[4]: url" in text


def test_a_hostile_document_cannot_make_the_message_endless() -> None:
    rows = [row(f"../{n}") for n in range(MAX_ENTRIES)]
    with pytest.raises(ManifestError) as failure:
        parse_manifest(json.dumps(document(files=rows)).encode())
    assert len(str(failure.value)) < 10_000
    assert "and 99980 more" in str(failure.value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-28T12:00:00Z",
        "2026-02-28T12:00:00.123456+00:00",
        "2026-12-31T23:59:60Z",
        "2026-02-28T12:00:00-05:30",
    ],
)
def test_moments_are_iso_8601_with_a_zone(text: str) -> None:
    assert parse_manifest(pretty_bytes(document(created_at=text))).created_at == text


@pytest.mark.parametrize(
    "text",
    ["2026-02-28", "2026-02-28T12:00:00", "2026-13-01T00:00:00Z", "2026-02-28T25:00:00Z",
     "2026-02-28T12:00:00Z\n", " 2026-02-28T12:00:00Z", "２026-02-28T12:00:00Z"],
)  # fmt: skip
def test_other_moments_are_not(text: str) -> None:
    assert any("created_at" in fault for fault in faults_of(document(created_at=text)))
    assert DATE_TIME_PATTERN.startswith("^")


def test_created_at_and_url_may_be_absent() -> None:
    made = document()
    del made["created_at"]
    made["files"] = [{k: v for k, v in each.items() if k != "url"} for each in made["files"]]
    made["manifest_hash"] = manifest_hash_of(made)
    parsed = parse_manifest(pretty_bytes(made))
    assert parsed.created_at is None
    assert parsed.entries[0].url == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dependencies", {"python_min": 3}),
        ("flash_gpu_config", {"enabled": "yes"}),
        ("flash_gpu_config", {"warmup_script": "../../evil.py"}),
        ("frontend", {"type": "web", "sha256": "no"}),
        ("frontend", {"entry": "C:/index.html"}),
        ("api_contract", "toolbridge"),
        ("capabilities", "none"),
    ],
)
def test_optional_fields_are_checked_where_they_stand(field: str, value: object) -> None:
    assert any(field in fault for fault in faults_of(document(**{field: value})))


def test_legacy_takes_the_true_hash_and_nothing_else() -> None:
    made = {**document(), "manifest_hash": "0" * 64}
    with pytest.raises(ManifestHashMismatch) as failure:
        parse_manifest(pretty_bytes(made))
    assert failure.value.fields["computed"] == MADE.manifest_hash
    parsed = parse_manifest(pretty_bytes(made), legacy=True)
    assert parsed.manifest_hash == MADE.manifest_hash
    assert parse_manifest(parsed.encode()) == parsed


def test_an_inspection_raises_nothing_and_says_everything() -> None:
    good = inspect_manifest(MADE.encode())
    assert (good.computed, good.stated, good.problems) == (MADE.manifest_hash,) * 2 + ((),)
    bad = inspect_manifest(b"[]")
    assert (bad.computed, bad.stated) == (None, None)
    assert "not a JSON object" in bad.problems[0]
    itself = inspect_manifest(pretty_bytes(document(files=[row("manifest.json"), row("a")])))
    assert (itself.lists_itself, itself.problems) == (True, ())


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    inspect_manifest(data)
    with pytest.raises(ManifestError):
        parse_manifest(data)


@given(st.data())
def test_a_manifest_with_any_one_value_replaced_is_read_or_refused(data: st.DataObject) -> None:
    values = st.none() | st.booleans() | st.integers(-2, 2**54) | st.text(max_size=3) | st.just([])
    made = document()
    target: Any = made
    if data.draw(st.booleans()):
        target = made["files"][0] = dict(made["files"][0])
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(values)
    try:
        parsed = parse_manifest(json.dumps(made).encode(), legacy=True)
    except ManifestError:
        return
    assert parse_manifest(parsed.encode(), any_scope=True).manifest_hash == parsed.manifest_hash
