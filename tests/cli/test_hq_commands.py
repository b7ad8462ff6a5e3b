"""The commands that talk to an HQ, with a real one: publish, require, list, update, check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.testing.local_hq import LocalHq, local_hq
from bitstation.testing.releases import Release, make_release
from bitstation.transport.hq import HqClient
from tests.cli.conftest import Bitstation, Ended, Shelf

AtHq = Callable[..., Ended]
Make = Callable[..., Release]


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHq]:
    with local_hq(tmp_path_factory.mktemp("hq")) as running:
        yield running


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Versions of a tool of the test's own, since the HQ is shared."""
    tool_id = "t" + digest_of(request.node.nodeid.encode())[:12]
    return lambda version, text="": make_release(
        {"a.txt": f"{version}{text}".encode(), "same.txt": tool_id.encode()},
        version,
        tool_id=tool_id,
    )


@pytest.fixture
def at_hq(bitstation: Bitstation, hq: LocalHq) -> AtHq:
    """A command that is told where HQ is, and its token."""

    def call(*words: object) -> Ended:
        writes = "publish" in words or "hq" in words
        token = ["--token-file", hq.token_file] if writes else []
        ended = bitstation(*words, "--hq", hq.url, *token)
        assert hq.token not in ended.out + ended.err
        return ended

    return call


@pytest.fixture
def tool_id(make: Make) -> str:
    return make("1.0.0").manifest.tool_id


@pytest.fixture
def imported(at_hq: AtHq, shelf: Shelf, make: Make) -> list[Release]:
    """Two releases that HQ holds, the first of them required."""
    releases = [make("1.0.0"), make("1.1.0")]
    for release in releases:
        assert at_hq("hq", "import", shelf(release)).code == 0
    assert at_hq("hq", "require", releases[0].manifest.tool_id, "1.0.0").code == 0
    return releases


def current(root: Path, tool_id: str) -> str:
    return (root / tool_id / "current.txt").read_text("utf-8").strip()


def offered(at_hq: AtHq, tool_id: str) -> list[str]:
    tools = {row["tool_id"]: row for row in at_hq("list", "--json").object["tools"]}
    return [row["version"] for row in tools[tool_id]["releases"]] if tool_id in tools else []


# --- publishing ---------------------------------------------------------------------------------


def test_what_is_packed_is_published_once(at_hq: AtHq, bitstation: Bitstation, tool_folder: Path):
    dist = tool_folder.parent / "dist"
    assert bitstation("pack", tool_folder, "--out", dist).code == 0
    [intended] = at_hq("publish", dist, "--dry-run", "--json").object["intended"]
    assert intended["state"] == "new"
    assert offered(at_hq, intended["tool_id"]) == []
    [published] = at_hq("publish", dist, "--json").object["published"]
    assert published["sent_files"] == 2
    assert offered(at_hq, intended["tool_id"]) == ["2.0.0"]
    [again] = at_hq("publish", dist, "--json").object["published"]
    assert (again["sent_files"], again["sent_bytes"]) == (0, 0)
    [intended] = at_hq("publish", dist, "--dry-run", "--json").object["intended"]
    assert intended["state"] == "known"


def test_a_tool_folder_is_published_as_it_is(at_hq: AtHq, tool_folder: Path, tool_id: str):
    facts = json.loads((tool_folder / "tool.json").read_bytes()) | {"tool_id": tool_id}
    (tool_folder / "tool.json").write_bytes(json.dumps(facts).encode())
    (tool_folder / "runner/run.ps1").write_bytes(f"exit 0 # {tool_id}\n".encode())
    [published] = at_hq("publish", tool_folder, "--json").object["published"]
    assert (published["sent_files"], published["guides"]) == (2, 1)
    assert offered(at_hq, tool_id) == ["2.0.0"]
    assert not (tool_folder / "manifest.json").exists()
    facts["version"] = "2.1.0"
    (tool_folder / "tool.json").write_bytes(json.dumps(facts).encode())
    [published] = at_hq("publish", tool_folder, "--json").object["published"]
    assert (published["sent_files"], published["guides"]) == (1, 2)


def test_a_bundle_brings_a_release_to_an_hq_without_a_network(
    at_hq: AtHq, bitstation: Bitstation, shelf: Shelf, make: Make, tmp_path: Path
):
    release, file = make("1.0.0"), tmp_path / "x.bundle"
    tool_id = release.manifest.tool_id
    assert bitstation("publish", shelf(release), "--to", tmp_path / "mirror").code == 0
    create = ["bundle", "create", tool_id, "--from", tmp_path / "mirror", "-o", file]
    assert bitstation(*create).code == 0
    assert at_hq("hq", "import", file).code == 0
    assert at_hq("update", tool_id, "--json").object["to_version"] == "1.0.0"


def test_an_import_is_only_told_of_when_asked_so(at_hq: AtHq, shelf: Shelf, make: Make):
    release = make("1.0.0")
    [intended] = at_hq("hq", "import", shelf(release), "--dry-run", "--json").object["intended"]
    assert intended["manifest_hash"] == release.manifest.manifest_hash
    assert offered(at_hq, release.manifest.tool_id) == []


def test_a_legacy_manifest_is_imported_when_asked_so_and_that_is_told(
    at_hq: AtHq, make: Make, tmp_path: Path
):
    folder = make("1.0.0").write(tmp_path / "edited")
    manifest = folder / "manifest.json"
    facts = json.loads(manifest.read_bytes())
    facts["manifest_hash"] = "0" * 64
    manifest.write_text(json.dumps(facts), "utf-8")
    assert at_hq("hq", "import", folder).code == 30
    for words in (["--dry-run", "--json"], ["--json"]):
        ended = at_hq("hq", "import", folder, "--legacy", *words)
        [[told]] = ended.object.values()
        assert told["legacy"]
        assert told["manifest_hash"] == make("1.0.0").manifest.manifest_hash
        assert "Guard lowered by --legacy" in ended.err
    [told] = at_hq("hq", "import", make("1.1.0").write(tmp_path / "sound"), "--legacy",
                   "--json").object["published"]  # fmt: skip
    assert not told["legacy"]


def test_31_a_version_never_changes(
    at_hq: AtHq, imported: list[Release], make: Make, tmp_path: Path
):
    twin = make("1.1.0", "other").write(tmp_path / "twin")
    [intended] = at_hq("hq", "import", twin, "--dry-run", "--json").object["intended"]
    assert intended["state"] == "conflict"
    assert at_hq("hq", "import", twin).code == 31


@pytest.mark.parametrize("token", [None, "x" * 43])
def test_31_without_the_token_nothing_is_published_or_required(
    bitstation: Bitstation,
    hq: LocalHq,
    imported: list[Release],
    shelf: Shelf,
    tmp_path: Path,
    token: str | None,
):
    given = ["--hq", hq.url]
    if token:
        (tmp_path / "token").write_text(token, "utf-8")
        given += ["--token-file", str(tmp_path / "token")]
    tool_id = imported[0].manifest.tool_id
    for words in (
        ("hq", "import", shelf(imported[1])),
        ("hq", "require", tool_id, "1.1.0"),
    ):
        for how in ([], ["-v"], ["--json"]):
            ended = bitstation(*words, *given, *how)
            assert ended.code == 31
            assert (token or hq.token) not in ended.out + ended.err
    assert bitstation("list", "--hq", hq.url).code == 0


def test_the_environment_names_hq_and_token(
    bitstation: Bitstation, hq: LocalHq, make: Make, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BITSTATION_HQ", hq.url.removeprefix("http://"))
    monkeypatch.setenv("BITSTATION_TOKEN_FILE", str(hq.token_file))
    assert bitstation("hq", "import", shelf(make("1.0.0"))).code == 0
    assert bitstation("update", make("1.0.0").manifest.tool_id).code == 0


def test_a_release_is_required_or_only_looked_up(
    at_hq: AtHq, imported: list[Release], tool_id: str, root: Path
):
    told = at_hq("hq", "require", tool_id, "1.1.0", "--dry-run", "--json").object
    assert told["manifest_hash"] == imported[1].manifest.manifest_hash
    assert at_hq("update", tool_id, "--json").object["to_version"] == "1.0.0"
    assert at_hq("hq", "require", tool_id, "1.1.0", "--json").object["version"] == "1.1.0"
    assert at_hq("update", tool_id, "--json").object["to_version"] == "1.1.0"
    for how in ([], ["--dry-run"]):
        assert at_hq("hq", "require", tool_id, "9.9.9", *how).code == 40
        assert at_hq("hq", "require", "absent", "1.0.0", *how).code == 40


# --- updating -----------------------------------------------------------------------------------


def test_an_update_goes_to_what_is_required_else_to_the_latest(
    at_hq: AtHq, hq: LocalHq, imported: list[Release], tool_id: str, root: Path
):
    client = HqClient(hq.url)
    guides = client.offer(tool_id, "1.1.0").guides
    client.close()
    told = at_hq("update", tool_id, "--json").object
    assert (told["to_version"], told["files_downloaded"]) == ("1.0.0", 2)
    told = at_hq("update", tool_id, "--version", "1.1.0", "--json").object
    assert (told["to_version"], told["files_downloaded"]) == ("1.1.0", 1)
    # The guide from the release that is here, which holds the changed file.
    [guide_bytes] = [ref.size for ref in guides if ref.base == imported[0].manifest.manifest_hash]
    assert set(told["sources"].values()) == {guide_bytes}
    # What HQ requires is no downgrade attack.
    assert at_hq("update", tool_id).code == 0
    assert current(root, tool_id) == "v1.0.0"
    assert at_hq("update", tool_id, "--version", "1.1.0", "--channel", "beta").code == 0
    assert at_hq("update", tool_id, "--version", "1.0.0", "--channel", "beta").code == 31
    assert at_hq("update", tool_id, "--version", "9.9.9").code == 40
    assert current(root, tool_id) == "v1.1.0"


def test_all_installed_tools_go_to_what_is_required(
    at_hq: AtHq, imported: list[Release], tool_id: str, shelf: Shelf, root: Path
):
    other = make_release({"a.txt": b"x"}, "3.0.0", tool_id=tool_id + "-b")
    assert at_hq("hq", "import", shelf(other)).code == 0
    for name in (tool_id, tool_id + "-b"):
        assert at_hq("update", name).code == 0
    assert at_hq("hq", "require", tool_id, "1.1.0").code == 0
    told = at_hq("update", "--json")
    assert told.code == 0
    rows = {row["tool_id"]: row for row in told.object["tools"]}
    assert rows[tool_id]["to_version"] == "1.1.0"
    assert rows[tool_id + "-b"]["files_downloaded"] == 0
    assert current(root, tool_id) == "v1.1.0"


def test_a_damaged_tool_is_mended_from_hq(
    at_hq: AtHq, bitstation: Bitstation, imported: list[Release], tool_id: str, root: Path
):
    assert at_hq("update", tool_id).code == 0
    (root / tool_id / "releases/v1.0.0/a.txt").write_bytes(b"tampered with")
    assert bitstation("verify", tool_id).code == 30
    assert at_hq("repair", tool_id, "--json").object["files_downloaded"] == 1
    assert bitstation("verify", tool_id, "--deep").code == 0


def test_a_difference_is_told_before_anything_is_published_or_fetched(
    at_hq: AtHq, imported: list[Release], tool_id: str, shelf: Shelf
):
    told = at_hq("diff", f"{tool_id}@1.0.0", f"{tool_id}@1.1.0", "--json").object
    assert (told["download_files"], told["download_bytes"]) == (1, len(b"1.1.0"))
    told = at_hq("diff", shelf(imported[0]), f"{tool_id}@1.0.0", "--json").object
    assert told["download_files"] == 0
    assert at_hq("diff", f"{tool_id}@1.0.0", f"{tool_id}@9.9.9").code == 40
    assert at_hq("diff", f"{tool_id}@1.0.0", "../x@1.0.0").code == 2


# --- 10, 20, 21 ---------------------------------------------------------------------------------


def test_10_20_21_a_check_says_how_a_machine_stands(
    at_hq: AtHq, imported: list[Release], tool_id: str, root: Path
):
    def check(*words: str) -> int:
        return at_hq("status", "--check", *words).code

    assert check() == check(tool_id) == 21
    assert not root.exists()
    assert at_hq("update", tool_id).code == 0
    assert check() == check(tool_id) == 10
    assert at_hq("hq", "require", tool_id, "1.1.0").code == 0
    assert check() == check(tool_id) == 20
    told = at_hq("status", "--check", "--json")
    assert [row["state"] for row in told.object["tools"]] == ["OUTDATED"]
    assert check("--channel", "beta") == 10
    assert at_hq("update", tool_id).code == 0
    assert check() == 10
    (root / tool_id / "releases/v1.1.0/a.txt").write_bytes(b"tampered with")
    assert check() == 20
    # Without the question it is only shown.
    assert at_hq("status").code == 0


def test_a_check_without_hq_is_no_answer(bitstation: Bitstation):
    assert bitstation("status", "--check").code == 2
    assert bitstation("status", "--check", "--hq", "http://127.0.0.1:9").code == 40
