"""Packages as a source: what honest writers make is read, and every hostile one is refused."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation.core.digest import Digest, digest_of
from bitstation.core.manifest import Entry, build_manifest
from bitstation.errors import (
    BitStationError,
    DigestMismatch,
    ManifestError,
    ManifestHashMismatch,
    NotFound,
    PackageInvalid,
    SourceBroken,
)
from bitstation.transport import package_checks
from bitstation.transport.package import PackageSource
from bitstation.transport.source import Source
from tests.contract.packages import FILES, manifest_of, member, package_bytes, saved

CENTRAL = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"
END = b"PK\x05\x06"


def content(source: Source, digest: Digest, offset: int, length: int) -> bytes:
    """A span read in uneven bites, as the engine might."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    with source.read_range(digest, offset, length) as reader:
        while count := reader.readinto(view[done : done + 1000]):
            done += count
    return bytes(data[:done])


def refused(folder: Path, data: bytes, *words: str) -> None:
    """The package is refused as a whole, for the reason named."""
    with pytest.raises(PackageInvalid) as caught:
        PackageSource(saved(folder, data))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.exit_code == 30


def patched(data: bytes, signature: bytes, index: int, offset: int, new: bytes) -> bytes:
    """The archive with bytes of its ``index``-th record of a kind replaced."""
    start = -1
    for _ in range(index + 1):
        start = data.index(signature, start + 1)
    return data[: start + offset] + new + data[start + offset + len(new) :]


# --- what honest writers make ----------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("unseekable", [False, True])
def test_packages_of_another_writer_are_read(tmp_path: Path, method: int, unseekable: bool) -> None:
    folders = [(member("src/", stat.S_IFDIR | 0o755), b"")]
    data = package_bytes(method=method, unseekable=unseekable, extra=folders)
    source = PackageSource(saved(tmp_path, data))
    assert source.resolve("sample", None).manifest == manifest_of(FILES)
    for body in FILES.values():
        digest = digest_of(body)
        assert source.read_object(digest, len(body)) == body
        for offset in {0, 1, len(body) // 2, len(body)} & set(range(len(body) + 1)):
            assert content(source, digest, offset, len(body) - offset) == body[offset:]


def test_sizes_beyond_four_gigabytes_are_written_as_zip64_says(tmp_path: Path) -> None:
    path = saved(tmp_path, b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest_of(FILES).encode())
        for name, body in FILES.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(body)
    assert PackageSource(path).read_object(digest_of(FILES["models/m.bin"]), 10**6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_any_span_is_the_span(tmp_path: Path, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    source = PackageSource(saved(tmp_path, package_bytes(method=method)))
    body = data.draw(st.sampled_from([FILES["models/m.bin"], FILES["src/main.py"]]))
    start = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, len(body) - start))
    assert content(source, digest_of(body), start, length) == body[start : start + length]


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    source = PackageSource(saved(tmp_path, package_bytes()))
    bodies = [FILES["models/m.bin"], FILES["src/main.py"]] * 20
    with ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda body: content(source, digest_of(body), 0, len(body)), bodies)
        assert list(read) == bodies


def test_content_that_the_package_lacks_is_not_found(tmp_path: Path) -> None:
    source = PackageSource(saved(tmp_path, package_bytes()))
    with pytest.raises(NotFound):
        source.read_object(digest_of(b"something else"), 100)


def test_an_absent_package_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        PackageSource(tmp_path / "tool_sample_1.0.0.zip")


def test_a_manifest_whose_hash_does_not_recompute_is_taken_as_legacy_only(tmp_path: Path) -> None:
    good = manifest_of(FILES)
    edited = good.encode().replace(b'"tool_version": "1.0.0"', b'"tool_version": "1.0.9"')
    names = [("manifest.json", edited), *FILES.items()]
    path = saved(tmp_path, b"")
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in names:
            archive.writestr(name, body)
    source = PackageSource(path)
    with pytest.raises(ManifestHashMismatch):
        source.resolve("sample", None)
    assert source.resolve("sample", "1.0.9", legacy=True).manifest.tool_version == "1.0.9"


def test_a_legacy_manifest_that_lists_itself_is_read(tmp_path: Path) -> None:
    entries = [Entry("manifest.json", digest_of(b"its predecessor"), 15)]
    entries += [Entry(path, digest_of(body), len(body)) for path, body in FILES.items()]
    manifest = build_manifest(
        "sample", "1.0.0", entries, created_at="2026-01-01T00:00:00Z", fields={}
    )
    source = PackageSource(saved(tmp_path, package_bytes(manifest=manifest)))
    assert len(source.resolve("sample", None).manifest.entries) == len(FILES)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("../evil.txt", "'..' is not a name"),
        ("a/../../evil.txt", "'..' is not a name"),
        ("/abs.txt", "absolute"),
        ("C:/x.txt", "not allowed"),
        ("C:x.txt", "not allowed"),
        ("\\\\server\\share\\x", "backslash"),
        ("a\\b.txt", "backslash"),
        ("CON", "reserved"),
        ("a/nul.txt", "reserved"),
        ("x:stream", "not allowed"),
        ("dot.", "dot or a space"),
        ("a//b", "empty name"),
        ("nfd-e\u0301.txt", "NFC"),
        ("rtl-\u202e.txt", "invisible"),
        ("current.txt", "control name"),
        ("../", "'..' is not a name"),
    ],
)
def test_zip_slip_and_names_that_no_release_may_hold(tmp_path: Path, name: str, word: str) -> None:
    refused(tmp_path, package_bytes(extra=[(member(name), b"")]), word)


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    data = package_bytes(extra=[(member("nulXx.txt"), b"evil")])
    refused(tmp_path, data.replace(b"nulXx.txt", b"nul\0x.txt"), "not allowed")


def test_an_unsafe_path_in_manifest_and_package_alike(tmp_path: Path) -> None:
    files = {**FILES, "../evil.txt": b"evil"}
    document = {**manifest_of(FILES).document}
    rows = list(document["files"])  # type: ignore[call-overload]
    rows.append({"path": "../evil.txt", "sha256": digest_of(b"evil"), "size": 4})
    path = saved(tmp_path, b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", str({**document, "files": rows}).replace("'", '"'))
        for name, body in files.items():
            archive.writestr(name, body)
    with pytest.raises(ManifestError):
        PackageSource(path)


def test_names_that_are_one_file_on_windows(tmp_path: Path) -> None:
    refused(tmp_path, package_bytes(extra=[("SRC/Main.py", b"evil")]), "collides")


def test_a_name_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = package_bytes(extra=[("src/main.py", FILES["src/main.py"])])
    refused(tmp_path, data, "listed twice")


def test_a_second_manifest(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = package_bytes(extra=[("manifest.json", b"{}")])
    refused(tmp_path, data, "listed twice")


def test_a_name_that_is_not_marked_as_utf8(tmp_path: Path) -> None:
    data = package_bytes(extra=[("caf\u00e9.txt", b"")])
    refused(tmp_path, data.replace("caf\u00e9".encode(), b"caf\xc3\x28"), "not UTF-8")


def test_a_second_name_in_an_extra_field(tmp_path: Path) -> None:
    info = member("x.txt")
    other = b"y.txt"
    info.extra = struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(b"x.txt")) + other
    refused(tmp_path, package_bytes(extra=[(info, b"")]), "second name")


# --- what is no plain file -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files(tmp_path: Path, kind: int) -> None:
    files = {**FILES, "link": b"/etc/passwd"}
    data = package_bytes(
        FILES, manifest=manifest_of(files), extra=[(member("link", kind | 0o777), b"/etc/passwd")]
    )
    refused(tmp_path, data, "link or special file")


@pytest.mark.parametrize("right", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_special_rights(tmp_path: Path, right: int) -> None:
    files = {**FILES, "run": b"x"}
    data = package_bytes(
        FILES,
        manifest=manifest_of(files),
        extra=[(member("run", stat.S_IFREG | right | 0o755), b"x")],
    )
    refused(tmp_path, data, "set-user")


def test_a_folder_that_holds_bytes(tmp_path: Path) -> None:
    refused(tmp_path, package_bytes(extra=[(member("src/", stat.S_IFDIR | 0o755), b"evil")]))


# --- manifest and members --------------------------------------------------------------------


def test_an_unlisted_file(tmp_path: Path) -> None:
    refused(tmp_path, package_bytes(extra=[("extra.txt", b"x")]), "'extra.txt' is not in the man")


def test_a_missing_file(tmp_path: Path) -> None:
    fewer = {path: body for path, body in FILES.items() if path != "src/main.py"}
    refused(tmp_path, package_bytes(fewer, manifest=manifest_of(FILES)), "'src/main.py' is missing")


def test_a_size_that_is_not_the_manifests(tmp_path: Path) -> None:
    longer = {**FILES, "tool.json": b"{} longer\n"}
    refused(tmp_path, package_bytes(longer, manifest=manifest_of(FILES)), "the manifest says 3")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    fewer = {"tool.json": FILES["tool.json"]}
    data = package_bytes(fewer, manifest=manifest_of(FILES), extra=[("../x", b""), ("y", b"")])
    refused(tmp_path, data, "'..' is not", "'y' is not in", "'src/main.py' is missing")


def test_no_manifest(tmp_path: Path) -> None:
    path = saved(tmp_path, b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"x")
    refused(tmp_path, path.read_bytes(), "holds no manifest.json")


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"files": []}', b"\xff"])
def test_a_manifest_that_is_none(tmp_path: Path, manifest: bytes) -> None:
    path = saved(tmp_path, b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest)
    with pytest.raises(ManifestError):
        PackageSource(path)


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


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_packing(tmp_path: Path, method: int) -> None:
    refused(tmp_path, package_bytes(method=method), f"method {method}")


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
