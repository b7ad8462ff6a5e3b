"""The grammar of paths inside a release: refused when it is built and again when it is installed.

A path that passes means the same file on Linux, Windows and macOS, below the release folder.
Sources: Microsoft "Naming Files, Paths, and Namespaces"; Unicode 15 section 3.13 (caseless match).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from bitstation.core.names import RESERVED_STEMS

MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
MAX_DEPTH = 64

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
# Characters that change how a name is displayed, or are invisible: bidirectional controls,
# zero-width characters, separators and byte order marks (general categories Cc Cf Zl Zp Cs Co Cn).
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
# Names at the top of a release that are ours on disk.
_CONTROL_NAMES = frozenset({".bitstation", ".staging", "current.txt"})
# The short second name that NTFS gives to a long one: both would be the same file.
_SHORT_ALIAS = re.compile(r"(?=[^.]{3,8}(\.|\Z))[^.]{1,6}~[0-9]+(\.[^.]{0,3})?\Z")


def path_fault(path: str) -> str | None:
    """Say what is wrong with a path; None when it is safe on every platform."""
    if not path:
        return "empty path"
    if path.isascii():
        if len(path) > MAX_PATH_BYTES:
            return f"longer than {MAX_PATH_BYTES} bytes"
    elif fault := _unicode_fault(path):
        return fault
    if "\\" in path:
        return "backslash: paths use / only"
    if path.startswith("/"):
        return "absolute path"
    names = path.split("/")
    if len(names) > MAX_DEPTH:
        return f"deeper than {MAX_DEPTH} folders"
    for name in names:
        if fault := _name_fault(name):
            return fault
    if fold_key(names[0]) in _CONTROL_NAMES:
        return f"{names[0]!r} at the top is a control name of BitStation"
    return None


def _unicode_fault(path: str) -> str | None:
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "not valid Unicode (lone surrogate)"
    if len(encoded) > MAX_PATH_BYTES:
        return f"longer than {MAX_PATH_BYTES} bytes"
    if not unicodedata.is_normalized("NFC", path):
        return "not in Unicode normal form NFC"
    return None


def _name_fault(name: str) -> str | None:
    if not name:
        return "empty name between slashes or at an end"
    if name in (".", ".."):
        return f"{name!r} is not a name"
    if len(name.encode("utf-8")) > MAX_NAME_BYTES:
        return f"a name longer than {MAX_NAME_BYTES} bytes"
    if found := _FORBIDDEN.search(name):
        return f"character {found.group()!a} is not allowed in a name"
    if not name.isascii():
        for character in name:
            if unicodedata.category(character) in _HIDDEN_CATEGORIES:
                return f"control or invisible character {character!a}"
    if name[-1] in ". ":
        return "a name may not end with a dot or a space (Windows drops it)"
    if name[0] in "-~":
        return "a name may not begin with a dash or a tilde (shells read it otherwise)"
    if "~" in name and _SHORT_ALIAS.match(name):
        return f"{name!r} may be the short alias of another name on Windows"
    # Windows ignores spaces between the stem and the extension: "nul .txt" is the device too.
    if name.split(".", 1)[0].rstrip(" ").lower() in RESERVED_STEMS:
        return f"{name!r} is a reserved device name on Windows"
    return None


def fold_key(path: str) -> str:
    """Key under which two paths may meet on some file system: case, Unicode form and width of i.

    Wider than any single system on purpose (upper then folded, so that dotless i meets i and
    sharp s meets ss): a false alarm costs a rename, a missed one costs a file.
    """
    if path.isascii():
        return path.lower()
    decomposed = unicodedata.normalize("NFD", path).upper().casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", decomposed))


def collisions(paths: Iterable[str]) -> Iterator[str]:
    """Name every pair of paths that cannot stand beside each other on some file system.

    Equal paths, case and Unicode twins (of files or of any folder above them), and a path that is
    both a file and a folder. Cost: one dictionary entry per path and per folder.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = fold_key(path)
        if key in files:
            same = files[key] == path
            yield f"{path!r} is listed twice" if same else f"{path!r} collides with {files[key]!r}"
        files[key] = path
        for folder in _folders_of(path):
            known = folders.setdefault(fold_key(folder), folder)
            if known == folder:
                continue
            yield f"folder {folder!r} collides with folder {known!r}"
    for key in files.keys() & folders.keys():
        yield f"{files[key]!r} is both a file and a folder"


def _folders_of(path: str) -> Iterator[str]:
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
