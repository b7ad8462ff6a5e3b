"""No room for two copies of a model: it is remade where it is, if its owner says so."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, Eligibility
from bitstation.core.digest import digest_of
from bitstation.core.events import Event, GuardLowered
from bitstation.core.lifecycle import ToolState
from bitstation.core.wire import BaseRef
from bitstation.errors import DiskFull, NotFound
from bitstation.testing.faulty_disk import FaultyDisk, QuickDisk, Stopped
from bitstation.testing.mapped import map_release
from bitstation.testing.memory_source import Asked, MemorySource
from bitstation.testing.releases import UNSIGNED, make_release
from bitstation.worker import fit
from bitstation.worker.fit import InPlacePossible
from bitstation.worker.run import Options
from bitstation.worker.status import tool_status
from tests.engine.conftest import MakeUpdater
from tests.engine.test_building import asked_of, check, source_of

BLOCK = 10_000
_RANDOM = random.Random(3)
OLD_MODEL = _RANDOM.randbytes(30 * BLOCK + 77)
_BLOCKS = [OLD_MODEL[at : at + BLOCK] for at in range(0, len(OLD_MODEL), BLOCK)]
# A longer header shifts all; two blocks change places; one is new; the end is shorter.
NEW_MODEL = b"".join(
    [b"H" * BLOCK, *_BLOCKS[:5], _BLOCKS[7], _BLOCKS[6], _BLOCKS[5], *_BLOCKS[9:25]]
)
FIRST = map_release(
    make_release({"m.gguf": OLD_MODEL, "a.py": b"1", "gone": b"g"}, "1.0.0"), block_bytes=BLOCK
)
SECOND = map_release(make_release({"m.gguf": NEW_MODEL, "a.py": b"2"}, "1.1.0"), block_bytes=BLOCK)
IN_PLACE = Options(allow_unsigned=True, in_place=True)
MARGIN_BYTES = 4 * 1024 * 1024


@pytest.fixture
def installed(updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch) -> DeltaUpdater:
    """The first release is installed, and 100 kB are free: not enough for a second model."""
    updater.update(source_of(FIRST))
    monkeypatch.setattr(fit, "free_bytes", lambda _path: MARGIN_BYTES + 100_000)
    return updater


def test_it_is_offered_and_not_done_unasked(installed: DeltaUpdater) -> None:
    with pytest.raises(InPlacePossible) as raised:
        installed.update(source_of(SECOND, FIRST))
    assert "--in-place" in raised.value.advice()
    check(installed, FIRST)


def test_it_is_not_offered_where_it_would_not_help(installed: DeltaUpdater) -> None:
    other = make_release({"x": random.Random(9).randbytes(300_000)}, "1.1.0")
    with pytest.raises(DiskFull) as raised:
        installed.update(MemorySource(other))
    assert not isinstance(raised.value, InPlacePossible)


def test_a_model_is_remade_of_itself(installed: DeltaUpdater, make_updater: MakeUpdater) -> None:
    told: list[Event] = []
    (installed.tree.release("1.0.0") / "notes.txt").write_bytes(b"mine")
    source = source_of(SECOND, FIRST)
    make_updater(options=IN_PLACE, listeners=(told.append,)).update(source)
    check(installed, SECOND)
    asked = sum(length or 0 for _at, length in asked_of(source, digest_of(NEW_MODEL)))
    assert asked <= 4 * BLOCK, "the header, what changed places, and a gap"
    assert installed.tree.kept_versions() == ["1.1.0"], "there is no way back"
    assert [event.detail for event in told if isinstance(event, GuardLowered)] == ["1.0.0"]
    aside = installed.tree.user_data / "from-v1.0.0/notes.txt"
    assert aside.read_bytes() == b"mine"
    answer = installed.get_network_eligibility("1.1.0", SECOND.release.manifest.manifest_hash)
    assert answer is Eligibility.ELIGIBLE


def test_with_room_enough_nothing_is_given_up(updater: DeltaUpdater, root: Path) -> None:
    updater.update(source_of(FIRST))
    DeltaUpdater(updater.tree.path, options=IN_PLACE).update(source_of(SECOND, FIRST))
    assert updater.tree.kept_versions() == ["1.1.0", "1.0.0"]


def test_a_file_with_another_name_is_left_alone(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    model = installed.tree.release("1.0.0") / "m.gguf"
    model.chmod(0o644)
    (installed.tree.path / "mine.gguf").hardlink_to(model)
    with pytest.raises(DiskFull) as raised:
        make_updater(options=IN_PLACE).update(source_of(SECOND, FIRST))
    assert not isinstance(raised.value, InPlacePossible)
    assert model.read_bytes() == OLD_MODEL


def test_until_it_is_done_the_tool_is_interrupted(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    source = source_of(SECOND, FIRST)
    source.drop(digest_of(NEW_MODEL))
    with pytest.raises(NotFound):
        make_updater(options=IN_PLACE).update(source)
    assert tool_status(installed.tree, None).state == ToolState.INTERRUPTED
    again = source_of(SECOND, FIRST)
    make_updater().update(again)
    check(installed, SECOND)
    asked = sum(length or 0 for _at, length in asked_of(again, digest_of(NEW_MODEL)))
    assert asked <= 4 * BLOCK


def test_a_collection_leaves_what_is_being_remade(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    source = source_of(SECOND, FIRST)
    source.drop(digest_of(NEW_MODEL))
    with pytest.raises(NotFound):
        make_updater(options=IN_PLACE).update(source)
    installed.gc()
    again = source_of(SECOND, FIRST)
    make_updater().update(again)
    check(installed, SECOND)
    asked = sum(length or 0 for _at, length in asked_of(again, digest_of(NEW_MODEL)))
    assert asked <= 4 * BLOCK


def test_a_source_of_what_is_new_alone_gives_nothing_up(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    source = source_of(SECOND, FIRST)
    source.needs = (BaseRef(FIRST.release.version, FIRST.release.manifest.manifest_hash),)
    with pytest.raises(DiskFull) as raised:
        make_updater(options=IN_PLACE).update(source)
    assert not isinstance(raised.value, InPlacePossible)
    check(installed, FIRST)


def test_a_name_that_came_later_keeps_what_it_shows(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    source = source_of(SECOND, FIRST)
    mine = installed.tree.path / "mine.gguf"

    def link(asked: Asked) -> None:
        model = installed.tree.release("1.0.0") / "m.gguf"
        if asked.digest == digest_of(b"2") and not mine.exists():
            mine.hardlink_to(model)

    source.before_open = link
    make_updater(options=IN_PLACE).update(source)
    check(installed, SECOND)
    assert mine.read_bytes() == OLD_MODEL


def test_it_may_be_killed_after_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "free_bytes", lambda _path: MARGIN_BYTES + 10**9)
    # Each round costs five times as much there: every third call has to do.
    for number in range(1, 400, 3 if sys.platform == "win32" else 1):
        updater = DeltaUpdater(
            tmp_path / str(number) / "sample-tool", disk=QuickDisk(), options=UNSIGNED
        )
        updater.update(source_of(FIRST))
        monkeypatch.setattr(fit, "free_bytes", lambda _path: MARGIN_BYTES + 100_000)
        disk = FaultyDisk(stop_after=number)
        try:
            DeltaUpdater(updater.tree.path, options=IN_PLACE, disk=disk).update(
                source_of(SECOND, FIRST)
            )
        except Stopped:
            pass
        again = source_of(SECOND, FIRST)
        DeltaUpdater(updater.tree.path, options=IN_PLACE, disk=QuickDisk()).update(again)
        check(updater, SECOND)
        asked = sum(length or 0 for _at, length in asked_of(again, digest_of(NEW_MODEL)))
        assert asked <= 5 * BLOCK, f"stopped after call {number}: {disk.calls[-1]}"
        monkeypatch.setattr(fit, "free_bytes", lambda _path: MARGIN_BYTES + 10**9)
        if not disk.has_struck:
            assert number > 50
            return
    raise AssertionError("it never came to its end")


def test_nothing_copies_from_a_file_that_is_remade_last(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    """It would wait for it for ever: what is remade is so when all else is there."""
    files = {"m.gguf": NEW_MODEL, "n": b"H" * BLOCK + _RANDOM.randbytes(BLOCK), "a.py": b"2"}
    target = map_release(make_release(files, "1.1.0"), block_bytes=BLOCK)
    source = source_of(target, FIRST)
    make_updater(options=IN_PLACE).update(source)
    check(installed, target)
    asked = sum(length or 0 for _at, length in asked_of(source, digest_of(files["n"])))
    assert asked == 2 * BLOCK


def test_a_model_that_stands_under_two_names_is_not_remade(
    installed: DeltaUpdater, make_updater: MakeUpdater
) -> None:
    """The second name would have to wait for it."""
    files = {"m.gguf": NEW_MODEL, "n.gguf": NEW_MODEL, "a.py": b"2"}
    target = map_release(make_release(files, "1.1.0"), block_bytes=BLOCK)
    with pytest.raises(DiskFull):
        make_updater(options=IN_PLACE).update(source_of(target, FIRST))
    check(installed, FIRST)
