"""What programs read: ``--json`` is one object, ``--jsonl`` one event a line, stdout only data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitstation.testing.releases import TOOL_ID, Release, make_release
from tests.cli.conftest import NEW, OLD, OTHER, Bitstation, Shelf

UPDATE_FIELDS = {
    "tool_id": str,
    "from_version": str,
    "to_version": str,
    "manifest_hash": str,
    "files_downloaded": int,
    "files_verified": int,
    "files_verified_by_hash": int,
    "files_deleted": int,
    "files_unchanged": int,
    "bytes_downloaded": int,
    "bytes_reused": int,
    "bytes_total": int,
    "seconds": float,
    "sources": dict,
}


def test_an_update_is_told_in_the_numbers_of_the_contract(bitstation: Bitstation, shelf: Shelf):
    first = bitstation("update", TOOL_ID, "--from", shelf(OLD), "--json").object
    assert first["from_version"] is None
    told = bitstation("update", TOOL_ID, "--from", shelf(NEW), "--json").object
    assert {name: type(told[name]) for name in UPDATE_FIELDS} == UPDATE_FIELDS
    assert told | {"seconds": 0} == told | {
        "tool_id": TOOL_ID,
        "from_version": "1.0.0",
        "to_version": "1.1.0",
        "manifest_hash": NEW.manifest.manifest_hash,
        "files_downloaded": 2,
        "files_verified": 3,
        "files_deleted": 1,
        "files_unchanged": 1,
        "bytes_downloaded": len(b"newmore"),
        "bytes_reused": len(b"same"),
        "bytes_total": len(b"newmoresame"),
        "seconds": 0,
        "sources": {str(shelf(NEW)): len(b"newmore")},
    }


def test_the_updates_of_several_tools_are_one_object(
    bitstation: Bitstation, installed: Release, shelf: Shelf
):
    newest = make_release({"a.txt": b"newest"}, "1.2.0")
    told = bitstation("update", TOOL_ID, "other-tool", "--from", shelf(newest), "--json")
    rows = told.object["tools"]
    assert (rows[0]["tool_id"], rows[0]["to_version"]) == (TOOL_ID, "1.2.0")
    assert rows[1]["tool_id"] == "other-tool"
    assert rows[1]["error"]["code"] == told.object["error"]["code"] == "unexpected-release"
    assert told.code == 31


def test_status_is_told_as_the_contract_says(bitstation: Bitstation, installed: Release):
    [row] = bitstation("status", "--json").object["tools"]
    fields = {"tool_id", "version", "manifest_hash", "state", "releases", "verified_at"}
    assert fields <= row.keys()
    assert row["tool_id"] == TOOL_ID
    assert row["version"] == "1.1.0"
    assert row["manifest_hash"] == NEW.manifest.manifest_hash
    assert row["state"] == "CURRENT"
    assert row["releases"] == ["1.1.0", "1.0.0"]
    assert row["verified_at"].endswith("+00:00")


def states(bitstation: Bitstation) -> list[str]:
    return [row["state"] for row in bitstation("status", TOOL_ID, "--json").object["tools"]]


def test_each_state_has_the_name_of_the_contract(bitstation: Bitstation, shelf: Shelf, root: Path):
    assert states(bitstation) == ["NO_INSTALLATION"]
    assert bitstation("update", TOOL_ID, "--from", shelf(OLD)).code == 0
    assert states(bitstation) == ["CURRENT"]
    (root / TOOL_ID / "releases/v1.0.0/a.txt").write_bytes(b"tampered with")
    assert states(bitstation) == ["DAMAGED"]
    (root / TOOL_ID / "current.txt").unlink()
    assert states(bitstation) == ["INTERRUPTED"]


def test_eligibility_is_told_with_its_reasons(bitstation: Bitstation, installed: Release):
    digest = NEW.manifest.manifest_hash
    words = ["eligibility", TOOL_ID, "--json", "--hash", digest, "--require"]
    told = bitstation(*words, "1.1.0")
    assert (told.code, told.object) == (0, {"eligibility": "ELIGIBLE", "reasons": []})
    told = bitstation(*words, "1.2.0")
    assert told.code == 20
    assert told.object == {"eligibility": "OUTDATED", "reasons": ["VERSION_DIFFERS"]}
    told = bitstation("eligibility", "absent", *words[2:], "1.0.0")
    assert told.code == 21
    assert told.object["eligibility"] == "NO_INSTALLATION"


def test_manifests_are_judged_one_by_one(bitstation: Bitstation, shelf: Shelf, tmp_path: Path):
    good = shelf(OLD) / "manifest.json"
    (tmp_path / "edited.json").write_bytes(good.read_bytes().replace(b"gone", b"done"))
    (tmp_path / "words.json").write_bytes(b"no JSON")
    files = [good, tmp_path / "edited.json", tmp_path / "words.json", tmp_path / "absent.json"]
    told = bitstation("manifest", "verify", "--json", *files)
    assert told.code == 30
    rows = told.object["results"]
    assert [row["path"] for row in rows] == [str(file) for file in files]
    assert [row["ok"] for row in rows] == [True, False, False, False]
    assert rows[0] == {
        "path": str(good),
        "ok": True,
        "manifest_hash": OLD.manifest.manifest_hash,
        "expected": OLD.manifest.manifest_hash,
        "problems": [],
    }
    assert rows[1]["manifest_hash"] != rows[1]["expected"] == OLD.manifest.manifest_hash
    assert all(row["problems"] for row in rows[1:])
    assert rows[2]["manifest_hash"] is rows[2]["expected"] is None


# --- errors -------------------------------------------------------------------------------------

Words = Callable[[Shelf], list[object]]
ERRORS: dict[str, tuple[Words, int, str]] = {
    "misuse": (lambda _: ["rollback"], 2, "usage"),
    "unknown command": (lambda _: ["nosuch"], 2, "usage"),
    "two kinds of output": (lambda _: ["status", "--jsonl"], 2, "usage"),
    "no address": (lambda _: ["list", "--hq", "ftp://x"], 2, "usage"),
    "nothing there": (lambda _: ["rollback", "absent"], 21, "no-installation"),
    "a downgrade": (
        lambda shelf: ["update", TOOL_ID, "--from", shelf(OLD), "--allow-unsigned"],
        31,
        "downgrade-refused",
    ),
    "another tool": (
        lambda shelf: ["update", "absent", "--from", shelf(OTHER), "--allow-unsigned"],
        31,
        "unexpected-release",
    ),
    "no server": (lambda _: ["list", "--hq", "http://127.0.0.1:9"], 40, "source-unreachable"),
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_object_too(
    bitstation: Bitstation,
    installed: Release,
    shelf: Shelf,
    where: str,
    case: tuple[Words, int, str],
):
    words, code, error = case
    said = words(shelf)
    ended = bitstation("--json", *said) if where == "before" else bitstation(*said, "--json")
    assert ended.code == code
    assert set(ended.object) == {"error"}
    assert set(ended.object["error"]) == {"code", "message", "hint"}
    assert ended.object["error"]["code"] == error
    # People are told beside it, in their language; the object's words stay English.
    assert "✗" in ended.err
    spanish = bitstation("--lang", "es", "--json", *said)
    assert spanish.object["error"] == ended.object["error"] or error == "usage"


def test_an_unexpected_error_is_one_object_too(
    bitstation: Bitstation, monkeypatch: pytest.MonkeyPatch
):
    def explode(*_args: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("bitstation.cli.status.tool_status", explode)
    ended = bitstation("status", TOOL_ID, "--json")
    assert ended.code == 1
    assert ended.object["error"]["code"] == "unexpected"
    assert "boom" in ended.object["error"]["message"]


def test_what_is_told_before_an_error_is_the_one_object(
    bitstation: Bitstation, installed: Release, root: Path
):
    (root / TOOL_ID / "releases/v1.1.0/a.txt").write_bytes(b"tampered with")
    ended = bitstation("verify", TOOL_ID, "--json")
    assert ended.code == 30
    assert ended.object["damaged"] == ["a.txt"]


COMMANDS: list[list[object]] = [
    ["status"],
    ["history"],
    ["history", TOOL_ID],
    ["verify", TOOL_ID],
    ["repair", TOOL_ID, "--dry-run"],
    ["rollback", TOOL_ID, "--dry-run"],
    ["rollback", TOOL_ID],
    ["adopt", "--list"],
    ["gc", "--dry-run"],
    ["gc"],
    ["uninstall", TOOL_ID, "--dry-run"],
    ["uninstall", TOOL_ID, "--yes"],
    ["--version"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_a_worker_tells_one_object(
    bitstation: Bitstation, installed: Release, words: list[object]
):
    ended = bitstation("--json", *words)
    assert ended.code == 0
    assert isinstance(ended.object, dict)
    assert "error" not in ended.object


def test_every_command_of_a_publisher_tells_one_object(
    bitstation: Bitstation, tmp_path: Path, tool_folder: Path
):
    dist = tmp_path / "dist"
    for words in (
        ["validate", tool_folder],
        ["manifest", "--dry-run", tool_folder],
        ["manifest", tool_folder],
        ["pack", tool_folder, "--out", dist, "--dry-run"],
        ["pack", tool_folder, "--out", dist],
        ["diff", tool_folder, tool_folder],
        ["models", "fetch", tool_folder],
    ):
        ended = bitstation("--json", *words)
        assert ended.code == 0, ended
        assert ended.object


# --- events -------------------------------------------------------------------------------------


def events(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def test_events_are_one_object_a_line_in_order(bitstation: Bitstation, shelf: Shelf):
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD), "--jsonl")
    assert ended.code == 0
    found = events(ended.out)
    assert found[0]["event"] == "RunStarted"
    assert found[-1]["event"] == "RunFinished"
    assert found[-1]["outcome"] == "done"
    assert [event["seq"] for event in found] == list(range(len(found)))
    assert {event["tool_id"] for event in found} == {TOOL_ID}
    assert len({event["run_id"] for event in found}) == 1
    assert all(len(event["run_id"]) == 32 for event in found)
    times = [event["at_s"] for event in found]
    assert times == sorted(times)
    assert {"diff", "fetch", "verify", "activate"} <= {event["phase"] for event in found}
    placed = [event for event in found if event["event"] == "EntryPlaced"]
    assert {event["source"] for event in placed} == {str(shelf(OLD))}


def test_events_tell_of_a_failure_too(bitstation: Bitstation, installed: Release, shelf: Shelf):
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD), "--jsonl")
    assert ended.code == 31
    assert events(ended.out)[-1]["outcome"] == "downgrade-refused"
    assert "✗" in ended.err


def test_each_run_has_its_own_events(bitstation: Bitstation, installed: Release, shelf: Shelf):
    words = ("update", TOOL_ID, "--from", shelf(NEW), "--jsonl")
    runs = [events(bitstation(*words).out)[0]["run_id"] for _ in range(2)]
    assert runs[0] != runs[1]


# --- stdout and stderr --------------------------------------------------------------------------


def test_the_log_is_for_people_and_the_report_is_the_data(bitstation: Bitstation, shelf: Shelf):
    ended = bitstation("update", TOOL_ID, "--from", shelf(OLD))
    assert "[updater]" not in ended.out
    assert "[updater] Starting differential update" in ended.err
    assert "DIFFERENTIAL UPDATE REPORT" in ended.out
    assert "REPORT" not in ended.err


def test_quiet_says_nothing_but_errors(bitstation: Bitstation, shelf: Shelf):
    ended = bitstation("update", TOOL_ID, "--from", shelf(NEW), "-q")
    assert ended == (0, "", "")
    ended = bitstation("-q", "update", TOOL_ID, "--from", shelf(OLD))
    assert ended.out == ""
    assert ended.err.startswith("✗")
