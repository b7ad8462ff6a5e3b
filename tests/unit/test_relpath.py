"""The grammar of paths: one path means one file below the release folder, on every system."""

from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstation.core.relpath import (
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    collisions,
    fold_key,
    path_fault,
)

DEVICES = ["CON", "prn", "Aux", "NUL", "COM1", "com9", "LPT1", "COM¹", "lpt³", "CONIN$", "CONOUT$"]
REFUSED = {
    "up": "../x",
    "up inside": "a/../../x",
    "up at the end": "a/..",
    "absolute": "/abs",
    "drive": "C:\\x",
    "drive without a slash": "C:x",
    "share": "\\\\server\\share",
    "extended": "\\\\?\\C:\\",
    "backslash": "a\\b",
    "double slash": "a//b",
    "here": "a/./b",
    "trailing slash": "a/",
    "empty": "",
    "dot": ".",
    "dots": "..",
    "NUL": "a\x00b",
    "control character": "a\x1fb",
    "delete": "a\x7fb",
    "line end": "a\nb",
    "right to left": "a\u202egpj.exe",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "byte order mark": "\ufeffa",
    "private use": "a\ue000",
    "unassigned": "a\u0378",
    "lone surrogate": "a\ud800",
    "trailing dot": "a./b",
    "trailing space": "a /b",
    "alternate stream": "a:b",
    "quote": 'a"b',
    "pipe": "a|b",
    "question mark": "a?b",
    "star": "a*b",
    "less": "a<b",
    "greater": "a>b",
    "decomposed": unicodedata.normalize("NFD", "é"),
    "long name": "n" * (MAX_NAME_BYTES + 1),
    "long name in bytes": "ñ" * 128,
    "long path": "/".join(["n" * 200] * 6),
    "deep path": "/".join("d" * (MAX_DEPTH + 1)),
    "short alias": "PROGRA~1",
    "short alias below": "x/docume~2.txt",
    "leading dash": "-rf",
    "leading tilde": "~/x",
    **{f"device {name}": name for name in DEVICES},
    **{f"device {name} with extension": f"x/{name}.tar.gz" for name in DEVICES},
    "device with a space": "nul .txt",
    "control folder": ".bitstation/journal",
    "control folder in capitals": ".BitStation/x",
    "staging": ".staging/x",
    "pointer": "current.txt",
    "pointer as a folder": "Current.TXT/x",
}
TAKEN = [
    "a",
    "a/b/c.txt",
    ".hidden",
    "..a",
    "a..",
    "...",
    "año/ñandú.py",
    "模型/权重.bin",
    "😀.txt",
    "with space.txt",
    "CON1",
    "console",
    "null",
    "com10",
    "x/current.txt",
    "x/.staging",
    "a~b",
    "longer-name~1",
    "vendors~main.js",
    "$Recycle",
    "a-",
    "n" * MAX_NAME_BYTES,
    "/".join(["n" * 255] * 4),
    "/".join("d" * MAX_DEPTH),
    "%2e%2e%2fx",
    "#!&'(){}[]=+,;@^`",
]
TAKEN.remove("a..")
TAKEN.remove("...")


@pytest.mark.parametrize("path", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(path: str) -> None:
    assert path_fault(path)


@pytest.mark.parametrize("path", TAKEN)
def test_it_is_taken(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty path"),
        ("/a", "absolute path"),
        ("a//b", "empty name"),
        ("a\\b", "backslash"),
        ("..", "is not a name"),
        ("/".join(["ñ" * 100] * 6), "longer than 1024 bytes"),
        ("ñ" * 128, "a name longer than 255 bytes"),
        ("a\x7fb", "is not allowed in a name"),
        ("a\u200bb", "invisible"),
    ],
)
def test_it_says_why(path: str, why: str) -> None:
    fault = path_fault(path)
    assert fault is not None
    assert why in fault


@pytest.mark.parametrize("letter", ["n", "ñ"])
def test_the_longest_path_is_taken_and_one_byte_more_is_not(letter: str) -> None:
    names = [letter * (200 // len(letter.encode()))] * 5
    longest = "/".join([*names, "n" * (MAX_PATH_BYTES - 5 * 201)])
    assert len(longest.encode()) == MAX_PATH_BYTES
    assert path_fault(longest) is None
    assert path_fault(longest + "n") == f"longer than {MAX_PATH_BYTES} bytes"


@given(st.text(max_size=40))
@example("\ud800")
def test_a_path_that_is_taken_stays_below_its_folder(path: str) -> None:
    if path_fault(path) is not None:
        return
    joined = posixpath.normpath(posixpath.join("/top/folder", path))
    assert joined == f"/top/folder/{path}"
    assert len(path.encode()) <= MAX_PATH_BYTES
    assert unicodedata.normalize("NFC", path) == path
    assert not set(path) & set('\\<>:"|?*\x00')


@given(st.text(max_size=30), st.sampled_from('\x00\x01\n\\:*?"<>|\u202e\u200b\ud800'))
def test_no_place_in_a_path_hides_a_bad_character(path: str, bad: str) -> None:
    for place in (0, len(path) // 2, len(path)):
        assert path_fault(path[:place] + bad + path[place:])


# --- collisions --------------------------------------------------------------------------------

TWINS = [
    ("a", "A"),
    ("dir/x", "DIR/y"),
    ("dir/x", "Dir"),
    ("stra\u00dfe", "STRASSE"),
    ("\u0130.txt", "i\u0307.txt"),
    ("\u0131", "i"),
    ("\u0131", "I"),
    ("\u212a", "k"),
    ("\u00c5", "\u212b"),
    ("\u00e9", "e\u0301"),
    ("\u03c3", "\u03c2"),
    ("\ufb01", "fi"),
    ("a", "a"),
    ("a/b", "a"),
    ("a", "a/b/c"),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_twins_collide_in_either_order(one: str, other: str) -> None:
    assert list(collisions([one, other]))
    assert list(collisions([other, one]))


@pytest.mark.parametrize(
    "paths", [["a/x", "a/y"], ["a", "b", "c/a"], ["ab/c", "a/bc"], ["é", "e"], []]
)
def test_neighbours_do_not(paths: list[str]) -> None:
    assert list(collisions(paths)) == []


def test_every_collision_is_named() -> None:
    found = list(collisions(["a", "A", "dir/x", "DIR/y", "b", "b/c"]))
    assert len(found) == 3
    assert any("'A' collides with 'a'" in line for line in found)
    assert any("both a file and a folder" in line for line in found)
    assert list(collisions(["a", "a"])) == ["'a' is listed twice"]


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_key(fold_key(text)) == fold_key(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_every_spelling_of_case_and_form_folds_alike(text: str) -> None:
    for spelled in (text.upper(), text.lower(), text.casefold()):
        assert fold_key(spelled) == fold_key(text)
    for form in ("NFC", "NFD"):
        assert fold_key(unicodedata.normalize(form, text)) == fold_key(text)  # type: ignore[arg-type]


def test_a_hundred_thousand_paths_are_compared_in_one_pass() -> None:
    paths = [f"folder-{n % 100}/sub/file-{n}" for n in range(100_000)]
    assert list(collisions(paths)) == []
    assert len(list(collisions([*paths, "FOLDER-1/sub/file-1"]))) >= 1
