"""The commands without an HQ: publish into a folder, any web server, a bundle on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.testing.releases import TOOL_ID, make_release
from tests.cli.conftest import NEW, OLD, OTHER, Bitstation, Shelf
from tests.contract.layouts import Plain, Ranged, static_server


@pytest.fixture
def mirror(bitstation: Bitstation, shelf: Shelf, tmp_path: Path) -> Path:
    """A mirror of two releases of one tool, and one of another."""
    folder = tmp_path / "mirror"
    shelves = [shelf(release) for release in (OLD, NEW, OTHER)]
    assert bitstation("publish", *shelves, "--to", folder).code == 0
    return folder


@pytest.fixture(params=[Ranged, Plain], ids=["with ranges", "without ranges"])
def url(request: pytest.FixtureRequest, mirror: Path) -> Iterator[str]:
    with static_server(mirror, request.param) as url:
        yield url


def current(root: Path) -> str:
    return (root / TOOL_ID / "current.txt").read_text("utf-8").strip()


# --- a static mirror ----------------------------------------------------------------------------


def test_publishing_into_a_folder_is_told_before_and_after(
    bitstation: Bitstation, shelf: Shelf, tmp_path: Path, tool_folder: Path
) -> None:
    to = ["--to", tmp_path / "mirror"]
    told = bitstation("publish", shelf(OLD), tool_folder, *to, "--dry-run", "--json").object
    assert [row["state"] for row in told["intended"]] == ["new", "new"]
    assert not (tmp_path / "mirror").exists()
    [first] = bitstation("publish", shelf(OLD), *to, "--json").object["published"]
    assert (first["sent_files"], first["guides"]) == (3, 1)
    [second] = bitstation("publish", shelf(NEW), *to, "--json").object["published"]
    assert (second["sent_files"], second["guides"]) == (2, 2)
    [again] = bitstation("publish", shelf(NEW), *to, "--json").object["published"]
    assert (again["sent_files"], again["sent_bytes"], again["guides"]) == (0, 0, 0)
    ended = bitstation("publish", tool_folder, *to, "--bases", "0")
    assert f"✓ {TOOL_ID} 2.0.0 published: 2 files sent" in ended.out
    assert "guides: 1" in ended.out


def test_a_dist_folder_goes_there_too(
    bitstation: Bitstation, tool_folder: Path, tmp_path: Path, root: Path
) -> None:
    dist, mirror = tmp_path / "dist", tmp_path / "mirror"
    assert bitstation("pack", tool_folder, "--out", dist).code == 0
    assert bitstation("publish", dist, "--to", mirror).code == 0
    assert bitstation("update", TOOL_ID, "--from", mirror).code == 0
    assert current(root) == "v2.0.0"


def test_31_a_version_never_changes_there(
    bitstation: Bitstation, mirror: Path, shelf: Shelf, tmp_path: Path
) -> None:
    twin = make_release({"a.txt": b"twin"}, NEW.version).write(tmp_path / "twin")
    [row] = bitstation("publish", twin, "--to", mirror, "--dry-run", "--json").object["intended"]
    assert row["state"] == "conflict"
    assert bitstation("publish", twin, "--to", mirror).code == 31


@pytest.mark.parametrize(
    "words",
    [
        ["publish", "nowhere", "--to", "mirror"],
        ["publish", ".", "--to", "mirror"],
        ["publish", "--to", "mirror"],
        ["publish", ".", "--to", "mirror", "--hq", "http://127.0.0.1:9"],
        ["publish", ".", "--to", "mirror", "--bases", "-1"],
        ["publish", ".", "--to", "mirror", "--bases", "8"],
        ["publish", "."],
        ["bundle"],
        ["bundle", "create", TOOL_ID, "--from", "."],
        ["bundle", "create", "--from", ".", "-o", "x"],
        ["bundle", "create", TOOL_ID, "-o", "x"],
        ["bundle", "create", TOOL_ID, "--from", ".", "-o", "x", "--max-asset", "0"],
        ["bundle", "apply"],
        ["bundle", "apply", "nowhere"],
        ["bundle", "apply", "nowhere", "--keep", "-1"],
        ["update", TOOL_ID, "--from", ".", "--from-bundle", "x"],
    ],
)
def test_2_misuse(
    bitstation: Bitstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert bitstation(*words).code == 2
    assert list(Path().iterdir()) == []


def test_a_mirror_may_lie_below_another_address(
    bitstation: Bitstation, mirror: Path, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "www").mkdir()
    mirror.rename(tmp_path / "www" / "tools")
    with static_server(tmp_path / "www") as url:
        assert bitstation("update", TOOL_ID, "--from", f"{url}tools").code == 0
        assert bitstation("list", "--hq", f"{url}tools/", "--json").object["tools"]
    assert current(root) == "v1.1.0"


def test_a_worker_updates_from_any_web_server(bitstation: Bitstation, url: str, root: Path) -> None:
    for named in (["--hq", url], ["--from", url]):
        assert bitstation("update", TOOL_ID, *named, "--version", "1.0.0").code in (0, 31)
        told = bitstation("update", TOOL_ID, *named, "--json").object
        assert (told["to_version"], current(root)) == ("1.1.0", "v1.1.0")
    assert bitstation("update", "--from", url, "--json").object["tools"][0]["files_downloaded"] == 0
    (root / TOOL_ID / "releases/v1.1.0/a.txt").write_bytes(b"tampered with")
    assert bitstation("repair", TOOL_ID, "--from", url).code == 0
    assert bitstation("verify", TOOL_ID, "--deep").code == 0
    assert bitstation("update", "nothing-such", "--from", url).code == 40
    assert bitstation("update", TOOL_ID, "--from", url, "--version", "9.9.9").code == 40


def test_a_mirror_is_listed_by_its_catalogue(bitstation: Bitstation, url: str) -> None:
    tools = bitstation("list", "--hq", url, "--json").object["tools"]
    assert [(row["tool_id"], row["latest"]) for row in tools] == [
        ("other-tool", "3.0.0"),
        (TOOL_ID, "1.1.0"),
    ]
    shown = bitstation("list", "--hq", url).out
    assert "v1.1.0" in shown
    assert " B" not in shown, "what is not known is not shown"


def test_releases_of_a_mirror_are_compared(bitstation: Bitstation, url: str) -> None:
    told = bitstation("diff", f"{TOOL_ID}@1.0.0", f"{TOOL_ID}@1.1.0", "--hq", url, "--json").object
    assert told["download_files"] == 2


# --- a bundle -----------------------------------------------------------------------------------


def test_a_bundle_is_made_carried_and_applied(
    bitstation: Bitstation, mirror: Path, url: str, tmp_path: Path, root: Path
) -> None:
    for number, named in enumerate((["--from", mirror], ["--hq", url])):
        file = tmp_path / f"{number}.bundle"
        create = ["bundle", "create", TOOL_ID, *named, "-o", file]
        told = bitstation(*create, "--dry-run", "--json").object
        assert (told["version"], told["files"]) == ("1.1.0", [])
        assert not file.exists()
        told = bitstation(*create, "--json").object
        assert told["files"] == [{"name": file.name, "size": file.stat().st_size}]
    ended = bitstation("bundle", "apply", file, "--dry-run")
    assert (ended.code, root.exists() and (root / TOOL_ID / "current.txt").exists()) == (0, False)
    told = bitstation("bundle", "apply", file, "--json").object
    assert (told["to_version"], current(root)) == ("1.1.0", "v1.1.0")
    assert bitstation("update", TOOL_ID, "--from-bundle", file).code == 0
    assert bitstation("update", TOOL_ID, "--from", file).code == 0
    assert bitstation("verify", TOOL_ID, "--deep").code == 0


def test_40_a_bundle_over_another_base_says_which_it_needs(
    bitstation: Bitstation, mirror: Path, tmp_path: Path, root: Path
) -> None:
    file = tmp_path / "x.bundle"
    create = ["bundle", "create", TOOL_ID, "--from", mirror, "-o", file]
    ended = bitstation(*create, "--base", "1.0.0")
    assert ended.code == 0
    assert "for machines that have 1.0.0" in ended.out
    ended = bitstation("bundle", "apply", file)
    assert ended.code == 40
    assert f"goes on from {TOOL_ID} 1.0.0" in ended.err
    assert bitstation("update", TOOL_ID, "--from", mirror, "--version", "1.0.0").code == 0
    assert bitstation("bundle", "apply", file).code == 0
    assert current(root) == "v1.1.0"
    assert bitstation(*create, "--base", "9.9.9").code == 40


def test_31_an_older_bundle_is_a_downgrade(
    bitstation: Bitstation, mirror: Path, tmp_path: Path, root: Path
) -> None:
    file = tmp_path / "old.bundle"
    create = ["bundle", "create", TOOL_ID, "--version", "1.0.0", "--from", mirror, "-o", file]
    assert bitstation(*create).code == 0
    assert bitstation("update", TOOL_ID, "--from", mirror).code == 0
    assert bitstation("bundle", "apply", file).code == 31
    assert bitstation("bundle", "apply", file, "--allow-downgrade").code == 0
    assert current(root) == "v1.0.0"


def test_a_bundle_in_parts_is_named_by_any_of_them(
    bitstation: Bitstation, mirror: Path, tmp_path: Path, root: Path
) -> None:
    file = tmp_path / "x.bundle"
    create = ["bundle", "create", TOOL_ID, "--from", mirror, "-o", file, "--max-asset", "1KB"]
    assert bitstation(*create).code == 0
    assert not file.exists()
    for named in (file, tmp_path / "x.bundle.001", tmp_path / "x.bundle.002"):
        assert bitstation("bundle", "apply", named).code == 0
    (tmp_path / "x.bundle.002").unlink()
    assert bitstation("bundle", "apply", file).code == 30


def test_a_package_is_no_bundle(bitstation: Bitstation, tool_folder: Path, tmp_path: Path) -> None:
    assert bitstation("pack", tool_folder, "--out", tmp_path / "dist").code == 0
    [package] = (tmp_path / "dist").glob("tool_*.zip")
    ended = bitstation("bundle", "apply", package)
    assert ended.code == 2
    assert "is no bundle" in ended.err
