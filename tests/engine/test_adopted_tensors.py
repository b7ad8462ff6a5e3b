"""Tensors of a model that somebody has serve a release that holds them under another header."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from bitstation import DeltaUpdater
from bitstation.core.blockmap import BlockMap
from bitstation.core.digest import digest_of
from bitstation.errors import SourceUnreachable
from bitstation.storage.adopted import adopted_files, adopted_map, remember
from bitstation.storage.mapping import layout_of, map_model
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import check_settled, wrong_files
from bitstation.testing.mapped import Mapped, guide_to, map_release, offer
from bitstation.testing.memory_source import MemorySource, unreachable
from bitstation.testing.releases import make_release
from tests.engine.conftest import Adopt
from tests.engine.test_adopted import seen
from tests.unit.model_files import STRING, Tensor, gguf, key_value

TENSORS = [
    Tensor(f"blk.{n}", 0, (400_000,), random.Random(n).randbytes(1_600_000)) for n in range(3)
]
MINE = gguf(TENSORS, [key_value("general.name", STRING, "as it was downloaded")])
WANTED = gguf(TENSORS, [key_value("general.name", STRING, "as the release has it, with more")])
TENSOR_BYTES = sum(len(tensor.data) for tensor in TENSORS)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The same weights under another header."""
    path = tmp_path / "mine/model.gguf"
    path.parent.mkdir()
    path.write_bytes(MINE)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Mapped:
    """A release whose model is mapped as its publisher maps it."""
    path = tmp_path / "published.gguf"
    path.write_bytes(WANTED)
    layout = layout_of(path)
    assert layout is not None
    blockmap = map_model(path, layout)[2]
    release = make_release({"models/a.gguf": WANTED}, "1.0.0")
    return map_release(release, maps={"models/a.gguf": blockmap})


def source_of(target: Mapped) -> MemorySource:
    source = MemorySource()
    offer(source, target, guide_to(target))
    return source


def model_bytes(source: MemorySource) -> int:
    """Bytes of the model that the source was asked for."""
    of_model = [each for each in source.asked if each.digest == digest_of(WANTED)]
    return sum(len(WANTED) if each.length is None else each.length for each in of_model)


def check(updater: DeltaUpdater, target: Mapped) -> None:
    folder = updater.tree.release(target.release.version)
    assert wrong_files(folder, target.release.manifest) == []
    check_settled(updater.tree)


@pytest.mark.parametrize("link", [False, True])
def test_only_the_header_is_fetched(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, target: Mapped, link: bool
) -> None:
    before = seen(mine)
    adopt(mine, link=link)
    source = source_of(target)

    stats = updater.update(source)

    assert 0 < model_bytes(source) <= len(WANTED) - TENSOR_BYTES < 1000
    assert stats.bytes_reused >= TENSOR_BYTES
    # Only a whole file is ever linked, so nothing of this one changed.
    assert seen(mine) == before
    check(updater, target)


def test_a_file_that_changed_lends_nothing(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, target: Mapped
) -> None:
    adopt(mine)
    mine.write_bytes(MINE[:-1] + b"?")
    source = source_of(target)
    updater.update(source)
    assert model_bytes(source) == len(WANTED)
    check(updater, target)


def test_a_map_that_lies_costs_bytes_and_nothing_else(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, target: Mapped
) -> None:
    adopt(mine)
    true = adopted_map(updater.root, digest_of(MINE))
    assert true is not None
    remember(updater.root, adopted_files(updater.root), {true.file_digest: _lying(true)}, DISK)
    source = source_of(target)
    updater.update(source)
    assert model_bytes(source) > TENSOR_BYTES
    check(updater, target)


DISK = QuickDisk()


def _lying(blockmap: BlockMap) -> BlockMap:
    """A map that names the true blocks in the wrong order."""
    digests = [blockmap.digest(number) for number in range(len(blockmap))]
    return msgspec.structs.replace(blockmap, digests=b"".join(reversed(digests)), groups=())


def test_an_interrupted_install_goes_on_from_the_adopted_file(
    adopt: Adopt, updater: DeltaUpdater, mine: Path, target: Mapped
) -> None:
    adopt(mine)
    broken = source_of(target)

    def fail(asked: object) -> None:
        if getattr(asked, "digest", None) == digest_of(WANTED):
            raise unreachable()

    broken.before_open = fail  # type: ignore[assignment]
    with pytest.raises(SourceUnreachable):
        updater.update(broken)
    source = source_of(target)
    updater.update(source)
    assert model_bytes(source) <= len(WANTED) - TENSOR_BYTES
    check(updater, target)
