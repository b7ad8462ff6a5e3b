"""Group Z of the threats, 13 to 15 and 18: archives whose sizes lie, and those that are just large.

However large what they promise is: memory, disk and time are those of what the manifest states.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitstation import host
from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry, Manifest, build_manifest
from bitstation.errors import DigestMismatch, DiskFull, PackageInvalid, SourceError
from bitstation.storage.ledger import Ledger
from bitstation.testing.releases import CREATED_AT, TOOL_ID, Release, make_release
from bitstation.worker import fit
from tests.attack.archives import (
    DEFLATED,
    GIB,
    LIMIT32,
    Piece,
    deflated,
    end_of,
    write_archive,
    zeroes,
)
from tests.attack.entrances import INVALID, memory_below
from tests.attack.machine import NEW, Machine

MIB = 1024**2
MODEST = 48 * MIB
"""A manifest is read with room for the largest, 32 MiB; the rest is what bombs may take."""
FOLDER = stat.S_IFDIR | 0o755
HOLES = pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: holes in files")


def pieces_of(release: Release, *bombs: Piece) -> list[Piece]:
    """A package of a release, some of its members given."""
    given = {piece.name for piece in bombs}
    files = {"manifest.json": release.manifest.encode(), **release.files}
    honest = [deflated(path, data) for path, data in files.items() if path not in given]
    return [*honest, *bombs]


def release_with(size: int, sha256: Digest, path: str = "bomb.bin") -> Manifest:
    """Manifest of the newer release and one file more, of which nobody has the bytes."""
    entries = [*NEW.manifest.entries, Entry(path, sha256, size, "")]
    return build_manifest(TOOL_ID, NEW.version, entries, created_at=CREATED_AT, fields={})


def package_of(path: Path, manifest: Manifest, *pieces: Piece) -> Path:
    """The newer release's files, and those pieces."""
    return write_archive(path, pieces_of(Release(manifest, NEW.files), *pieces))


# --- bombs --------------------------------------------------------------------------------------

GIGABYTE = zeroes(64)
"""A deflate stream of 1 GiB, in 1 MB."""


@pytest.mark.parametrize("count", [2, 200, 20_000])
def test_z13_overlap(machine: Machine, tmp_path: Path, count: int) -> None:
    """Many members share one stream of a gigabyte: 20,000 of them would be 20 TB."""
    before = write_archive(tmp_path / "before.zip", pieces_of(NEW), end=b"").stat().st_size
    before -= sum(46 + len(name) for name in ["manifest.json", *NEW.files])
    facts: dict[str, Any] = {"size": GIB, "crc": 0, "method": DEFLATED}
    shared = {**facts, "offset": before, "packed": len(GIGABYTE)}
    others = [Piece(str(number), central=shared) for number in range(1, count)]
    pieces = [*pieces_of(NEW), Piece("0", GIGABYTE, **facts), *others]
    package = write_archive(tmp_path / "tool.zip", pieces)
    with memory_below(MODEST):
        machine.refuses_update(package, PackageInvalid, "'0' overlaps what follows it")


def test_z13_overlap_by_quoting(machine: Machine, tmp_path: Path) -> None:
    """Each member's data reaches over all that follow it (as Fifield's, WOOT 2019)."""
    inner = [Piece(f"q{number}", b"x" * 1000) for number in range(50)]
    size = sum(30 + len(piece.name) + 1000 for piece in inner)
    quoted, at = [], size
    for piece in inner:
        at -= 30 + len(piece.name)
        reach = {"packed": at, "size": at}
        quoted.append(Piece(piece.name, piece.data, local=reach, central=reach))
        at -= 1000
    package = write_archive(tmp_path / "tool.zip", [*pieces_of(NEW), *quoted])
    machine.refuses_update(package, PackageInvalid, "'q0' overlaps what follows it")


def test_z13_archives_within_archives(machine: Machine, tmp_path: Path) -> None:
    """As 42.zip is made: what a member holds is nobody's affair but its own."""
    inner = write_archive(tmp_path / "inner.zip", [deflated("../x", bytes(MIB))]).read_bytes()
    release = make_release({**NEW.files, "inner.zip": inner}, NEW.version)
    folder = machine.heals(
        write_archive(tmp_path / "tool.zip", pieces_of(release)), release.manifest
    )
    assert (folder / "inner.zip").read_bytes() == inner


@pytest.mark.parametrize("stated", [1, 5, 70_000])
def test_z14_ratio_beyond_what_is_stated(machine: Machine, tmp_path: Path, stated: int) -> None:
    """Cut at the size that manifest and headers state."""
    bomb = Piece("bomb.bin", GIGABYTE, size=stated, crc=0, method=DEFLATED)
    package = package_of(tmp_path / "tool.zip", release_with(stated, digest_of(b"true")), bomb)
    with memory_below(MODEST):
        machine.refuses_update(package, DigestMismatch, "bomb.bin")


def test_z14_ratio_of_the_manifest(machine: Machine, tmp_path: Path) -> None:
    """Which is read before anything else is known."""
    for stated, words in ((GIB, "33554432 bytes"), (1000, "not JSON")):
        bomb = Piece("manifest.json", GIGABYTE, size=stated, crc=0, method=DEFLATED)
        package = write_archive(tmp_path / "tool.zip", pieces_of(NEW, bomb))
        with memory_below(MODEST):
            machine.refuses_update(package, INVALID, words)


def test_z14_ratio_over_the_disk(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stated truly: then there must be room for it before a byte is unpacked."""
    monkeypatch.setattr(fit, "free_bytes", lambda _path: GIB)
    bomb = Piece("bomb.bin", GIGABYTE, size=GIB, crc=0, method=DEFLATED)
    package = package_of(tmp_path / "tool.zip", release_with(GIB, Digest("f" * 64)), bomb)
    with memory_below(MODEST):
        machine.refuses_update(package, DiskFull, exit_code=50)


def test_z14_ratio_that_is_true(machine: Machine, tmp_path: Path) -> None:
    """Models may hold zeroes: 1 to 1,000 alone is no fault, and takes no memory."""
    size, hasher = 64 * MIB, hashlib.sha256()
    for _ in range(64):
        hasher.update(bytes(MIB))
    bomb = Piece("bomb.bin", zeroes(4), size=size, crc=0, method=DEFLATED)
    package = package_of(
        tmp_path / "tool.zip", release_with(size, Digest(hasher.hexdigest())), bomb
    )
    with memory_below(MODEST):
        assert machine.updater.update(package).activated
        assert machine.updater.verify(deep=True).damaged == ()


# --- lies ---------------------------------------------------------------------------------------

TEXT = b"what the manifest means" * 100


@pytest.mark.parametrize("packs", [True, False], ids=["deflated", "stored"])
@pytest.mark.parametrize("more", [-100, -1, 1, 100, 2**40])
def test_z15_size_that_lies_in_the_headers(
    machine: Machine, tmp_path: Path, packs: bool, more: int
) -> None:
    """Another size than the manifest says: refused before anything is read."""
    piece = deflated("text", TEXT) if packs else Piece("text", TEXT)
    lie = replace(piece, size=len(TEXT) + more)
    package = package_of(
        tmp_path / "tool.zip", release_with(len(TEXT), digest_of(TEXT), "text"), lie
    )
    words = "the manifest says 2300" if packs else "states two sizes"
    machine.refuses_update(package, PackageInvalid, words)


@pytest.mark.parametrize("more", [-100, -1, 1, 100])
def test_z15_size_that_lies_everywhere(machine: Machine, tmp_path: Path, more: int) -> None:
    """The manifest says the same: what is unpacked is cut there, or ends too early."""
    lie = replace(deflated("text", TEXT), size=len(TEXT) + more)
    manifest = release_with(len(TEXT) + more, digest_of(TEXT), "text")
    package = package_of(tmp_path / "tool.zip", manifest, lie)
    if more < 0:
        machine.refuses_update(package, DigestMismatch, "text")
    else:
        machine.refuses_update(package, SourceError, "too early", exit_code=40, goes_on=True)


def test_z15_packed_size_that_lies(machine: Machine, tmp_path: Path) -> None:
    """It reaches into the next member, or leaves some of its own to nobody."""
    piece = deflated("text", TEXT)
    manifest = release_with(len(TEXT), digest_of(TEXT), "text")
    for more in (-1, 1, 2**33):
        packed = {"packed": len(piece.data) + more}
        lie = replace(piece, local=packed, central=packed)
        package = package_of(tmp_path / "tool.zip", manifest, lie)
        machine.refuses_update(package, PackageInvalid)


# --- Zip64 --------------------------------------------------------------------------------------

EDGES = [LIMIT32 - 1, LIMIT32, LIMIT32 + 1]
MODEL = Digest("f" * 64)
"""Digest that the machine has proved its model to have: nobody reads 4 GiB of zeroes here."""


def hold(machine: Machine, size: int) -> None:
    """Another tool's release with such a model, which takes no room."""
    manifest = build_manifest(
        "holder", "1.0.0", [Entry("model", MODEL, size)], created_at=CREATED_AT, fields={}
    )
    folder = machine.root / "holder/releases/v1.0.0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest.encode())
    (machine.root / "holder/current.txt").write_bytes(b"v1.0.0")
    with (folder / "model").open("wb") as file:
        file.truncate(size)
    with contextlib.closing(Ledger(machine.updater.root.ledger)) as ledger:
        ledger.record([(host.stat_facts(folder / "model"), MODEL)])


@HOLES
@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("zip64", [False, True], ids=["where needed", "always"])
def test_z18_zip64(machine: Machine, tmp_path: Path, size: int, zip64: bool) -> None:
    """A member of just 4 GiB, and one behind it, from writers of both habits."""
    hold(machine, size)
    entries = [*NEW.manifest.entries, Entry("model", MODEL, size)]
    manifest = build_manifest(TOOL_ID, "1.1.0", entries, created_at=CREATED_AT, fields={})
    files = {"manifest.json": manifest.encode(), **NEW.files}
    pieces = [replace(deflated(path, data), zip64=zip64) for path, data in files.items()]
    model = Piece("model", hole=size, crc=0, zip64=zip64)
    package = write_archive(tmp_path / "tool.zip", [pieces[0], model, *pieces[1:]])
    assert package.stat().st_size > size
    stats = machine.updater.update(package)
    folder = machine.tree.release("1.1.0")
    assert (folder / "model").stat().st_size == size
    assert (folder / "main.py").read_bytes() == NEW.files["main.py"]
    assert (stats.files_downloaded, stats.activated) == (2, True)
    assert machine.updater.verify().damaged == ()


@pytest.mark.parametrize("members", [65_534, 65_535, 65_536])
def test_z18_zip64_by_number_of_members(machine: Machine, tmp_path: Path, members: int) -> None:
    """Empty folders cost nothing but their records."""
    pieces = pieces_of(NEW)
    folders = [Piece(f"d{number}/", mode=FOLDER) for number in range(members - len(pieces))]
    machine.heals(write_archive(tmp_path / "tool.zip", [*pieces, *folders]))


ZIP64_LIES: dict[str, dict[str, Any]] = {
    "none where it is said": {"central": {"size": LIMIT32 - 1, "extra": b""}},
    "two of them": {"zip64": True, "central": {"extra": struct.pack("<2HQ", 1, 8, 5)}},
    "too short": {"local": {"extra": b"\x01\x00\x08\x00\x05"}},
    "endless": {"central": {"size": 2**64 - 1, "packed": 2**64 - 1}},
    "far away": {"central": {"offset": 2**63}},
    "before all": {"zip64": True, "central": {"offset": 0}},
    "local alone": {"local": {"size": 2**33, "packed": 2**33}},
}


@pytest.mark.parametrize("lie", ZIP64_LIES.values(), ids=ZIP64_LIES)
def test_z18_zip64_that_lies(machine: Machine, tmp_path: Path, lie: dict[str, Any]) -> None:
    piece = replace(deflated("main.py", NEW.files["main.py"]), **lie)
    package = write_archive(tmp_path / "tool.zip", pieces_of(NEW, piece))
    machine.refuses_update(package, PackageInvalid)


def test_z18_end_records_that_lie(machine: Machine, tmp_path: Path) -> None:
    """The short one is at its limits without the long one, or the two disagree."""
    whole = write_archive(tmp_path / "whole.zip", pieces_of(NEW)).read_bytes()
    count, size, start = struct.unpack("<H2I", whole[-12:-2])
    long, other = end_of(count, size, start, zip64=True), end_of(9, size, start, zip64=True)
    ends = [
        struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, LIMIT32, LIMIT32, 0),
        other[:-22] + long[-22:],
        long[:-22] + other[-22:],
        long[:-22][20:] + long[-22:],
        long[:8] + b"\xff" + long[9:],
        long.replace(b"PK\6\7\0", b"PK\6\7\1"),
    ]
    for end in ends:
        package = write_archive(tmp_path / "tool.zip", pieces_of(NEW), end=end)
        machine.refuses_update(package, PackageInvalid)
    machine.heals(write_archive(tmp_path / "tool.zip", pieces_of(NEW), end=long))
