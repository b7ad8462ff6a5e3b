"""Packages as a source: what honest writers make is read; names and members that are refused."""

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

from bitstation.core.digest import digest_of
from bitstation.core.manifest import Entry, build_manifest
from bitstation.errors import (
    ManifestError,
    ManifestHashMismatch,
    NotFound,
)
from bitstation.transport.package import PackageSource
from tests.contract.packages import (
    FILES,
    content,
    manifest_of,
    member,
    package_bytes,
    refused,
    saved,
)

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
