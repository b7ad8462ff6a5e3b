"""Maps are kept by the digest of their file; what is damaged counts as none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation.core.digest import digest_of
from bitstation.errors import StoreError
from bitstation.publisher.map_cache import MapCache
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.mapped import map_of

DATA = bytes(range(256)) * 20
MAP, OTHER = map_of(DATA), map_of(DATA[::-1])


def test_a_map_is_found_again(tmp_path: Path) -> None:
    cache = MapCache(QuickDisk(), tmp_path / "maps")
    assert cache.load(MAP.file_digest) is None
    cache.save(MAP)
    cache.save(MAP)
    assert MapCache(QuickDisk(), tmp_path / "maps").load(MAP.file_digest) == MAP
    assert cache.load(digest_of(b"another")) is None


@pytest.mark.parametrize("damage", [b"", b"BSBM", b"x" * 100])
def test_a_damaged_map_is_none(tmp_path: Path, damage: bytes) -> None:
    cache = MapCache(QuickDisk(), tmp_path)
    cache.save(OTHER)
    (tmp_path / OTHER.file_digest).rename(tmp_path / MAP.file_digest)
    assert cache.load(MAP.file_digest) is None, "of another file"
    (tmp_path / MAP.file_digest).write_bytes(damage)
    assert cache.load(MAP.file_digest) is None
    cache.save(MAP)
    assert cache.load(MAP.file_digest) == MAP


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "maps").write_bytes(b"a file in its place")
    with pytest.raises(StoreError):
        MapCache(QuickDisk(), tmp_path / "maps").save(MAP)
