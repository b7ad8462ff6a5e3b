"""What every source of releases keeps to, wherever its bytes lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.canonical import pretty_bytes
from bitstation.core.digest import Digest, digest_of
from bitstation.errors import (
    DigestMismatch,
    FolderOfPackages,
    ManifestError,
    ManifestHashMismatch,
    NotFound,
    SourceBroken,
    SourceError,
    UnexpectedRelease,
    UsageError,
)
from bitstation.testing.invariants import wrong_files
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, Release, make_release
from bitstation.testing.scripted_hq import ScriptedHq, source_of
from bitstation.testing.web_server import serving
from bitstation.transport.bundle import BundleSource
from bitstation.transport.folder import FolderSource
from bitstation.transport.hq import HqClient, HqSource
from bitstation.transport.mirror import MirrorSource
from bitstation.transport.open import open_source
from bitstation.transport.source import Source
from tests.contract.layouts import static_server, write_bundle, write_mirror

LARGE = bytes(range(256)) * 1000
FILES = {"main.py": b"print(1)", "models/ñ.gguf": LARGE, "twin.bin": LARGE, "empty": b""}
RELEASE = make_release(FILES, "1.2.3", executables=["main.py"])
DIGEST = digest_of(LARGE)
ABSENT = digest_of(b"nobody has this")

MakeSource = Callable[[Release], Source]


@pytest.fixture(params=["folder", "hq", "static web server", "mirror", "bundle", "memory"])
def make_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSource]:
    """Sources of one kind, each holding one release."""
    with ExitStack() as opened:

        def make(release: Release) -> Source:
            match request.param:
                case "folder":
                    return FolderSource(release.write(tmp_path / "published"))
                case "hq":
                    server = opened.enter_context(serving(ScriptedHq(release)))
                    return opened.enter_context(source_of(server))
                case "static web server":
                    root = write_mirror(tmp_path / "mirror", release)
                    url = opened.enter_context(static_server(root))
                    return opened.enter_context(closing(HqSource(HqClient(url))))
                case "mirror":
                    return MirrorSource(write_mirror(tmp_path / "mirror", release))
                case "bundle":
                    return BundleSource(write_bundle(tmp_path / "x.bundle", release))
            return MemorySource(release)

        yield make


@pytest.fixture
def source(make_source: MakeSource) -> Source:
    return make_source(RELEASE)


def span(source: Source, digest: Digest, offset: int, length: int, step: int = 1000) -> bytes:
    """A span, read in steps until the source says that it ends."""
    data, block = bytearray(), memoryview(bytearray(step))
    with source.read_range(digest, offset, length) as reader:
        while count := reader.readinto(block):
            data += block[:count]
        assert reader.readinto(block) == 0, "and stays at its end"
    return bytes(data)


# --- releases ----------------------------------------------------------------------------------


def test_it_has_a_name_to_show(source: Source) -> None:
    assert source.name
    assert source.concurrency >= 1


@pytest.mark.parametrize("version", [None, "1.2.3"])
def test_a_release_is_found_with_and_without_its_version(
    source: Source, version: str | None
) -> None:
    found = source.resolve(TOOL_ID, version)
    assert found.manifest == RELEASE.manifest
    assert found.manifest_bytes == RELEASE.manifest.encode()
    assert (found.required, found.legacy) == (False, False)


def test_another_version_than_it_holds_is_refused(source: Source) -> None:
    with pytest.raises((NotFound, UnexpectedRelease)):
        source.resolve(TOOL_ID, "9.9.9")


def test_another_tool_than_it_holds_is_refused(source: Source) -> None:
    with pytest.raises((NotFound, UnexpectedRelease)):
        source.resolve("other-tool", None)


def test_a_release_without_a_name_is_the_one_it_holds_unless_it_may_hold_many(
    source: Source,
) -> None:
    if isinstance(source, HqSource):
        with pytest.raises(UsageError, match="name one"):
            source.resolve(None, None)
    else:
        assert source.resolve(None, None).manifest == RELEASE.manifest


# --- spans -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, len(LARGE)), (0, 1), (1, 1), (len(LARGE) - 1, 1), (1000, 12345), (77, len(LARGE) - 77)],
)
@pytest.mark.parametrize("step", [1, 777, 10**6])
def test_a_span_is_exactly_what_was_asked_for(
    source: Source, offset: int, length: int, step: int
) -> None:
    if step == 1 and length > 2000:
        step = 4096
    assert span(source, DIGEST, offset, length, step) == LARGE[offset : offset + length]


def test_many_spans_may_be_open_at_once(source: Source) -> None:
    block, other = memoryview(bytearray(10)), memoryview(bytearray(10))
    with source.read_range(DIGEST, 0, 10) as one, source.read_range(DIGEST, 100, 10) as two:
        assert two.readinto(other) == one.readinto(block) == 10
    assert (bytes(block), bytes(other)) == (LARGE[:10], LARGE[100:110])


def test_a_span_may_be_given_up_at_any_time(source: Source) -> None:
    with source.read_range(DIGEST, 0, len(LARGE)) as reader:
        reader.readinto(memoryview(bytearray(10)))
    assert span(source, DIGEST, 0, 5) == LARGE[:5]


def test_what_it_does_not_have_is_not_found(source: Source) -> None:
    with pytest.raises(NotFound), source.read_range(ABSENT, 0, 5):
        pass


def test_a_span_beyond_the_end_is_a_failing_source(source: Source) -> None:
    with pytest.raises(SourceError):
        span(source, DIGEST, len(LARGE) - 5, 10)


# --- objects -----------------------------------------------------------------------------------


def test_a_small_blob_is_read_whole(source: Source) -> None:
    assert source.read_object(digest_of(b"print(1)"), 100) == b"print(1)"
    assert source.read_object(DIGEST, len(LARGE)) == LARGE


def test_a_blob_that_is_longer_than_allowed_is_refused(source: Source) -> None:
    with pytest.raises(SourceBroken):
        source.read_object(DIGEST, len(LARGE) - 1)


# --- the engine on it ----------------------------------------------------------------------------


def test_a_release_installs_from_it(source: Source, tmp_path: Path) -> None:
    updater = DeltaUpdater(tmp_path / "tools" / TOOL_ID, options=UNSIGNED)

    stats = updater.update(source)

    assert wrong_files(updater.tree.release("1.2.3"), RELEASE.manifest) == []
    manifest_bytes = source.resolve(TOOL_ID, None).guidance.received_bytes
    assert manifest_bytes in (0, len(RELEASE.manifest.encode()))
    assert stats.sources == {source.name: len(b"print(1)") + len(LARGE) + manifest_bytes}
    assert updater.update(source).outcome == "nothing-to-do"


def test_its_manifest_is_refused_when_its_hash_is_not_true(make_source: MakeSource) -> None:
    source = make_source(_with_hash("0" * 64))
    with pytest.raises(ManifestHashMismatch):
        source.resolve(TOOL_ID, None)
    found = source.resolve(TOOL_ID, None, legacy=True)
    assert found.legacy
    assert found.manifest.manifest_hash == RELEASE.manifest.manifest_hash
    assert found.manifest_bytes == found.manifest.encode()


def _with_hash(digest: str) -> Release:
    class Forged:
        manifest_hash = digest
        tool_id, tool_version = TOOL_ID, "1.2.3"
        total_bytes = RELEASE.manifest.total_bytes

        def encode(self) -> bytes:
            return pretty_bytes({**RELEASE.manifest.document, "manifest_hash": digest})

    return Release(Forged(), dict(FILES))  # type: ignore[arg-type]


# --- a folder ----------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return RELEASE.write(tmp_path / "published")


def test_a_folder_without_a_manifest_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"manifest\.json"):
        FolderSource(tmp_path).resolve(TOOL_ID, None)


def test_a_folder_with_a_manifest_of_garbage_is_refused(published: Path) -> None:
    (published / "manifest.json").write_bytes(b"{")
    with pytest.raises(ManifestError):
        FolderSource(published).resolve(TOOL_ID, None)


def test_a_file_that_lacks_is_found_under_its_other_name(published: Path) -> None:
    (published / "models/ñ.gguf").unlink()
    assert FolderSource(published).read_object(DIGEST, len(LARGE)) == LARGE


@pytest.mark.parametrize("act", ["gone", "a folder"])
def test_a_file_that_lacks_is_not_found(published: Path, act: str) -> None:
    (published / "main.py").unlink()
    if act == "a folder":
        (published / "main.py").mkdir()
    with pytest.raises(NotFound):
        FolderSource(published).read_object(digest_of(b"print(1)"), 100)


def test_a_file_that_was_changed_is_noticed_by_its_digest(published: Path) -> None:
    (published / "main.py").write_bytes(b"print(6)")
    with pytest.raises(DigestMismatch):
        FolderSource(published).read_object(digest_of(b"print(1)"), 100)


def test_a_disk_that_fails_to_read_is_a_failing_source(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FolderSource(published).read_range(DIGEST, 0, 10) as reader:
        reader._inner._file.close()  # type: ignore[attr-defined]
        monkeypatch.setattr(reader._inner, "_file", _Yanked())  # type: ignore[attr-defined]
        with pytest.raises(SourceError, match="yanked") as failure:
            reader.readinto(memoryview(bytearray(10)))
    assert failure.value.exit_code == 40


class _Yanked:
    def readinto(self, _buffer: memoryview) -> int:
        raise OSError(5, "yanked")

    def close(self) -> None:
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: pipes")
def test_a_pipe_is_not_waited_for(published: Path) -> None:
    (published / "main.py").unlink()
    os.mkfifo(published / "main.py")
    with pytest.raises(NotFound):
        FolderSource(published).read_object(digest_of(b"print(1)"), 100)


# --- from a name to a source -------------------------------------------------------------------


def test_a_name_says_which_source_it_is(published: Path, tmp_path: Path) -> None:
    assert isinstance(open_source(published), FolderSource)
    assert isinstance(open_source(str(published)), FolderSource)
    hq = open_source("http://127.0.0.1:1/")
    assert "127.0.0.1:1" in hq.name
    hq.close()
    assert isinstance(open_source(write_mirror(tmp_path / "mirror", RELEASE)), MirrorSource)
    bundle = write_bundle(tmp_path / "b.zip", RELEASE)
    assert isinstance(open_source(bundle), BundleSource), "whatever it is called"
    (published / "api/v1").mkdir(parents=True)
    assert isinstance(open_source(published), FolderSource), "a release that has such a folder"


@pytest.mark.parametrize("suffix", ["", ".001"])
def test_a_folder_of_packages_is_none_and_it_is_said_what_to_name(
    tmp_path: Path, suffix: str
) -> None:
    for name in ("tool_tool_2.0.0.zip", "tool_tool_1.0.0.zip", "frontend_tool_1.0.0.zip"):
        (tmp_path / f"{name}{suffix}").write_bytes(b"")
    with pytest.raises(FolderOfPackages) as caught:
        open_source(tmp_path)
    assert caught.value.fields["package"] == str(tmp_path / "tool_tool_1.0.0.zip")
    assert "tool_tool_1.0.0.zip" in caught.value.advice()
    assert "--to" in caught.value.advice()


def test_a_release_may_hold_packages(published: Path) -> None:
    (published / "tool_tool_1.0.0.zip").write_bytes(b"")
    assert isinstance(open_source(published), FolderSource)


@pytest.mark.parametrize("named", ["nowhere", "file:///etc", "ftp://host/x", ""])
def test_what_is_none_of_them_is_told(tmp_path: Path, named: str) -> None:
    with pytest.raises(UsageError):
        open_source(str(tmp_path / named) if named == "nowhere" else named or str(tmp_path / "x"))
