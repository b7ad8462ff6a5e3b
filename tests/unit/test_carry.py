"""Metadata that travel with a release, and the newest root of a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation.errors import NotSigned
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import SignedShelf
from bitstation.trust.believed import Believed
from bitstation.trust.carry import metadata_of
from bitstation.trust.chain import Chain
from bitstation.trust.roles import MAX_ROOT_ROTATIONS, release_path
from bitstation.trust.walk import newest_root

RELEASE = make_release({"a": b"1"}, "1.0.0")
OTHERS = [make_release({"a": b"1"}, "1.0.0", tool_id=f"tool-{n}") for n in range(3)]


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    shelf = SignedShelf(tmp_path)
    shelf.publish(*OTHERS, RELEASE)
    return shelf


def test_what_is_carried_is_enough_and_no_more(shelf: SignedShelf) -> None:
    shelf.rotate_root(lambda _root: None)
    carried = metadata_of(shelf.source(), TOOL_ID, "1.0.0")
    chain = Chain(Believed(shelf.files()["1.root.json"]), lambda name, _max: carried.get(name))
    found = chain.find(release_path(TOOL_ID, "1.0.0"))
    assert found is not None
    roles = {name.removesuffix(".json").rpartition(".")[2] for name in carried}
    assert roles == {"root", "timestamp", "snapshot", "targets", "hq", shelf.bin_of(RELEASE)}
    assert all(data == shelf.files()[name] for name, data in carried.items())


def test_a_source_without_a_root_carries_nothing() -> None:
    assert metadata_of(MemorySource(RELEASE), TOOL_ID, "1.0.0") == {}


def test_a_root_alone_is_no_signature(shelf: SignedShelf) -> None:
    source = shelf.source()
    source.metadata = {"1.root.json": shelf.files()["1.root.json"]}
    with pytest.raises(NotSigned):
        metadata_of(source, TOOL_ID, "1.0.0")


def test_the_newest_root_is_the_last_without_a_gap() -> None:
    roots = {f"{n}.root.json": b"%d" % n for n in (1, 2, 4)}
    assert newest_root(lambda name, _max: roots.get(name)) == b"2"
    assert newest_root(lambda _name, _max: None) is None


def test_roots_without_end_are_not_followed() -> None:
    asked: list[str] = []

    def endless(name: str, _max: int) -> bytes:
        asked.append(name)
        return b"x"

    assert newest_root(endless) == b"x"
    assert len(asked) == MAX_ROOT_ROTATIONS + 1
