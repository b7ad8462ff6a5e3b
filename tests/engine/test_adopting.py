"""Adopting: which files are taken, read once, and remembered, whatever comes in between."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.errors import UpdateCancelled
from bitstation.storage import mapping
from bitstation.storage.adopted import adopted_files, adopted_map
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.releases import TOOL_ID, UNSIGNED
from bitstation.worker import adopt as adopting
from bitstation.worker.adopt import adopted_states
from tests.engine.conftest import MODEL, Adopt
from tests.engine.test_adopted import install

OPAQUE = random.Random(1).randbytes(1_100_000)


# --- roots and other programs -------------------------------------------------------------------


def test_each_root_adopts_for_itself(adopt: Adopt, root: Path, mine: Path, tmp_path: Path) -> None:
    adopt(mine)
    other = DeltaUpdater(tmp_path / "other-root" / TOOL_ID, options=UNSIGNED)
    assert len(install(other, MODEL).asked) == 1
    assert install(DeltaUpdater(root / TOOL_ID, options=UNSIGNED), MODEL).asked == []


def test_a_release_of_another_root_can_be_adopted(
    adopt: Adopt, root: Path, tmp_path: Path, hashed: list[str]
) -> None:
    first = DeltaUpdater(tmp_path / "other-root" / TOOL_ID, options=UNSIGNED)
    install(first, MODEL)
    adopt(first.tree.releases)
    hashed.clear()
    assert install(DeltaUpdater(root / TOOL_ID, options=UNSIGNED), MODEL).asked == []
    assert first.verify().damaged == ()
    assert hashed == []


def cached(folder: Path, *, links: bool) -> Path:
    """A model as the cache of Hugging Face keeps it: blobs, and snapshots that point to them."""
    model = folder / "models--org--name"
    blob, shown = model / "blobs" / digest_of(MODEL), model / "snapshots/abc/model.gguf"
    blob.parent.mkdir(parents=True)
    shown.parent.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs/main").write_text("abc")
    if links:
        blob.write_bytes(MODEL)
        shown.symlink_to(os.path.relpath(blob, shown.parent))
    else:
        # Without the privilege of making links the cache holds plain files.
        shown.write_bytes(MODEL)
    return folder


@pytest.mark.parametrize(
    "links",
    [
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                sys.platform == "win32", reason="only on POSIX: links without a privilege"
            ),
        ),
        False,
    ],
)
def test_the_cache_of_hugging_face_serves(
    adopt: Adopt, updater: DeltaUpdater, tmp_path: Path, links: bool
) -> None:
    adoption = adopt(cached(tmp_path / "hub", links=links))
    assert len(adoption.adopted) == 1
    assert ("blobs" in adoption.adopted[0].path) == links
    assert install(updater, MODEL).asked == []


def test_blobs_of_ollama_serve_whatever_their_names_say(
    adopt: Adopt, updater: DeltaUpdater, tmp_path: Path
) -> None:
    blobs = tmp_path / "ollama/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"sha256-{digest_of(MODEL)}").write_bytes(MODEL)
    (blobs / f"sha256-{digest_of(b'other')}").write_bytes(OPAQUE)
    (blobs / f"sha256-{digest_of(b'{}')}").write_bytes(b"{}")

    adoption = adopt(tmp_path / "ollama")

    assert {each.sha256 for each in adoption.adopted} == {digest_of(MODEL), digest_of(OPAQUE)}
    assert install(updater, MODEL, OPAQUE).asked == []


# --- adopting -----------------------------------------------------------------------------------


def test_a_model_is_read_once_and_has_a_map(
    adopt: Adopt, root: Path, mine: Path, hashed: list[str]
) -> None:
    (mine.parent / "opaque").write_bytes(OPAQUE)
    tools = ToolsRoot(root)

    adoption = adopt(mine.parent)

    assert adoption.read_bytes == len(MODEL) + len(OPAQUE)
    assert hashed == ["opaque"]
    found = adopted_map(tools, digest_of(MODEL))
    assert found is not None
    assert (found.file_digest, found.size_bytes) == (digest_of(MODEL), len(MODEL))
    assert adopted_map(tools, digest_of(OPAQUE)) is None
    again = adopt(mine.parent)
    assert (again.read_bytes, again.adopted) == (0, adoption.adopted)
    assert adopted_files(tools) == list(adoption.adopted)


def test_a_lost_map_is_made_again(adopt: Adopt, root: Path, mine: Path) -> None:
    adopt(mine)
    tools = ToolsRoot(root)
    for file in tools.maps.iterdir():
        file.unlink()
    assert adopt(mine).read_bytes == len(MODEL)
    assert adopted_map(tools, digest_of(MODEL)) is not None


def test_a_broken_model_is_adopted_as_it_is(adopt: Adopt, root: Path, mine: Path) -> None:
    mine.write_bytes(MODEL[:-70_000])
    adoption = adopt(mine)
    assert [each.sha256 for each in adoption.adopted] == [digest_of(MODEL[:-70_000])]
    assert adopted_map(ToolsRoot(root), digest_of(MODEL[:-70_000])) is None


def test_what_was_read_before_a_stop_is_not_read_again(
    adopt: Adopt, root: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopting, "_BATCH_BYTES", 1)
    (mine.parent / "opaque").write_bytes(OPAQUE)
    stop, real = Stop(), mapping.map_model

    def stopping(*arguments: object) -> object:
        made = real(*arguments)  # type: ignore[arg-type]
        stop.set()
        return made

    monkeypatch.setattr(mapping, "map_model", stopping)
    with pytest.raises(UpdateCancelled):
        adopt(mine.parent, stop=stop)

    assert [each.path for each in adopted_files(ToolsRoot(root))] == [str(mine.resolve())]
    assert adopt(mine.parent).read_bytes == len(OPAQUE)


def test_a_file_that_is_written_to_meanwhile_is_left_out(
    adopt: Adopt, root: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mapping.map_model

    def writing(path: Path, *arguments: object) -> object:
        with path.open("ab") as file:
            file.write(b"more")
        return real(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping, "map_model", writing)
    adoption = adopt(mine)
    assert adoption.adopted == ()
    assert [path for path, _why in adoption.left_out] == [str(mine.resolve())]
    assert adopted_files(ToolsRoot(root)) == []


def test_what_became_of_adopted_files_is_seen_without_reading(
    adopt: Adopt, root: Path, tmp_path: Path, hashed: list[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("changed", "gone", "here", "touched"):
        (folder / name).write_bytes(OPAQUE + name.encode())
    adopt(folder)
    hashed.clear()
    (folder / "changed").write_bytes(b"short")
    (folder / "gone").unlink()
    (folder / "touched").touch()
    with_ledger = Ledger(ToolsRoot(root).ledger)
    try:
        states = adopted_states(ToolsRoot(root), with_ledger)
    finally:
        with_ledger.close()
    assert [each.state for each in states] == ["changed", "gone", "here", "touched"]
    assert hashed == []
