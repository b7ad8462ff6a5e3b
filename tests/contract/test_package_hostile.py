"""Packages that lie: bombs, records that disagree, archives that end otherwise than they should."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation.core.digest import digest_of
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    PackageInvalid,
    SourceBroken,
)
from bitstation.transport import package_checks
from bitstation.transport.package import PackageSource
from tests.contract.packages import (
    FILES,
    content,
    manifest_of,
    package_bytes,
    refused,
    saved,
)

CENTRAL = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"
END = b"PK\x05\x06"


def patched(data: bytes, signature: bytes, index: int, offset: int, new: bytes) -> bytes:
    """The archive with bytes of its ``index``-th record of a kind replaced."""
    start = -1
    for _ in range(index + 1):
        start = data.index(signature, start + 1)
    return data[: start + offset] + new + data[start + offset + len(new) :]


# --- bombs and lies --------------------------------------------------------------------------


def lying(body: bytes, claimed: bytes) -> bytes:
    """A package whose last member unpacks to ``body``, with the records of ``claimed``."""
    files = {**FILES, "zz.txt": claimed}
    data = package_bytes(manifest=manifest_of(files), extra=[("zz.txt", body)])
    size = struct.pack("<I", len(claimed))
    last = len(files)
    return patched(patched(data, CENTRAL, last, 24, size), LOCAL, last, 22, size)


def test_a_bomb_gives_no_more_than_its_stated_size(tmp_path: Path) -> None:
    claimed = b"small"
    source = PackageSource(saved(tmp_path, lying(bytes(50_000_000), claimed)))
    with pytest.raises(DigestMismatch):
        source.read_object(digest_of(claimed), 1000)
    assert content(source, digest_of(claimed), 0, 5) == bytes(5)


def test_content_that_ends_before_its_stated_size(tmp_path: Path) -> None:
    claimed = b"x" * 10_000
    source = PackageSource(saved(tmp_path, lying(b"short", claimed)))
    with pytest.raises(SourceBroken):
        content(source, digest_of(claimed), 0, len(claimed))


def test_stored_content_with_two_sizes(tmp_path: Path) -> None:
    data = package_bytes(method=zipfile.ZIP_STORED)
    refused(tmp_path, patched(data, CENTRAL, 1, 24, struct.pack("<I", 999)), "two sizes")


def test_damaged_deflate_data(tmp_path: Path) -> None:
    data = package_bytes()
    start = data.index(b"src/main.py") + len(b"src/main.py")
    source = PackageSource(saved(tmp_path, data[:start] + b"\xff" * 20 + data[start + 20 :]))
    body = FILES["src/main.py"]
    with pytest.raises(PackageInvalid):
        content(source, digest_of(body), 0, len(body))


def test_members_that_overlap_share_their_bytes_as_bombs_do(tmp_path: Path) -> None:
    data = package_bytes()
    first = struct.pack("<I", 0)
    refused(tmp_path, patched(data, CENTRAL, 2, 42, first), "overlaps")


def test_a_member_that_reaches_into_the_next(tmp_path: Path) -> None:
    data = package_bytes(method=zipfile.ZIP_STORED)
    wrong = struct.pack("<II", 60, 60)
    data = patched(patched(data, CENTRAL, 1, 20, wrong), LOCAL, 1, 18, wrong)
    refused(tmp_path, data, "overlaps")


def test_a_local_header_that_says_another_name(tmp_path: Path) -> None:
    data = package_bytes()
    at = data.index(b"src/main.py")
    refused(tmp_path, data[:at] + b"src/evil.py" + data[at + 11 :], "another name")


@pytest.mark.parametrize(
    ("offset", "new"),
    [(6, b"\x02\x00"), (8, b"\x00\x00"), (14, b"\0\0\0\0"), (18, b"\1\0\0\0"), (22, b"\1\0\0\0")],
    ids=["flags", "method", "checksum", "packed size", "size"],
)
def test_a_local_header_that_disagrees(tmp_path: Path, offset: int, new: bytes) -> None:
    refused(tmp_path, patched(package_bytes(), LOCAL, 2, offset, new), "described differently")


def test_a_local_header_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path, patched(package_bytes(), LOCAL, 2, 0, b"PKxx"), "local header is not where")


def test_a_record_after_the_data_that_disagrees(tmp_path: Path) -> None:
    data = package_bytes(unseekable=True)
    refused(tmp_path, patched(data, b"PK\x07\x08", 1, 4, b"\0\0\0\0"), "does not belong to it")


def test_encrypted_members(tmp_path: Path) -> None:
    data = patched(package_bytes(), CENTRAL, 1, 8, b"\x01\x00")
    refused(tmp_path, patched(data, LOCAL, 1, 6, b"\x01\x00"), "encrypted")


def test_a_member_for_readers_of_another_time(tmp_path: Path) -> None:
    refused(tmp_path, patched(package_bytes(), CENTRAL, 1, 6, b"\x94"), "features")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_packing(tmp_path: Path, method: int) -> None:
    refused(tmp_path, package_bytes(method=method), f"method {method}")


@pytest.mark.parametrize("before", [b"", b"hidden"])
def test_an_archive_without_members(tmp_path: Path, before: bytes) -> None:
    # 4 + 8 bytes of zeroes, the length of the directory, and where it begins.
    end = END + bytes(12) + struct.pack("<IH", len(before), 0)
    refused(tmp_path, before + end, "something lies" if before else "manifest")


def test_a_gap_between_members(tmp_path: Path) -> None:
    data = package_bytes()
    at = data.index(LOCAL, 10)
    refused(tmp_path, _shifted(data, at, b"hidden"), "does not begin where")


def test_a_gap_before_the_directory(tmp_path: Path) -> None:
    data = package_bytes()
    refused(tmp_path, _shifted(data, data.index(CENTRAL), b"hidden"), "something lies between")


def test_something_before_the_archive(tmp_path: Path) -> None:
    refused(tmp_path, _shifted(package_bytes(), 0, b"#!/bin/sh\n"), "does not begin where")


def _shifted(data: bytes, at: int, hidden: bytes) -> bytes:
    """The archive with bytes slipped in, every offset corrected."""
    start = data.index(CENTRAL)
    moved = bytearray(data[:at] + hidden + data[at:])
    directory = start + len(hidden)
    end = moved.rindex(END)
    moved[end + 16 : end + 20] = struct.pack("<I", directory)
    row = directory
    while moved[row : row + 4] == CENTRAL:
        offset, *_ = struct.unpack_from("<I", moved, row + 42)
        struct.pack_into("<I", moved, row + 42, offset + (len(hidden) if offset >= at else 0))
        name, extra, comment = struct.unpack_from("<3H", moved, row + 28)
        row += 46 + name + extra + comment
    return bytes(moved)


# --- ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 21, 22, 100, -1, -21, -22, -30])
def test_a_package_cut_short(tmp_path: Path, keep: int) -> None:
    refused(tmp_path, package_bytes()[:keep])


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"PK\x05\x06", bytes(70_000)])
def test_something_after_the_archive(tmp_path: Path, junk: bytes) -> None:
    refused(tmp_path, package_bytes() + junk, "does not end with an end record")


def test_a_comment(tmp_path: Path) -> None:
    data = package_bytes()[:-2] + struct.pack("<H", 5) + b"hello"
    refused(tmp_path, data, "does not end with an end record")


def test_a_comment_that_holds_a_second_end_record(tmp_path: Path) -> None:
    data = package_bytes()
    second = package_bytes({"evil.txt": b"evil"})[-22:]
    refused(tmp_path, data[:-2] + struct.pack("<H", 22) + second)


def test_an_end_record_of_several_volumes(tmp_path: Path) -> None:
    refused(tmp_path, patched(package_bytes(), END, 0, 4, b"\1\0"), "other volumes")


def test_an_end_record_that_counts_fewer_members(tmp_path: Path) -> None:
    fewer = struct.pack("<HH", 2, 2)
    refused(tmp_path, patched(package_bytes(), END, 0, 8, fewer), "lists more")


def test_an_end_record_that_counts_more_members(tmp_path: Path) -> None:
    more = struct.pack("<HH", 60, 60)
    refused(tmp_path, patched(package_bytes(), END, 0, 8, more), "directory is damaged")


def test_two_end_records_that_disagree(tmp_path: Path) -> None:
    data = package_bytes()
    end = data.rindex(END)
    _, _, _, _, members, size, offset, _ = struct.unpack("<4s4H2IH", data[end:])
    end64 = struct.pack(
        "<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, members - 1, members - 1, size, offset
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    refused(tmp_path, data[:end] + end64 + locator + data[end:], "two end records disagree")


def test_more_members_than_a_release_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_checks, "MAX_MEMBERS", 3)
    refused(tmp_path, package_bytes(), "at most 3")


def test_a_directory_that_would_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_checks, "MAX_DIRECTORY_BYTES", 100)
    refused(tmp_path, package_bytes(), "a package has at most")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_a_damaged_package_is_refused_or_gives_the_right_bytes(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever is done to it, nothing but our errors and no wrong content comes out."""
    files = {"a.txt": b"alpha" * 20, "b.bin": bytes(range(64))}
    whole = bytearray(package_bytes(files, unseekable=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    try:
        source = PackageSource(saved(tmp_path, bytes(whole)))
        for row in source.resolve("sample", None).manifest.entries:
            assert source.read_object(row.sha256, 10_000) == files[row.path]
    except BitStationError:
        pass
