"""The published schemas say what the parsers say, but for what no schema can say."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstation.core import catalog, digest, extras, manifest, names, toolfile
from bitstation.core.catalog import parse_catalog
from bitstation.core.manifest import manifest_hash_of, parse_manifest
from bitstation.core.relpath import path_fault
from bitstation.core.toolfile import parse_tool_file
from bitstation.errors import ManifestError

jsonschema_rs: Any = pytest.importorskip(
    "jsonschema_rs", reason="not under Wine: its library does not load there", exc_type=ImportError
)

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    name: json.loads((ROOT / "catalog" / f"{name}.schema.json").read_text("utf-8"))
    for name in ("manifest", "tool", "catalog")
}
VALIDATORS = {
    name: jsonschema_rs.validator_for(schema, validate_formats=True)
    for name, schema in SCHEMAS.items()
}

# What a parser may refuse although the schema does not: parts of its faults.
CANNOT_SAY = {
    "of paths": (
        "NFC",
        "longer than",
        "lone surrogate",
        "invisible character",
        "reserved device",
        "short alias",
        "dash or a tilde",
        "deeper than",
        "control name",
        "scope",
    ),
    "of several paths": ("collides with", "listed twice", "both a file and a folder"),
    "of one content": ("another size",),
    "of numbers in unknown fields": ("is not an integer",),
    "of text in unknown fields": ("lone surrogate",),
    "of a catalog": ("do not sum to size",),
}
ALLOWED = tuple(part for parts in CANNOT_SAY.values() for part in parts)

SHA = "0123456789abcdef" * 4
EXTRAS = {
    "dependencies": {"python_min": "3.10", "cuda_min": "12.1"},
    "flash_gpu_config": {
        "enabled": True,
        "warmup_script": "src/warm.py",
        "cache_artifacts": ["*.bin"],
        "vram_min_mb": 6500,
    },
    "frontend": {"type": "web", "entry": "index.html", "archive": "frontend.zip", "sha256": SHA},
    "api_contract": "toolbridge/1",
    "capabilities": ["supports_gpu_flash"],
}
MANIFEST: dict[str, Any] = {
    "manifest_version": "1.0",
    "tool_id": "z-image-turbo",
    "tool_version": "2.4.1-rc.1+build.5",
    "created_at": "2026-02-28T12:00:00.123456+00:00",
    "files": [
        {"path": "main.py", "sha256": SHA, "size": 0, "url": "https://h/x", "executable": True},
        {"path": "modèles/a b.gguf", "sha256": SHA[::-1], "size": 2**53 - 1},
    ],
    "delete_policy": "manual",
    "ignore_globs": ["*.log"],
    **EXTRAS,
    "later": {"unknown": [1, None, "é"]},
}
TOOL: dict[str, Any] = {
    "tool_id": "z-image-turbo",
    "name": "Z",
    "version": "2.4.1",
    "platforms": ["windows", "linux"],
    "entrypoint_windows": "runner/run.ps1",
    "entrypoint_posix": "runner/run.sh",
    "io_schema": {"input": {"type": "object"}, "output": {}},
    "category": "image",
    "needs_models": True,
    "supports_gpu_persistence": True,
    "has_frontend": False,
    "executables": ["bin/*"],
    "health_check": {"command": ["python", "main.py"], "timeout_s": 3600},
    "delete_policy": "safe",
    "ignore_globs": [],
    **EXTRAS,
    "document": "an unknown field",
}
CATALOG: dict[str, Any] = {
    "catalog_version": "2026.02.28",
    "release_tag": "v0.8.41",
    "tools": [
        {
            "tool_id": "z-image-turbo",
            "name": "Z",
            "latest": "2.4.1",
            "asset_name": "tool_z-image-turbo_2.4.1.zip",
            "sha256": SHA,
            "size": 30,
            "manifest_hash": SHA,
            "parts": [
                {"name": "tool_z-image-turbo_2.4.1.zip.001", "size": 20, "sha256": SHA},
                {"name": "tool_z-image-turbo_2.4.1.zip.002", "size": 10, "sha256": SHA},
            ],
            "platforms": ["windows"],
            "category": "image",
            "download_url": "https://example.org/v0.8.41/tool_z-image-turbo_2.4.1.zip",
            "has_frontend": True,
            "frontend_url": "https://example.org/v0.8.41/frontend.zip",
            "frontend_sha256": SHA,
            "api_contract": "toolbridge/1",
            "supports_gpu_persistence": True,
            "image_url": "unknown",
        },
        {
            "tool_id": "add",
            "name": "Add",
            "latest": "1.0.0",
            "manifest_hash": SHA,
            "platforms": [],
            "has_frontend": False,
        },
    ],
}


def parse_rehashed_manifest(data: bytes) -> object:
    """The manifest under its content's hash, when it states any: no schema can ask for that."""
    document = json.loads(data)
    if isinstance(document, dict) and document.get("manifest_hash") == "RECOMPUTE":
        document["manifest_hash"] = manifest_hash_of(document)
        data = json.dumps(document).encode("utf-8", "surrogatepass")
    return parse_manifest(data)


CASES: dict[str, tuple[dict[str, Any], Callable[[bytes], object]]] = {
    "manifest": ({**MANIFEST, "manifest_hash": "RECOMPUTE"}, parse_rehashed_manifest),
    "tool": (TOOL, parse_tool_file),
    "catalog": (CATALOG, parse_catalog),
}


def schema_takes(name: str, document: object) -> bool:
    """What the schema says of a document whose hash was left open."""
    if isinstance(document, dict) and document.get("manifest_hash") == "RECOMPUTE":
        document = {**document, "manifest_hash": SHA}
    return VALIDATORS[name].is_valid(document)


def faults_of(name: str, document: object) -> list[str]:
    """What the parser finds wrong with a document."""
    try:
        CASES[name][1](json.dumps(document).encode("utf-8", "surrogatepass"))
    except ManifestError as error:
        return list(error.faults)
    return []


NASTY = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 20, 2**53 - 1, 2**53, 1.5, [], {}, [1], {"a": None}),
        *("", "a", "x" * 300, "../x", "a\\b", "/abs", "a//b", "a/", ".", "con", "a/Con.txt"),
        *("a.", "a ", "a:b", "e\u0301", "\u202e", "-x", "PROGRA~1", "venv/x", "manifest.json"),
        *("Main.py", "main.py/x", SHA, SHA.upper(), SHA[:-1], SHA + "\n", "1.0", "1.0.0", "v1.0.0"),
        *(
            "1.0.0\n",
            "01.0.0",
            "2.4.1-01",
            "2026-02-28T12:00:00Z",
            "2026-02-28",
            "2026-13-01T00:00Z",
        ),
        *(
            "2026.02.28",
            "2026.2.28",
            "safe",
            "Safe",
            "toolbridge/1",
            "Toolbridge/1",
            "windows",
            "W",
        ),
        *("aux", "com1", "a" * 65, "a-", "ä", " ", "\t", "日本", "a\nb"),
    ]
)
JSON_VALUES = (
    NASTY | st.lists(NASTY, max_size=2) | st.dictionaries(st.text(max_size=5), NASTY, max_size=2)
)


def places_in(value: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every value inside a document."""
    found = [here] if here else []
    if isinstance(value, dict):
        found += [place for key in value for place in places_in(value[key], (*here, key))]
    elif isinstance(value, list):
        found += [place for n, item in enumerate(value) for place in places_in(item, (*here, n))]
    return found


@st.composite
def mutated(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A valid document with one or two things wrong, or only different."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(places_in(changed)))
        parent: Any = changed
        for step in way:
            parent = parent[step]
        if draw(st.booleans()):
            parent[last] = copy.deepcopy(draw(JSON_VALUES))
        elif draw(st.booleans()) or isinstance(parent, list):
            del parent[last]
        else:
            parent["x-" + draw(st.text(max_size=3))] = parent.pop(last)
    return changed


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=400)
@given(data=st.data())
def test_parser_and_schema_agree_on_mutations(name: str, data: st.DataObject) -> None:
    document = data.draw(mutated(CASES[name][0]))
    faults = faults_of(name, document)
    if schema_takes(name, document):
        unexplained = [fault for fault in faults if not any(part in fault for part in ALLOWED)]
        assert unexplained == []
    else:
        assert faults, "the schema refuses what the parser takes"


@pytest.mark.parametrize("name", CASES)
def test_the_whole_example_is_valid(name: str) -> None:
    assert faults_of(name, CASES[name][0]) == []
    assert schema_takes(name, CASES[name][0])


@pytest.mark.parametrize("name", CASES)
def test_every_field_of_the_example_is_known_to_the_schema(name: str) -> None:
    known = set(SCHEMAS[name]["properties"])
    assert set(CASES[name][0]) - known <= {"later", "document"}
    assert known - set(CASES[name][0]) == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_itself_and_says_what_it_is(name: str) -> None:
    jsonschema_rs.meta.validate(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMAS[name]["description"]


def test_what_schemas_share_is_the_same_in_each() -> None:
    for name, schema in SCHEMAS.items():
        for key, value in schema["$defs"].items():
            for other in SCHEMAS.values():
                assert other["$defs"].get(key, value) == value, (name, key)
    for name in EXTRAS:
        assert SCHEMAS["manifest"]["properties"][name] == SCHEMAS["tool"]["properties"][name]


def test_patterns_and_limits_are_those_of_the_core() -> None:
    of_manifest, of_tool = SCHEMAS["manifest"]["properties"], SCHEMAS["tool"]["properties"]
    shared = SCHEMAS["manifest"]["$defs"]
    assert shared["digest"]["pattern"] == digest.HEX_PATTERN
    assert shared["tool_id"]["pattern"] == names.TOOL_ID_PATTERN
    assert shared["version"]["pattern"] == names.VERSION_PATTERN
    assert shared["version"]["maxLength"] == names.MAX_VERSION_CHARS
    assert of_manifest["created_at"]["pattern"] == manifest.DATE_TIME_PATTERN
    assert of_manifest["files"]["maxItems"] == manifest.MAX_ENTRIES
    assert of_manifest["api_contract"]["pattern"] == extras.API_CONTRACT_PATTERN
    assert of_tool["platforms"]["items"]["pattern"] == toolfile.PLATFORM_PATTERN
    assert of_tool["name"]["pattern"] == toolfile.NAME_PATTERN
    assert of_tool["delete_policy"]["enum"] == list(manifest.DELETE_POLICIES)
    pattern = SCHEMAS["catalog"]["properties"]["catalog_version"]["pattern"]
    assert pattern == catalog.CATALOG_VERSION_PATTERN


def test_reserved_tool_ids_are_those_of_the_core() -> None:
    reserved = SCHEMAS["manifest"]["$defs"]["tool_id"]["not"]["enum"]
    assert [name for name in reserved if names.tool_id_fault(name) is None] == []
    possible = [name for name in names.RESERVED_STEMS if name.isascii() and name.isalnum()]
    assert sorted(possible) == reserved


@settings(max_examples=1000)
@given(st.text(st.sampled_from('ab./\\:*?"<>| \x00\x1f\x7fé~-'), max_size=12))
def test_the_path_pattern_refuses_nothing_that_the_core_takes(path: str) -> None:
    validator = jsonschema_rs.validator_for(SCHEMAS["manifest"]["$defs"]["path"])
    fault = path_fault(path)
    if fault is None:
        assert validator.is_valid(path)
    elif validator.is_valid(path):
        assert any(part in fault for part in CANNOT_SAY["of paths"]), fault


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("manifest", ("manifest_version",), "2.0"),
        ("manifest", ("manifest_hash",), SHA.upper()),
        ("manifest", ("manifest_hash",), None),
        ("manifest", ("tool_version",), "v2.4.1"),
        ("manifest", ("created_at",), "yesterday"),
        ("manifest", ("created_at",), "2026-02-28T12:00:00"),
        ("manifest", ("files",), []),
        ("manifest", ("files", 0, "size"), -1),
        ("manifest", ("files", 0, "size"), 2**53),
        ("manifest", ("files", 0, "size"), "12"),
        ("manifest", ("files", 0, "size"), True),
        ("manifest", ("files", 0, "sha256"), SHA[1:]),
        ("manifest", ("files", 0, "path"), "../x"),
        ("manifest", ("files", 0, "path"), "C:\\x"),
        ("manifest", ("files", 0, "executable"), 1),
        ("manifest", ("ignore_globs",), [None]),
        ("manifest", ("flash_gpu_config", "warmup_script"), "/etc/passwd"),
        ("tool", ("tool_id",), "BM-Generator"),
        ("tool", ("tool_id",), "nul"),
        ("tool", ("version",), "1.0"),
        ("tool", ("name",), "  "),
        ("tool", ("platforms",), []),
        ("tool", ("io_schema",), {"input": {}}),
        ("tool", ("entrypoint_windows",), "runner\\run.ps1"),
        ("tool", ("delete_policy",), "everything"),
        ("tool", ("health_check", "timeout_s"), 0),
        ("catalog", ("catalog_version",), "2026.13.01"),
        ("catalog", ("tools", 0, "sha256"), None),
        ("catalog", ("tools", 0, "asset_name"), "a/b.zip"),
        ("catalog", ("tools", 0, "parts", 0, "size"), 0),
        ("catalog", ("tools", 1, "manifest_hash"), ""),
    ],
)
def test_both_refuse(name: str, place: tuple[Any, ...], value: object) -> None:
    document = copy.deepcopy(CASES[name][0])
    parent: Any = document
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    assert not schema_takes(name, document)
    assert faults_of(name, document)


def test_real_manifests_are_what_the_schema_describes() -> None:
    golden = ROOT / "tests" / "golden" / "conformance"
    for row in json.loads((golden / "expected.json").read_text("utf-8")):
        document = json.loads((golden / "manifests" / row["file"]).read_text("utf-8"))
        if row["recomputes"]:
            assert VALIDATORS["manifest"].is_valid(document), row["file"]


def test_the_tools_of_this_repository_are_what_the_schema_describes() -> None:
    for file in (ROOT / "tools").glob("*/tool.json"):
        assert VALIDATORS["tool"].is_valid(json.loads(file.read_text("utf-8"))), file


def test_io_schema_may_hold_numbers_that_manifests_may_not() -> None:
    bounds = {"type": "number", "minimum": 0.5, "maximum": 2**64 - 1}
    document = {**TOOL, "io_schema": {"input": bounds, "output": {}}}
    assert faults_of("tool", document) == []
    document["flash_gpu_config"] = {"idle_unload_s": 0.5}
    assert "the manifest repeats it" in faults_of("tool", document)[0]
