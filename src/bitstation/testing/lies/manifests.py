"""Groups M and P: manifests that are hostile, well signed by a publisher, so that they are read."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from bitstation.core.canonical import JsonFault
from bitstation.core.manifest import manifest_hash_of
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.testing.signed import SignedShelf
from bitstation.trust.signing import ReleaseName

Document = dict[str, Any]

BETWEEN = make_release({"run.py": b"print('between')"}, "1.0.5")
ROWS: list[Document] = BETWEEN.manifest.document["files"]  # type: ignore[assignment]


def document_with(release: Release, **fields: Any) -> Document:
    """Its manifest with other fields; one set to None is left out. The hash is no longer true."""
    document = {**release.manifest.document, **fields}
    return {name: value for name, value in document.items() if value is not None}


def rehashed(document: Document) -> Document:
    """The same with its true hash, where it has one: what a hostile publisher would state."""
    try:
        return {**document, "manifest_hash": manifest_hash_of(document)}
    except JsonFault:
        return document


def stating(**fields: Any) -> bytes:
    """The manifest of BETWEEN with other fields."""
    return json.dumps(rehashed(document_with(BETWEEN, **fields))).encode()


def listing(*rows: Document) -> bytes:
    """The manifest of BETWEEN with further rows, each right but for what it states."""
    return stating(files=[*ROWS, *({**ROWS[0], "path": "more.py", **row} for row in rows)])


def signed_by_its_publisher(shelf: SignedShelf, manifest: bytes) -> MemorySource:
    """These bytes are signed and offered as the manifest of BETWEEN, whose files are there."""
    shelf.place.sign(ReleaseName(TOOL_ID, BETWEEN.version, manifest))
    source = shelf.source(BETWEEN)
    source.offer_bytes(TOOL_ID, BETWEEN.version, manifest)
    return source


MANIFESTS: dict[str, tuple[str, bytes]] = {
    "M1": ("nothing at all", b""),
    "M2": ("no JSON", b"MZ\x90"),
    "M3": ("a list", b"[]"),
    "M5": ("nested 100,000 deep", b"[" * 100_000),
    "M6": ("100,001 files", json.dumps(document_with(BETWEEN, files=[{}] * 100_001)).encode()),
    "M7": ("a size of -1", listing({"size": -1})),
    "M8": ("a size of 2^53 + 1", listing({"size": 2**53 + 1})),
    "M9": ("a size of 2^63", listing({"size": 2**63})),
    "M10": ("a size of 1.5", listing({"size": 1.5})),
    "M11": ("a size in quotes", listing({"size": "1"})),
    "M12": ("a SHA-256 in capitals", listing({"sha256": "A" * 64})),
    "M13": ("a SHA-256 of 63 digits", listing({"sha256": "a" * 63})),
    "M14": ("a path twice", listing({}, {})),
    "M15": ("a path that is a file and a folder", listing({"path": "run.py/x"})),
    "M19": ("a manifest_version of later", stating(manifest_version="2.0")),
    "M20": ("a tool_id that is a path", stating(tool_id="../sample-tool")),
    "M21": ("a version that is a path", stating(tool_version="..")),
    "M23": ("a placeholder for a SHA-256", listing({"sha256": "<sha256>"})),
}
"""What each is, and its bytes."""

UNTRUE_HASH = json.dumps(document_with(BETWEEN, manifest_hash="0" * 64)).encode()
HUGE = listing({"size": 2**50, "sha256": "a" * 64})
ELSEWHERE = stating(files=[{**row, "url": "http://169.254.169.254/x"} for row in ROWS])

PATHS = {
    "P1": ("a parent folder", "../x"),
    "P2": ("a parent folder within", "a/../../x"),
    "P3": ("an absolute path", "/abs"),
    "P4": ("a drive", "C:\\x"),
    "P6": ("a share", "\\\\server\\share"),
    "P8": ("a backslash", "a\\b"),
    "P12": ("an empty path", ""),
    "P14": ("a NUL", "a\0b"),
    "P16": ("a line end", "a\nb"),
    "P17": ("letters that run backwards", "model\u202egpj.exe"),
    "P18": ("a device", "con.txt"),
    "P20": ("a dot at the end", "a."),
    "P22": ("an alternate stream", "run.py:hidden"),
    "P24": ("a name that differs in case only", "RUN.PY"),
    "P25": ("a name that is not in NFC", unicodedata.normalize("NFD", "caf\u00e9")),
    "P27": ("a name of 256 bytes", "n" * 256),
    "P29": ("1,000 folders deep", "/".join("d" * 1000)),
    "P34": ("a short alias", "PROGRA~1"),
    "P36": ("the pointer", "current.txt"),
    "P37": ("a protected folder", "venv/x"),
    "P38": ("a name that is an option", "-rf"),
    "P39": ("a lone surrogate", "a\ud800"),
}
"""What each is, and the path."""
