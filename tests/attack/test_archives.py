"""Group Z of the threats, 1 to 12, 16, 17 and 19 to 22: archives, each case by name.

A package is sound as a whole or refused as a whole, before a byte of it is used; alike by
``update`` and ``update_from_zip``, and the switch for legacy manifests opens nothing.
"""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitstation.errors import IntegrityError, ManifestError, PackageInvalid
from bitstation.testing.releases import make_release
from tests.attack.archives import DEFLATED, Piece, deflated, end_of, write_archive
from tests.attack.entrances import encoded
from tests.attack.machine import NEW, Machine, with_rows

Refuses = Callable[..., None]


def pieces_of(manifest: bytes | None = None, /, **changes: dict[str, Any]) -> list[Piece]:
    """An honest package of the newer release; changes by the stem of a file's name."""
    files = {"manifest.json": manifest or NEW.manifest.encode(), **NEW.files}
    return [
        deflated(path, data, **changes.get(Path(path).stem, {})) for path, data in files.items()
    ]


@pytest.fixture
def refuses(machine: Machine, tmp_path: Path) -> Refuses:
    """A package is refused by every way of installing it, for a reason with those words."""

    def refuse(package: Path | list[Piece], *words: str, kind: Any = PackageInvalid) -> None:
        if isinstance(package, list):
            package = write_archive(tmp_path / "package" / "tool.zip", package)
        machine.refuses_update(package, kind, *words)
        machine.refuses(
            lambda: machine.updater.update_from_zip(package, NEW.manifest), kind, *words
        )
        lowered = machine.updater_with(legacy=True, allow_downgrade=True, yes=True)
        machine.refuses(lambda: lowered.update(package), kind, *words)

    return refuse


def test_an_honest_package_of_this_writer_is_taken(machine: Machine, tmp_path: Path) -> None:
    """Else what follows would show nothing."""
    machine.heals(write_archive(tmp_path / "tool.zip", pieces_of()))


def slips(refuses: Refuses, path: str, words: str) -> None:
    """Such a member is refused, whether the manifest knows of it or not."""
    main = NEW.files["main.py"]
    refuses([*pieces_of(), deflated(path, main)], words)
    listed = pieces_of(encoded(with_rows(path)))
    refuses([*listed, deflated(path, main)], words, kind=ManifestError)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "../../../../outside/theirs.txt", ".."])
def test_z01_slip_up(refuses: Refuses, path: str) -> None:
    slips(refuses, path, "'..' is not a name")


def test_z02_slip_absolute(refuses: Refuses, tmp_path: Path) -> None:
    slips(refuses, "/abs", "absolute path")
    path = (tmp_path / "x").as_posix()
    slips(refuses, path, "absolute path" if path[0] == "/" else "character ':'")


@pytest.mark.parametrize("path", ["C:\\x", "C:/x", "C:x"])
def test_z03_slip_to_a_drive(refuses: Refuses, path: str) -> None:
    slips(refuses, path, "backslash" if "\\" in path else "character ':'")


def test_z04_slip_to_a_share(refuses: Refuses) -> None:
    slips(refuses, "\\\\server\\share", "backslash")
    slips(refuses, "//server/share", "absolute path")


@pytest.mark.parametrize("path", ["a\\b", "..\\..\\x", "lib\\x.py"])
def test_z05_slip_by_backslash(refuses: Refuses, path: str) -> None:
    slips(refuses, path, "backslash")


def test_z06_slip_through_a_link(refuses: Refuses, machine: Machine) -> None:
    """A folder that is a link to elsewhere, and then a file in it."""
    link = Piece("lib", str(machine.outside).encode(), mode=stat.S_IFLNK | 0o777)
    first, *files = pieces_of()
    refuses([first, link, *files], "'lib' is a link")


@pytest.mark.parametrize("path", ["MAIN.py", "Lib/z.py", "LIB", "manifest.JSON", "Manifest.json/x"])
def test_z07_slip_by_case(refuses: Refuses, path: str) -> None:
    refuses([*pieces_of(), deflated(path, b"evil")], repr(path))


@pytest.mark.parametrize("path", ["CON", "a/aux.txt", "nul .py", "com\u00b9", "CONIN$"])
def test_z08_slip_to_a_device(refuses: Refuses, path: str) -> None:
    slips(refuses, path, "reserved device name")


@pytest.mark.parametrize("name", ["main.py", "link"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../outside/theirs.txt", "x.py"])
def test_z09_symlink_entry(refuses: Refuses, name: str, target: str) -> None:
    """At a name of its own, or in place of a listed file whose digest is that of its target."""
    release = make_release({**NEW.files, "main.py": target.encode()}, NEW.version)
    pieces = [piece for piece in pieces_of(release.manifest.encode()) if piece.name != name]
    link = Piece(name, target.encode(), mode=stat.S_IFLNK | 0o777)
    refuses([*pieces, link], f"'{name}' is a link")


def tar(path: Path, *infos: tarfile.TarInfo) -> Path:
    """The newer release as a tar, and some entries more."""
    files = {"manifest.json": NEW.manifest.encode(), **NEW.files}
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in infos:
            archive.addfile(info)
    return path


def entry(kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    """One entry of a tar that is no file."""
    info = tarfile.TarInfo("evil")
    info.type, info.linkname = kind, linkname
    return info


@pytest.mark.parametrize("name", ["tool.zip", "tool.tar", "tool.tar.001"])
def test_z10_hardlink_in_a_tar(refuses: Refuses, tmp_path: Path, name: str) -> None:
    """Whatever it is called: a tar is no package, so that nothing of it is ever made."""
    package = tar(tmp_path / name, entry(tarfile.LNKTYPE, "/etc/passwd"))
    refuses(package, "does not end with an end record")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_z11_device_in_a_tar(refuses: Refuses, tmp_path: Path, kind: bytes) -> None:
    refuses(tar(tmp_path / "tool.zip", entry(kind)), "does not end with an end record")


@pytest.mark.parametrize("name", ["main.py", "evil"])
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_z11_device_entry(refuses: Refuses, name: str, kind: int) -> None:
    pieces = [piece for piece in pieces_of() if piece.name != name]
    special = deflated(name, NEW.files["main.py"], mode=kind | 0o644)
    refuses([*pieces, special], f"'{name}' is a link or special file")


@pytest.mark.parametrize("right", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_z12_setuid(refuses: Refuses, right: int) -> None:
    mode = {"mode": stat.S_IFREG | 0o755 | right}
    refuses(pieces_of(main=mode), "'main.py' asks for set-user")


def test_z12_no_mode_of_an_archive_is_ever_set(machine: Machine, tmp_path: Path) -> None:
    """What may be executed the manifest says, and what may be written the user's own mask."""
    mode = {"mode": stat.S_IFREG | 0o777}
    folder = machine.heals(write_archive(tmp_path / "tool.zip", pieces_of(main=mode)))
    plain = (folder / "lib/x.py").stat().st_mode
    assert (folder / "main.py").stat().st_mode == plain


@pytest.mark.parametrize("other", [b"evil", NEW.files["main.py"]], ids=["other", "same"])
@pytest.mark.parametrize("name", ["main.py", "manifest.json"])
def test_z16_duplicate_entries(refuses: Refuses, name: str, other: bytes) -> None:
    """First or last: no two readers have to choose."""
    first, *files = pieces_of()
    twin = deflated(name, NEW.manifest.encode() if name == "manifest.json" else other)
    refuses([first, *files, twin], repr(name))
    refuses([first, twin, *files], repr(name))


FIELDS = {
    "name": b"evil.py",
    "size": 3,
    "packed": 3,
    "crc": 1,
    "method": 0,
    "flags": 0,
    "extra": b"\x75\x70\x05\x00\x01abcd",
}


@pytest.mark.parametrize("record", ["local", "central"])
@pytest.mark.parametrize("name", FIELDS)
def test_z17_headers_that_disagree(refuses: Refuses, record: str, name: str) -> None:
    """The extra field is a second name, which some readers take for the true one."""
    refuses(pieces_of(x={record: {name: FIELDS[name]}}))


@pytest.mark.parametrize("bit", [0, 6, 13], ids=["ordinary", "strong", "masked headers"])
def test_z19_encrypted(refuses: Refuses, bit: int) -> None:
    refuses(pieces_of(main={"flags": 1 << 11 | 1 << bit}), "'main.py' is encrypted")
    refuses(pieces_of(manifest={"flags": 1 << 11 | 1 << bit}), "'manifest.json' is encrypted")


def test_z20_truncated(refuses: Refuses, tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole.zip", pieces_of()).read_bytes()
    for keep in (0, 1, 21, len(whole) // 2, len(whole) - 23, len(whole) - 22, len(whole) - 1):
        (tmp_path / "tool.zip").write_bytes(whole[:keep])
        refuses(tmp_path / "tool.zip")


@pytest.mark.parametrize("size", [0, 22, 5000], ids=["absent", "zeroes", "more of them"])
def test_z20_no_end_record(refuses: Refuses, tmp_path: Path, size: int) -> None:
    package = write_archive(tmp_path / "tool.zip", pieces_of(), end=bytes(size))
    refuses(package, "does not end with an end record")


@pytest.mark.parametrize("junk", [b"\0", b"PK\5\6", bytes(70_000), b"#!/bin/sh\n"])
def test_z20_junk_around(refuses: Refuses, tmp_path: Path, junk: bytes) -> None:
    whole = write_archive(tmp_path / "whole.zip", pieces_of()).read_bytes()
    for data in (whole + junk, junk + whole):
        (tmp_path / "tool.zip").write_bytes(data)
        refuses(tmp_path / "tool.zip")


def test_z20_comment_with_a_second_end_record(refuses: Refuses, tmp_path: Path) -> None:
    """Of two archives in one file each reader could take the other."""
    evil = write_archive(tmp_path / "evil.zip", [Piece("evil", b"evil")]).read_bytes()
    whole = write_archive(tmp_path / "whole.zip", pieces_of()).read_bytes()
    for comment in (evil, evil[-22:], b"just words"):
        length = len(comment).to_bytes(2, "little")
        (tmp_path / "tool.zip").write_bytes(whole[:-2] + length + comment)
        refuses(tmp_path / "tool.zip")


def test_z20_two_archives_in_a_row(refuses: Refuses, tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole.zip", pieces_of()).read_bytes()
    (tmp_path / "tool.zip").write_bytes(whole + whole)
    refuses(tmp_path / "tool.zip")


@pytest.mark.parametrize("place", [0, 1, 3])
def test_z20_hidden_between(refuses: Refuses, place: int) -> None:
    """Where every offset is right, what lies between two members is still somebody's."""
    pieces = pieces_of()
    pieces[place] = replace(pieces[place], before=b"hidden")
    refuses(pieces, "does not begin where the one before it ends")


@pytest.mark.parametrize("count", [0, 3, 5, 60_000])
def test_z20_end_record_that_counts_otherwise(refuses: Refuses, tmp_path: Path, count: int) -> None:
    whole = write_archive(tmp_path / "whole.zip", pieces_of()).read_bytes()
    size, start = (int.from_bytes(whole[at : at + 4], "little") for at in (-10, -6))
    package = write_archive(tmp_path / "tool.zip", pieces_of(), end=end_of(count, size, start))
    refuses(package)


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 95, 98, 99, 0xFFFF])
def test_z21_unknown_method(refuses: Refuses, method: int) -> None:
    refuses(pieces_of(main={"method": method}), f"method {method}")


def test_z21_method_that_lies(refuses: Refuses) -> None:
    """Stored bytes that say they are deflated."""
    data = b"\xff" * 200
    release = make_release({**NEW.files, "main.py": data}, NEW.version)
    pieces = [each for each in pieces_of(release.manifest.encode()) if each.name != "main.py"]
    lie = Piece("main.py", data, method=DEFLATED)
    refuses([*pieces, lie], kind=(PackageInvalid, IntegrityError))


@pytest.mark.parametrize("path", ["evil.py", "lib/evil.py", "venv/x", "a.pyc", ".env", "evil/"])
def test_z22_unlisted_file(refuses: Refuses, path: str) -> None:
    """Of any scope; a folder that holds something is a file with a slash."""
    refuses([*pieces_of(), deflated(path, b"evil")], repr(path))


def test_z22_unlisted_folder(machine: Machine, tmp_path: Path) -> None:
    """Empty ones are what honest writers add: taken, and not made."""
    folders = [Piece(path, mode=stat.S_IFDIR | 0o755) for path in ("lib/", "lib/deep/", "evil/")]
    folder = machine.heals(write_archive(tmp_path / "tool.zip", [*folders, *pieces_of()]))
    assert not (folder / "evil").exists()
