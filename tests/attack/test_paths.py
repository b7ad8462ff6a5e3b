"""Group P of the threats, 1 to 29, 34 and 36 to 39: paths, each case by name, at every gate.

At publish, at HQ and at install, from whatever source: one grammar, which the switch for legacy
manifests does not widen.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from bitstation import host
from bitstation.errors import VolumeUnfit
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from tests.attack.gates import Gate, Installed, Published
from tests.attack.machine import NEW, Machine, package_of

DEVICES = ["CON", "prn", "AUX", "NUL"]
DEVICES += [f"{stem}{digit}" for stem in ("COM", "lpt") for digit in "123456789\u00b9\u00b2\u00b3"]


def test_p01_parent(gate: Gate) -> None:
    gate.refuses("../x", words="'..' is not a name")


@pytest.mark.parametrize("path", ["a/../../x", "a/..", "lib/../../../../../outside/theirs.txt"])
def test_p02_parent_within(gate: Gate, path: str) -> None:
    gate.refuses(path, words="'..' is not a name")


def test_p03_absolute(gate: Gate) -> None:
    gate.refuses("/abs", words="absolute path")
    path = (gate.folder / "x").as_posix()
    gate.refuses(path, words="absolute path" if path[0] == "/" else "character ':'")


def test_p04_drive(gate: Gate) -> None:
    gate.refuses("C:\\x", words="backslash")
    gate.refuses("C:/x", words="character ':'")


def test_p05_drive_without_a_slash(gate: Gate) -> None:
    gate.refuses("C:x", words="character ':'")


def test_p06_share(gate: Gate) -> None:
    gate.refuses("\\\\server\\share", words="backslash")
    gate.refuses("//server/share", words="absolute path")


@pytest.mark.parametrize("path", ["\\\\?\\C:\\x", "\\\\.\\C:\\x", "\\??\\C:\\x", "//?/C:/x"])
def test_p07_extended(gate: Gate, path: str) -> None:
    gate.refuses(path, words="absolute path" if path[0] == "/" else "backslash")


@pytest.mark.parametrize("path", ["a\\b", "..\\x", "a/b\\..\\..\\x"])
def test_p08_backslash(gate: Gate, path: str) -> None:
    gate.refuses(path, words="backslash")


def test_p09_double_slash(gate: Gate) -> None:
    gate.refuses("a//b", words="empty name")


def test_p10_dot_within(gate: Gate) -> None:
    gate.refuses("a/./b", words="'.' is not a name")


def test_p11_trailing_slash(gate: Gate) -> None:
    gate.refuses("a/", words="empty name")


def test_p12_empty(gate: Gate) -> None:
    gate.refuses("", words="empty path")


def test_p13_dot(gate: Gate) -> None:
    gate.refuses(".", words="'.' is not a name")


@pytest.mark.parametrize("path", ["a\0b", "main.py\0.txt", "\0"])
def test_p14_nul(gate: Gate, path: str) -> None:
    gate.refuses(path, words="character '\\x00'")


@pytest.mark.parametrize("character", ["\x01", "\x07", "\x1b", "\x1f", "\x7f", "\x85", "\x9f"])
def test_p15_control_characters(gate: Gate, character: str) -> None:
    gate.refuses(f"a{character}b", words=ascii(character))


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\u2028", "\u2029"])
def test_p16_newline(gate: Gate, line_end: str) -> None:
    gate.refuses(f"a{line_end}b", words=ascii(line_end[0]))
    gate.refuses(f"main.py{line_end}", words=ascii(line_end[0]))


@pytest.mark.parametrize("character", ["\u202e", "\u202d", "\u2066", "\u200f", "\u200b", "\ufeff"])
def test_p17_rtl_override(gate: Gate, character: str) -> None:
    gate.refuses(f"model{character}gpj.exe", words=ascii(character))


@pytest.mark.parametrize("name", DEVICES)
def test_p18_devices(gate: Gate, name: str) -> None:
    gate.refuses(name, words="reserved device name")


@pytest.mark.parametrize("name", ["con.txt", "a/AUX.tar.gz", "nul .txt", "com\u00b9.log", "NUL/x"])
def test_p18_devices_with_extension(gate: Gate, name: str) -> None:
    # A log is in no release, so that it is left out where a folder holds one.
    gate.refuses(name.replace(".log", ".bin"), words="reserved device name")


@pytest.mark.parametrize("name", ["CONIN$", "conout$", "a/CONOUT$.txt"])
def test_p19_console(gate: Gate, name: str) -> None:
    gate.refuses(name, words="reserved device name")


@pytest.mark.parametrize("path", ["a.", "a./b", "..."])
def test_p20_trailing_dot(gate: Gate, path: str) -> None:
    gate.refuses(path, words="may not end with a dot")


@pytest.mark.parametrize("path", ["a ", "a /b", "main.py "])
def test_p21_trailing_space(gate: Gate, path: str) -> None:
    gate.refuses(path, words="may not end with a dot or a space")


@pytest.mark.parametrize("path", ["main.py:hidden", "main.py::$DATA", "lib:x/y", ":x"])
def test_p22_alternate_stream(gate: Gate, path: str) -> None:
    gate.refuses(path, words="character ':'")


@pytest.mark.parametrize("character", '<>"|?*')
def test_p23_forbidden_characters(gate: Gate, character: str) -> None:
    gate.refuses(f"a{character}b", words=f"character {character!a}")


TWINS = {
    "case": ("A.txt", "a.txt"),
    "case of a folder": ("Dir/x", "dir/y"),
    "file and folder": ("Dir", "dir/y"),
}


@pytest.mark.parametrize("paths", TWINS.values(), ids=TWINS)
def test_p24_case_collision(gate: Gate, paths: tuple[str, str]) -> None:
    gate.refuses(*paths, words="is both" if paths[0] == "Dir" else "collides with")


def test_p24_case_collision_with_the_manifest(gate: Gate) -> None:
    if isinstance(gate, Published):
        gate.leaves_out("MANIFEST.json")
    else:
        gate.refuses("MANIFEST.json", words="manifest scope")


def test_p25_nfc_nfd_collision(gate: Gate) -> None:
    """Of the two only the composed form is a path at all."""
    name = "caf\u00e9"
    gate.refuses(name, unicodedata.normalize("NFD", name), words="not in Unicode normal form NFC")
    gate.refuses(unicodedata.normalize("NFD", name), words="not in Unicode normal form NFC")


FOLDED = {
    "dotless i": ("\u0131.txt", "I.txt"),
    "dotted I": ("i\u0307x.txt", "\u0130x.txt"),
    "sharp s": ("stra\u00dfe", "STRASSE"),
    "capital sharp s": ("\u1e9e", "\u00df"),
    "long s": ("\u017fet", "set"),
    "final sigma": ("\u03c2", "\u03c3"),
}


@pytest.mark.parametrize("paths", FOLDED.values(), ids=FOLDED)
def test_p26_folding(gate: Gate, paths: tuple[str, str]) -> None:
    gate.refuses(*paths, words="collides with")


@pytest.mark.parametrize("path", ["\u212aey", "\u212bngstrom", "\u2126"])
def test_p26_folding_of_signs(gate: Gate, path: str) -> None:
    """Kelvin, Angstrom and Ohm signs are K, A and Omega in NFC, so they are no names."""
    gate.refuses(path, words="not in Unicode normal form NFC")


@pytest.mark.parametrize("name", ["n" * 256, "\u00f1" * 128], ids=["ascii", "two bytes each"])
def test_p27_long_names(gate: Gate, name: str) -> None:
    gate.refuses(f"a/{name}", words="a name longer than 255 bytes")


def test_p28_long_paths(gate: Gate) -> None:
    """No system but Windows knows the limit of 32,767; ours is the same on all."""
    for length in (1025, 32_768):
        path = "/".join(["n" * 200] * 200)[:length]
        gate.refuses(path, words="longer than 1024 bytes")


def test_p28_a_long_path_is_packed_and_installed(tmp_path: Path, machine: Machine) -> None:
    """Far over the 260 characters of Windows, which take another form of path there."""
    path = "/".join([letter * 100 for letter in "abcdefghi"] + ["main.py"])
    release = make_release(NEW.files | {path: b"deep"}, NEW.version)
    packed = package_of(tmp_path / "tool.zip", release.manifest.encode(), release.files)
    folder = machine.heals(packed, release.manifest)
    assert host.native_path(folder / path).read_bytes() == b"deep"


def test_p28_a_path_that_is_too_long_here(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before the first byte: on another machine it may fit."""
    monkeypatch.setattr(host, "path_limit", lambda _folder: (len(str(machine.tree.path)) + 99, 255))
    source = MemorySource(make_release(NEW.files | {"n" * 100: b"deep"}, NEW.version))
    machine.refuses_update(source, VolumeUnfit, "longer than", exit_code=50)
    assert source.asked == []


def test_p29_depth(gate: Gate) -> None:
    gate.refuses("/".join("d" * 65), words="deeper than 64 folders")
    gate.refuses("/".join("d" * 1000), words="longer than 1024 bytes")


ALIASES = ["PROGRA~1", "BITSTA~1/journal", "CURREN~1.TXT", "MANIFE~1.JSO", "lib/x~1", "STAGIN~1"]


@pytest.mark.parametrize("path", ALIASES)
def test_p34_short_alias(gate: Gate, path: str) -> None:
    gate.refuses(path, words="may be the short alias")


@pytest.mark.parametrize(
    "path",
    [
        ".bitstation/journal",
        ".BitStation",
        ".staging/x",
        ".staging",
        "current.txt",
        "Current.TXT/x",
    ],
)
def test_p36_control_files(gate: Gate, path: str) -> None:
    gate.refuses(path, words="is a control name")


PROTECTED_PATHS = ["venv/x", ".VENV/x", "Cache/x", "user_data/mine.txt", "LOGS/a/b", "a/.env"]


@pytest.mark.parametrize("path", PROTECTED_PATHS)
def test_p37_protected_names(gate: Gate, path: str) -> None:
    """A publisher has such folders of his own, and real legacy manifests list some of them."""
    if isinstance(gate, Published):
        gate.leaves_out(path)
    elif isinstance(gate, Installed) and gate.takes_legacy:
        gate.takes_apart(path)
    else:
        gate.refuses(path, words="scope")


@pytest.mark.parametrize("path", ["-rf", "a/-x", "~", "~/x", "~root/x"])
def test_p38_leading_dash_or_tilde(gate: Gate, path: str) -> None:
    gate.refuses(path, words="may not begin with a dash or a tilde")


@pytest.mark.parametrize("path", ["a\ud800", "\udcff\udcfe", "\udc80/x"])
def test_p39_lone_surrogates(gate: Gate, path: str) -> None:
    """As which Python reads bytes of a name that are no UTF-8."""
    gate.refuses(path, words="lone surrogate")
