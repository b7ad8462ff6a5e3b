"""A repair keeps what is still right in a damaged file; a lacking atlas is learnt."""

from __future__ import annotations

import pytest

from bitstation import DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.testing.invariants import wrong_files
from bitstation.testing.mapped import guide_to
from bitstation.testing.memory_source import MemorySource
from tests.engine.test_building import (
    BLOCK_BYTES,
    EDITED_DIGEST,
    FIRST,
    MODEL,
    SECOND,
    asked_of,
    check,
    source_of,
)


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    """The first release, with its atlas."""
    updater.update(source_of(FIRST))
    return updater


def test_a_repair_fetches_the_damaged_block_only(installed: DeltaUpdater) -> None:
    model = installed.tree.release("1.0.0") / "model.bin"
    data = bytearray(MODEL)
    data[5 * BLOCK_BYTES + 1] ^= 1
    model.chmod(0o644)
    model.write_bytes(data)
    source = source_of(FIRST)
    stats = installed.repair(source)
    assert [(each.offset, each.length) for each in source.asked] == [(5 * BLOCK_BYTES, BLOCK_BYTES)]
    assert stats.bytes_downloaded == BLOCK_BYTES
    assert wrong_files(installed.tree.release("1.0.0"), FIRST.release.manifest) == []


@pytest.mark.parametrize("left", [0, 10, 7 * BLOCK_BYTES])
def test_a_repair_of_a_file_cut_short_fetches_the_rest(installed: DeltaUpdater, left: int) -> None:
    model = installed.tree.release("1.0.0") / "model.bin"
    model.chmod(0o644)
    model.write_bytes(MODEL[:left])
    source = source_of(FIRST)
    installed.repair(source)
    start = left // BLOCK_BYTES * BLOCK_BYTES
    assert asked_of(source, FIRST.digest("model.bin")) == [(start, len(MODEL) - start)]
    assert wrong_files(installed.tree.release("1.0.0"), FIRST.release.manifest) == []


def test_a_release_that_came_without_its_atlas_learns_it_once(updater: DeltaUpdater) -> None:
    updater.update(MemorySource(FIRST.release))
    first, second = source_of(FIRST), source_of(FIRST)
    updater.update(first)
    assert [each.digest for each in first.asked] == [digest_of(guide_to(FIRST))]
    updater.update(second)
    assert second.asked == []
    source = source_of(SECOND, FIRST)
    updater.update(source)
    assert asked_of(source, EDITED_DIGEST) == [(0, BLOCK_BYTES)]
    check(updater)
