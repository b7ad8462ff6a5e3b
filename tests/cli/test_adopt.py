"""``bitstation adopt`` as people and programs use it."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.testing.releases import TOOL_ID, make_release
from tests.cli.conftest import Bitstation, Shelf

MODEL = random.Random(0).randbytes(1_200_000)
OTHER = random.Random(1).randbytes(1_300_000)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with no setting of the programs that are looked for."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with two models of the user's, and a small file."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.bin").write_bytes(MODEL)
    (folder / "b.bin").write_bytes(OTHER)
    (folder / "readme.txt").write_bytes(b"small")
    return folder


def below(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()


def test_what_is_adopted_is_not_downloaded(bitstation: Bitstation, shelf: Shelf, models: Path):
    ended = bitstation("adopt", models)
    assert ended.code == 0
    assert "2 files adopted, 2.50 MB; 2.50 MB read now" in ended.out
    assert digest_of(MODEL)[:12] in ended.out
    assert "0 B read now" in bitstation("adopt", models).out
    release = make_release({"m/a.gguf": MODEL, "main.py": b"1"}, "1.0.0")
    stats = bitstation("update", TOOL_ID, "--from", shelf(release), "--json").object
    assert (stats["bytes_downloaded"], stats["bytes_reused"]) == (1, len(MODEL))


def test_it_is_told_as_one_object(bitstation: Bitstation, models: Path):
    ended = bitstation("adopt", models, "--json")
    assert ended.code == 0
    path = (models / "a.bin").resolve()
    row = {"path": str(path), "sha256": digest_of(MODEL), "size": len(MODEL), "link": False}
    assert ended.object["adopted"][0] == row
    assert len(ended.object["adopted"]) == 2
    assert ended.object["read_bytes"] == len(MODEL) + len(OTHER)
    assert (ended.object["left_out"], ended.object["doubtful"]) == ([], [])
    told = bitstation("adopt", "--list", "--json").object["adopted"]
    assert told[0] == {**row, "state": "here"}


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["words", "json"])
def test_a_dry_run_writes_nothing(
    bitstation: Bitstation, models: Path, root: Path, words: list[str]
):
    ended = bitstation("adopt", models, "--dry-run", *words)
    assert ended.code == 0
    assert not root.exists()
    if words:
        assert [Path(row["path"]).name for row in ended.object["found"]] == ["a.bin", "b.bin"]
        assert ended.object["bytes_to_read"] == len(MODEL) + len(OTHER)
    else:
        assert "Would adopt 2 files, 2.50 MB; 2.50 MB to read" in ended.out
    bitstation("adopt", models / "a.bin")
    before = list(below(root))
    ended = bitstation("adopt", models, "--dry-run", "--json")
    assert ended.object["bytes_to_read"] == len(OTHER)
    assert bitstation("adopt", "--forget", models, "--dry-run").code == 0
    assert list(below(root)) == before


def test_known_places_are_searched(bitstation: Bitstation, home: Path, models: Path):
    assert "0 files adopted" in bitstation("adopt", "--known").out
    for place, data in ((".ollama/models/blobs", MODEL), (".lmstudio/models/x", OTHER)):
        (home / place).mkdir(parents=True)
        (home / place / "file").write_bytes(data)
    ended = bitstation("adopt", "--known", "--json")
    assert {row["sha256"] for row in ended.object["adopted"]} == {
        digest_of(MODEL),
        digest_of(OTHER),
    }


def test_smaller_files_are_taken_on_request(bitstation: Bitstation, models: Path):
    ended = bitstation("adopt", models, "--min-size", "5", "--json")
    assert len(ended.object["adopted"]) == 3
    ended = bitstation("adopt", models, "--min-size", "1.25MB", "--json")
    assert [row["size"] for row in ended.object["adopted"]] == [len(OTHER)]


def test_the_list_says_what_became_of_each(bitstation: Bitstation, models: Path, tmp_path: Path):
    assert "Nothing is adopted" in bitstation("adopt", "--list").out
    bitstation("adopt", models, "--link")
    (models / "a.bin").unlink()
    ended = bitstation("adopt", "--list")
    assert ended.code == 0
    [gone, here] = ended.out.splitlines()
    assert gone.startswith("✗")
    assert gone.endswith("--link  gone")
    assert here.startswith("✓")
    [row] = bitstation("adopt", "--list", models / "b.bin", "--json").object["adopted"]
    assert (row["link"], row["state"]) == (True, "here")


def test_forgetting_leaves_the_files(bitstation: Bitstation, models: Path, tmp_path: Path):
    bitstation("adopt", models)
    # A folder whose name only begins alike is another one.
    assert bitstation("adopt", "--forget", tmp_path / "mod", "--json").object["forgotten"] == []
    ended = bitstation("adopt", "--forget", models / "a.bin")
    assert "Forgot 1 files" in ended.out
    assert len(bitstation("adopt", "--list", "--json").object["adopted"]) == 1
    assert len(bitstation("adopt", "--forget", models, "--json").object["forgotten"]) == 1
    assert (models / "a.bin").read_bytes() == MODEL


def test_a_name_that_states_another_digest_is_told(bitstation: Bitstation, models: Path):
    (models / "a.bin").rename(models / f"sha256-{digest_of(MODEL)}")
    (models / "b.bin").rename(models / f"sha256-{digest_of(b'another')}")
    ended = bitstation("adopt", models)
    assert (ended.code, ended.err.count("may be damaged")) == (0, 1)
    [doubtful] = bitstation("adopt", models, "--json").object["doubtful"]
    assert doubtful.endswith(digest_of(b"another"))


def test_what_could_not_be_adopted_is_no_success(
    bitstation: Bitstation, models: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bitstation.worker.search.MAX_NAMES", 1)
    ended = bitstation("adopt", models, "--json")
    assert ended.code == 70
    assert len(ended.object["adopted"]) == 1
    assert [row["why"] for row in ended.object["left_out"]] == ["too-many"]
    assert "1 paths were not adopted" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: links without a privilege")
def test_links_that_were_not_followed_are_told(bitstation: Bitstation, models: Path):
    (models / "link.bin").symlink_to(models / "a.bin")
    assert "1 links were not followed" in bitstation("adopt", models).err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--forget"],
        ["nosuch-folder"],
        ["--list", "--forget", "x"],
        ["--min-size", "much", "x"],
    ],
    ids=" ".join,
)
def test_misuse_is_refused_before_anything_is_done(
    bitstation: Bitstation, root: Path, words: list[str]
):
    ended = bitstation("adopt", *words, "--json")
    assert (ended.code, ended.object["error"]["code"]) == (2, "usage")
    assert not root.exists()


def test_a_control_folder_that_is_a_link_is_refused(
    bitstation: Bitstation, root: Path, models: Path, tmp_path: Path
):
    if sys.platform == "win32":
        pytest.skip("only on POSIX: links without a privilege")
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / ".bitstation").symlink_to(tmp_path / "elsewhere")
    assert bitstation("adopt", models).code == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_help_speaks_both_languages(bitstation: Bitstation):
    assert "share the file itself" in bitstation("adopt", "--help").out
    spanish = bitstation("--lang", "es", "adopt", "--help").out
    assert "compartir el propio archivo" in spanish
    assert "share the file" not in spanish


def test_the_result_is_told_in_spanish(bitstation: Bitstation, models: Path):
    ended = bitstation("--lang", "es", "adopt", models)
    assert "2 archivos adoptados" in ended.out
