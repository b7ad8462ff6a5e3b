"""Which files are text: packages deflate them, and their line ends are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from bitstation.publisher.scan import FoundFile

TEXT_SUFFIXES = frozenset(
    """
    .bat .c .cfg .cmd .conf .cpp .css .csv .cu .cuh .glsl .h .hpp .htm .html .ini .j2 .js .json
    .jsonl .jsx .md .mjs .ps1 .psd1 .psm1 .py .pyi .rst .scss .sh .sql .svg .toml .ts .tsv .tsx
    .txt .vue .wgsl .xml .yaml .yml
    """.split()  # noqa: SIM905 - a list of fifty quoted words is not easier to read
)
"""Decided by name alone, so that every system packs alike. A suffix is never removed: a version
that was packed once must give the same bytes again."""

# Command files that Windows needs with CR LF.
_CRLF_SUFFIXES = frozenset((".bat", ".cmd"))
_LOOKED_AT_BYTES = 64 * 1024


def is_text(path: str) -> bool:
    """Say whether a path is treated as text."""
    return PurePosixPath(path).suffix.lower() in TEXT_SUFFIXES


def files_with_crlf(files: Iterable[FoundFile]) -> list[str]:
    """Paths of text files with CR LF at an end of line in their first 64 KiB.

    Git or an editor may turn such bytes into others, and then the same version has another hash.
    """
    found = []
    for path, file, _size in files:
        if not is_text(path) or PurePosixPath(path).suffix.lower() in _CRLF_SUFFIXES:
            continue
        try:
            with file.open("rb", buffering=0) as reader:
                head = reader.read(_LOOKED_AT_BYTES)
        except OSError:
            continue  # hashing it will say why
        if b"\r\n" in head:
            found.append(path)
    return found
