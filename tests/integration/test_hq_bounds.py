"""What HQ keeps in memory has limits: known addresses, and blocks on their way."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bitstation.core.digest import Digest, digest_of
from bitstation.errors import NotFound
from bitstation.hq.api.sending import (
    BLOCK_BYTES,
    LEAST_BLOCK_BYTES,
    BlockBudget,
    Share,
)
from bitstation.hq.lookup import BlobLookup
from bitstation.hq.releases import BlobRef, Releases


class FakeReleases:
    """Releases of five files each; every question is noted."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def files(self, tool_id: str, version: str) -> dict[str, BlobRef]:
        self.asked.append((tool_id, version))
        if tool_id == "none":
            raise NotFound(source="HQ", what="it")
        return {f"{number}.txt": BlobRef(digest_of(b"%d" % number), 1) for number in range(5)}

    def blob(self, digest: Digest) -> BlobRef:
        self.asked.append(digest)
        return BlobRef(digest, 1)


def lookup_of(releases: FakeReleases, max_files: int = 12) -> BlobLookup:
    return BlobLookup(cast(Releases, releases), max_files)


def test_a_release_is_asked_for_once():
    releases = FakeReleases()
    lookup = lookup_of(releases)
    assert lookup.cached_files("add", "1.0.0") is None
    files = lookup.load_files("add", "1.0.0")
    assert lookup.cached_files("add", "1.0.0") is files
    assert releases.asked == [("add", "1.0.0")]


def test_the_oldest_releases_make_room():
    lookup = lookup_of(FakeReleases())
    for version in ("1", "2", "3", "2"):
        lookup.load_files("add", version)
    kept = [version for version in "123" if lookup.cached_files("add", version)]
    assert kept == ["2", "3"]


def test_a_release_larger_than_the_limit_is_kept_alone():
    lookup = lookup_of(FakeReleases(), max_files=3)
    lookup.load_files("add", "1")
    lookup.load_files("add", "2")
    assert lookup.cached_files("add", "1") is None
    assert len(lookup.cached_files("add", "2") or {}) == 5


def test_absence_is_not_remembered():
    releases = FakeReleases()
    lookup = lookup_of(releases)
    for _ in range(2):
        with pytest.raises(NotFound):
            lookup.load_files("none", "1")
    assert len(releases.asked) == 2


def test_blobs_are_bounded_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bitstation.hq.lookup._MAX_BLOBS", 3)
    lookup = lookup_of(FakeReleases())
    digests = [digest_of(b"%d" % number) for number in range(5)]
    for digest in digests:
        lookup.load_blob(digest)
    assert [lookup.cached_blob(digest) is not None for digest in digests] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_blocks_shrink_when_the_budget_is_spent_and_grow_again():
    budget = BlockBudget(2 * BLOCK_BYTES)
    with Share(budget) as first, Share(budget) as second:
        assert [first.take(10**9), first.take(10**9)] == [BLOCK_BYTES, BLOCK_BYTES]
        assert second.take(10**9) == LEAST_BLOCK_BYTES
        assert second.take(100) == 100
        first.give_back(keep=1)
        assert second.take(BLOCK_BYTES - LEAST_BLOCK_BYTES - 100) > LEAST_BLOCK_BYTES
    assert budget.left_bytes == 2 * BLOCK_BYTES


def test_a_small_span_takes_no_more_than_it_needs():
    budget = BlockBudget(BLOCK_BYTES)
    with Share(budget) as share:
        assert share.take(10) == 10
        assert budget.left_bytes == BLOCK_BYTES - 10
    assert budget.left_bytes == BLOCK_BYTES
