"""The client of the conformance suite does what it is told, here against a repository of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import SignedShelf
from bitstation.testing.web_server import Asked, Said, said, serving
from bitstation.trust.believed import Believed
from bitstation.trust.roles import TIMESTAMP, release_path
from tests.conformance.run import CLIENT
from tests.conformance.tuf_client import Folder

RELEASE = make_release({"run.py": b"print('hello')"}, "1.0.0")
PATH = release_path(TOOL_ID, RELEASE.version)
MANIFEST = RELEASE.manifest.encode()

Client = Callable[..., int]


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    shelf = SignedShelf(tmp_path / "shelf")
    shelf.publish(RELEASE)
    return shelf


@pytest.fixture
def client(tmp_path: Path, shelf: SignedShelf) -> Client:
    """Runs a command of the client, after ``init``; gives its exit code."""
    for name in ("metadata", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "root.json").write_bytes(shelf.place.first_root())

    def run(command: str, *words: str | Path) -> int:
        options = ["--metadata-dir", tmp_path / "metadata", "--target-dir", tmp_path / "files"]
        return subprocess.run(
            [sys.executable, CLIENT, *options, *words, command], timeout=60, check=False
        ).returncode

    words = [sys.executable, CLIENT, "--metadata-dir", tmp_path / "metadata"]
    subprocess.run([*words, "init", tmp_path / "root.json"], timeout=60, check=True)
    return run


def repository(shelf: SignedShelf, file: bytes) -> Callable[[Asked], Said]:
    """What a web server says that holds the shelf's metadata and one file."""
    folder, _, name = PATH.rpartition("/")
    place = f"/files/{folder}/{digest_of(MANIFEST)}.{name}"

    def script(asked: Asked) -> Said:
        if asked.target == place:
            return said(200, file)
        found = shelf.files().get(asked.target.removeprefix("/metadata/"))
        return said(404) if found is None else said(200, found)

    return script


def kept(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in (tmp_path / "files").iterdir()]


def test_it_refreshes_and_brings_a_file(tmp_path: Path, shelf: SignedShelf, client: Client) -> None:
    with serving(repository(shelf, MANIFEST)) as server:
        at = ("--metadata-url", f"{server.url}/metadata")
        assert client("refresh", *at) == 0
        assert (tmp_path / "metadata/timestamp.json").read_bytes() == shelf.files()[
            "timestamp.json"
        ]
        wanted = ("--target-base-url", f"{server.url}/files/", "--target-name", PATH)
        assert client("download", *at, *wanted) == 0
        assert kept(tmp_path) == [MANIFEST]
        asked = len(server.asked)
        assert client("download", *at, *wanted) == 0
        assert not any("/files/" in each.target for each in server.asked[asked:])


def test_it_refuses_wrong_bytes_and_forged_metadata(
    tmp_path: Path, shelf: SignedShelf, client: Client
) -> None:
    with serving(repository(shelf, MANIFEST[:-2] + b" }")) as server:
        at = ("--metadata-url", f"{server.url}/metadata")
        wanted = ("--target-base-url", f"{server.url}/files/", "--target-name", PATH)
        assert client("download", *at, *wanted) == 1
        assert kept(tmp_path) == []
        before = (tmp_path / "metadata/timestamp.json").read_bytes()
        shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP))
        assert client("refresh", *at) == 1
        assert (tmp_path / "metadata/timestamp.json").read_bytes() == before


def test_what_is_kept_is_found_again_whatever_a_role_is_called(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    roles = {"targets": b"1", "a/b": b"2", "%2F": b"3", "x.json": b"4", "ñ": b"5"}
    believed = Believed(b"root", b"timestamp", b"snapshot", roles)
    folder.keep(believed)
    names = {path.name for path in tmp_path.iterdir()}
    assert folder.load() == believed
    folder.keep(folder.load())
    assert {path.name for path in tmp_path.iterdir()} == names
