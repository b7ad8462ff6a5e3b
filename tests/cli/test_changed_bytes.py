"""The commands and a model: an edit of its metadata costs the edit, from every source alike."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation.testing.releases import TOOL_ID
from tests.cli.conftest import Bitstation
from tests.contract.layouts import Plain, Ranged, static_server
from tests.unit.model_files import Tensor, gguf, key_value

WEIGHTS = [
    Tensor(f"blk.{number}.weight", 0, (400_000,), random.Random(number).randbytes(1_600_000))
    for number in range(3)
]
MODEL = gguf(WEIGHTS)
EDITED = gguf(WEIGHTS, [key_value("general.description", 8, "what it is for " * 40)])


@pytest.fixture
def tool(tool_folder: Path) -> Path:
    """The publisher's folder, with a model."""
    (tool_folder / "model.gguf").write_bytes(MODEL)
    return tool_folder


@pytest.fixture
def mirror(bitstation: Bitstation, tool: Path, tmp_path: Path) -> Path:
    """A mirror of both releases; ``dist`` beside it has the package of the second."""
    folder = tmp_path / "mirror"
    assert bitstation("publish", tool, "--to", folder).code == 0
    facts = json.loads((tool / "tool.json").read_bytes())
    (tool / "tool.json").write_bytes(json.dumps({**facts, "version": "2.1.0"}).encode())
    (tool / "model.gguf").write_bytes(EDITED)
    assert bitstation("publish", tool, "--to", folder).code == 0
    assert bitstation("pack", tool, "--out", tmp_path / "dist").code == 0
    return folder


@pytest.fixture
def installed(bitstation: Bitstation, mirror: Path) -> Path:
    """The first release is installed, from the mirror."""
    words = ("update", TOOL_ID, "--version", "2.0.0", "--from", mirror)
    assert bitstation(*words).code == 0
    return mirror


@pytest.fixture(params=["mirror", "web", "web without ranges", "zip", "bundle", "small bundle"])
def source(
    request: pytest.FixtureRequest, installed: Path, bitstation: Bitstation, tmp_path: Path
) -> Iterator[list[object]]:
    """Words that name each kind of source."""
    kind = request.param
    if kind.startswith("web"):
        with static_server(installed, Plain if "without" in kind else Ranged) as url:
            yield ["--hq", url]
    elif kind == "zip":
        yield ["--from-zip", tmp_path / "dist" / f"tool_{TOOL_ID}_2.1.0.zip"]
    elif kind == "mirror":
        yield ["--from", installed]
    else:
        base = ["--base", "2.0.0"] if kind == "small bundle" else []
        bundle = tmp_path / "release.bundle"
        words = ("bundle", "create", TOOL_ID, "--from", installed, "-o", bundle)
        assert bitstation(*words, *base).code == 0
        assert not base or bundle.stat().st_size < 20_000
        yield ["--from-bundle", bundle]


def test_an_edit_of_metadata_costs_the_edit(
    bitstation: Bitstation, source: list[object], root: Path
) -> None:
    ended = bitstation("update", TOOL_ID, *source, "--json")
    assert ended.code == 0, ended.err
    told = ended.object
    assert told["bytes_downloaded"] < 20_000, told
    assert told["bytes_reused"] > 4_500_000
    assert (root / TOOL_ID / "releases/v2.1.0/model.gguf").read_bytes() == EDITED
    assert bitstation("verify", TOOL_ID, "--deep").code == 0


def test_a_dry_run_tells_what_it_would_cost(bitstation: Bitstation, installed: Path) -> None:
    with static_server(installed, Ranged) as url:
        ended = bitstation("update", TOOL_ID, "--hq", url, "--dry-run")
        told = bitstation("update", TOOL_ID, "--hq", url, "--dry-run", "--json").object
    assert told["download_bytes"] < 10_000
    assert [entry["how"] for entry in told["entries"]] == ["build", "copy", "build"]
    assert "free" in ended.out
    assert "125.00 MB/s assumed" in ended.out


def test_a_difference_is_told_in_bytes_on_the_wire(bitstation: Bitstation, mirror: Path) -> None:
    with static_server(mirror, Ranged) as url:
        names = (f"{TOOL_ID}@2.0.0", f"{TOOL_ID}@2.1.0", "--hq", url)
        told = bitstation("diff", *names, "--json").object
        ended = bitstation("diff", *names)
    assert told["wire_bytes"] < 20_000 < told["download_bytes"]
    assert "On the wire" in ended.out


def test_another_source_serves_when_the_first_is_down(
    bitstation: Bitstation, installed: Path, root: Path
) -> None:
    words = ("update", TOOL_ID, "--hq", "http://127.0.0.1:9", "--mirror", installed)
    assert bitstation(*words).code == 0
    assert (root / TOOL_ID / "current.txt").read_text("utf-8") == "v2.1.0"


@pytest.mark.parametrize("limit", ["50", "fast", "0", "5MB/s@25:00-26:00"])
def test_02_a_limit_that_is_none_is_refused(
    bitstation: Bitstation, installed: Path, limit: str
) -> None:
    if limit == "50":
        limit = "50 apples/s"
    assert bitstation("update", TOOL_ID, "--from", installed, "--limit", limit).code == 2


def test_an_update_holds_to_its_limit(bitstation: Bitstation, installed: Path) -> None:
    words = ("update", TOOL_ID, "--from", installed, "--limit", "1GB/s", "--limit", "9GB/s")
    assert bitstation(*words).code == 0


def test_02_nobody_gives_a_release_up_unasked(bitstation: Bitstation, installed: Path) -> None:
    ended = bitstation("update", TOOL_ID, "--from", installed, "--in-place")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert bitstation("update", TOOL_ID, "--from", installed, "--in-place", "--yes").code == 0
