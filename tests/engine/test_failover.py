"""Several sources: who fails, lacks or lies is passed over, and nothing is fetched twice for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bitstation import DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.errors import DigestMismatch, NotFound, SourceUnreachable
from bitstation.testing.mapped import guide_to, map_release, offer
from bitstation.testing.memory_source import Asked, MemorySource, other_bytes, unreachable
from bitstation.testing.releases import make_release
from bitstation.transport.failover import REST_S, FailoverSource
from tests.engine.test_building import BLOCK_BYTES, FIRST, MODEL, check

PLAIN = make_release({"a": b"first", "model": MODEL}, "1.0.0")
DIGEST = digest_of(MODEL)


def guided(name: str) -> MemorySource:
    source = MemorySource(name=name)
    offer(source, FIRST, guide_to(FIRST))
    return source


def plain(name: str) -> MemorySource:
    return MemorySource(PLAIN, name=name)


def is_whole(updater: DeltaUpdater) -> bool:
    return (updater.tree.release("1.0.0") / "model").read_bytes() == MODEL


def test_the_next_one_is_asked_when_the_first_cannot_be_reached(updater: DeltaUpdater) -> None:
    first, second = plain("first"), plain("second")
    for digest in PLAIN.blobs:
        first.fail(digest, *[unreachable()] * 9)
    stats = updater.update(FailoverSource([first, second]))
    assert is_whole(updater)
    assert set(stats.sources) == {"second"}


def test_what_one_lacks_another_has(updater: DeltaUpdater) -> None:
    first, second = plain("first"), plain("second")
    first.drop(DIGEST)
    stats = updater.update(FailoverSource([first, second]))
    assert is_whole(updater)
    assert stats.sources == {"first": 5, "second": len(MODEL)}


@pytest.mark.parametrize("make", [plain, guided])
def test_who_lies_is_passed_over(updater: DeltaUpdater, make: object) -> None:
    first, second = make("first"), make("second")  # type: ignore[operator]
    first.lie(DIGEST, other_bytes)
    stats = updater.update(FailoverSource([first, second]))
    assert stats.sources["second"] in (len(MODEL), 123), "all of the file, or its last block"
    assert updater.tree.current_version() == "1.0.0"


def test_a_download_goes_on_from_another_at_the_byte(updater: DeltaUpdater) -> None:
    first, second = guided("first"), guided("second")
    half = 7 * BLOCK_BYTES + 300

    def cut(asked: Asked) -> None:
        if asked.digest == DIGEST:
            first.lie(DIGEST, lambda data: data[:half] if asked.offset == 0 else b"")

    first.before_open = cut
    stats = updater.update(FailoverSource([first, second]))
    check(updater, FIRST)
    assert stats.sources["first"] == len(guide_to(FIRST)) + half
    assert stats.sources["second"] == len(MODEL) - half + 7, "and what is left beside it"


def test_when_all_lie_nothing_is_changed(updater: DeltaUpdater) -> None:
    sources = [plain("first"), plain("second"), plain("third")]
    for source in sources:
        source.lie(DIGEST, other_bytes)
    with pytest.raises(DigestMismatch):
        updater.update(FailoverSource(sources))
    assert updater.tree.current_version() is None


def test_when_none_has_it_that_is_said(updater: DeltaUpdater) -> None:
    sources = [plain("first"), plain("second")]
    for source in sources:
        source.drop(DIGEST)
    with pytest.raises(NotFound):
        updater.update(FailoverSource(sources))


def test_the_offer_too_comes_from_whoever_answers(updater: DeltaUpdater) -> None:
    empty = MemorySource(name="empty")
    empty.add(make_release({"x": b"x"}, tool_id="other"))
    updater.update(FailoverSource([empty, guided("second")]))
    check(updater, FIRST)


def test_who_failed_rests_a_while_and_is_asked_again() -> None:
    now = [0.0]
    first, second = plain("first"), plain("second")
    sources = FailoverSource([first, second], clock=lambda: now[0])
    first.fail(DIGEST, unreachable(), unreachable())
    for _ in range(2):
        sources.read_object(DIGEST, 10**6)
    sources.read_object(DIGEST, 10**6)
    assert len(first.asked) == 2, "it rests"
    now[0] += REST_S + 1
    sources.read_object(DIGEST, 10**6)
    assert len(first.asked) == 3


def test_one_source_that_fails_is_still_asked_until_patience_ends(updater: DeltaUpdater) -> None:
    only = map_release(PLAIN)
    source = MemorySource(name="only")
    offer(source, only, guide_to(only))
    source.fail(DIGEST, *[unreachable()] * 3)
    updater.update(FailoverSource([source]))
    assert is_whole(updater)
    source.fail(DIGEST, *[unreachable()] * 99)
    with pytest.raises(SourceUnreachable):
        FailoverSource([source]).read_object(DIGEST, 10**6)


def test_a_blob_that_is_read_to_its_end_is_no_failure() -> None:
    """One failure after it is the first, and no reason to rest."""
    first, second = plain("first"), plain("second")
    sources = FailoverSource([first, second])
    sources.read_object(DIGEST, 10**6)
    first.fail(DIGEST, unreachable())
    sources.read_object(DIGEST, 10**6)
    sources.read_object(DIGEST, 10**6)
    assert (len(first.asked), len(second.asked)) == (3, 1)


def noise(data: bytes) -> bytes:
    return bytes(len(data))


def half_of_noise(data: bytes) -> bytes:
    """It breaks off, and what it gave was wrong."""
    return bytes(len(data) // 2)


@pytest.mark.parametrize("make", [plain, guided])
def test_who_went_on_is_not_blamed_for_what_another_began(
    updater: DeltaUpdater, make: Callable[[str], MemorySource]
) -> None:
    first, second = make("first"), make("second")
    first.lie(DIGEST, half_of_noise)
    updater.update(FailoverSource([first, second]))
    assert updater.tree.current_version() == "1.0.0"


@pytest.mark.parametrize("make", [plain, guided])
def test_one_honest_source_is_enough_however_many_lie(
    updater: DeltaUpdater, make: Callable[[str], MemorySource]
) -> None:
    sources = [make(str(number)) for number in range(5)]
    for source in sources[:-1]:
        source.lie(DIGEST, noise)
    updater.update(FailoverSource(sources))
    assert updater.tree.current_version() == "1.0.0"


@pytest.mark.parametrize("lie", [noise, half_of_noise, lambda data: data * 9])
def test_a_small_object_comes_from_whoever_has_it_right(lie: Callable[[bytes], bytes]) -> None:
    first, second = plain("first"), plain("second")
    first.lie(DIGEST, lie)
    sources = FailoverSource([first, second])
    assert sources.read_object(DIGEST, len(MODEL)) == MODEL
    assert sources.read_object(DIGEST, len(MODEL)) == MODEL
