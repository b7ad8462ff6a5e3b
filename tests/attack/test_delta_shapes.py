"""Group L of the threats, from 11 on: shapes of changes, large files, and the store itself."""

from __future__ import annotations

import shutil

import pytest

from bitstation import DeltaUpdater
from bitstation.core.digest import EMPTY
from bitstation.testing.invariants import Invariants
from bitstation.testing.mapped import BLOCK_BYTES
from tests.attack.conftest import MakeUpdater
from tests.attack.large import BLOCK_BYTES as LARGE_BLOCK_BYTES
from tests.attack.large import GB, Block, Large, LargeSource
from tests.attack.updates import (
    EDITED,
    FIRST,
    MODEL,
    NEW_MODEL,
    SECOND,
    asked_of,
    asked_of_files,
    release_of,
    rot,
    source_of,
    updates,
)


def test_l11_rename_only(installed: DeltaUpdater) -> None:
    target = release_of({"models/new.bin": MODEL, "run.py": b"print()"}, "1.1.0")
    source = source_of(target, FIRST)
    stats = updates(installed, source, target)
    assert asked_of_files(source, target) == 0
    assert stats.files_downloaded == 0


def test_l12_rename_and_edit(installed: DeltaUpdater) -> None:
    target = release_of({"models/new.bin": EDITED, "run.py": b"print()"}, "1.1.0")
    source = source_of(target, FIRST)
    updates(installed, source, target)
    assert asked_of_files(source, target) == BLOCK_BYTES


def test_l13_swap_of_two_files(updater: DeltaUpdater) -> None:
    base = release_of({"a": MODEL, "b": EDITED, "c": b"c", "d": b"d"}, "1.0.0")
    target = release_of({"a": EDITED, "b": MODEL, "c": b"d", "d": b"c"}, "1.1.0")
    updates(updater, source_of(base), base)
    source = source_of(target, base)
    updates(updater, source, target)
    assert asked_of_files(source, target) == 0


def test_l14_duplicate_ten_times(installed: DeltaUpdater) -> None:
    target = release_of({f"copies/{number}": EDITED for number in range(10)}, "1.1.0")
    source = source_of(target, FIRST)
    updates(installed, source, target)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_l15_file_to_directory_and_back(updater: DeltaUpdater) -> None:
    file = release_of({"a": MODEL, "b/c": b"x"}, "1.0.0")
    folder = release_of({"a/b/c": MODEL, "b": b"x"}, "1.1.0")
    back = release_of({"a": MODEL, "b/c": b"x"}, "1.2.0")
    updates(updater, source_of(file), file)
    for base, target in ((file, folder), (folder, back)):
        source = source_of(target, base)
        updates(updater, source, target)
        assert asked_of_files(source, target) == 0


def test_l16_empty_file(updater: DeltaUpdater) -> None:
    """New, grown from nothing, and emptied."""
    base = release_of({"e": b"", "m": MODEL}, "1.0.0")
    target = release_of({"e": MODEL[:1500], "m": b"", "n": b""}, "1.1.0")
    source = source_of(base)
    updates(updater, source, base)
    assert EMPTY not in source.fetched
    source = source_of(target, base)
    updates(updater, source, target)
    assert EMPTY not in source.fetched
    assert asked_of_files(source, target) == 500, "the last block of the short file is new"


def test_l17_one_byte_file(updater: DeltaUpdater) -> None:
    base = release_of({"a": b"a"}, "1.0.0")
    for target in (base, release_of({"a": b"b", "c": b"a"}, "1.1.0")):
        source = source_of(target, None if target is base else base)
        updates(updater, source, target)
        assert asked_of_files(source, target) == 1


def sparse(size: int, *heads: tuple[int, bytes]) -> Large:
    """A file of zeroes with bytes at the heads of some blocks, and an odd end."""
    count = size // LARGE_BLOCK_BYTES
    blocks = [Block(b"")] * count + [Block(b"end", 12_345)]
    for number, head in heads:
        blocks[number] = Block(head)
    return Large(blocks)


@pytest.mark.parametrize("gigabytes", [5, 20])
def test_l18_sparse(updater: DeltaUpdater, gigabytes: int) -> None:
    """Of 5 and 20 GB with BITSTATION_TEST_REAL_SIZES; of 21 and 84 MB else."""
    size = gigabytes * GB
    last = size // LARGE_BLOCK_BYTES - 1
    old = sparse(size, (3, b"x"), (last, b"y"))
    new = sparse(size, (3, b"x"), (4, b"new"), (last, b"y"))
    source = LargeSource()
    updater.update(source, source.offer_file(old, "1.0.0", fills=True).release.version)
    assert source.asked_bytes(old) == 2 * LARGE_BLOCK_BYTES + 12_345
    target = source.offer_file(new, "1.1.0", fills=True)
    updater.update(source, "1.1.0")
    assert source.asked_bytes(new) == LARGE_BLOCK_BYTES
    folder = updater.tree.release("1.1.0")
    assert (folder / "model").stat().st_size == new.size_bytes
    assert updater.verify(deep=True).damaged == ()
    assert target.release.manifest == updater.tree.manifest("1.1.0")


@pytest.mark.parametrize("blocks", [1, 2, 7])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_l19_block_size_boundary(updater: DeltaUpdater, blocks: int, more: int) -> None:
    """Lengths around borders, and edits on either side of one."""
    size = blocks * BLOCK_BYTES + more
    old, edited = MODEL[:size], bytearray(MODEL[:size])
    edited[-1] ^= 1
    grown = MODEL[: size + 1]
    base = release_of({"m": old}, "1.0.0")
    updates(updater, source_of(base), base)
    for version, data in (("1.1.0", bytes(edited)), ("1.2.0", old), ("1.3.0", grown)):
        target = release_of({"m": data}, version)
        source = source_of(target, base)
        updates(updater, source, target)
        # One block; a file that was no longer than one had no map, in which it could be found.
        assert asked_of_files(source, target) <= BLOCK_BYTES + (blocks == 1)
        base = target


def test_l20_insertion_of_1_byte_at_0(updater: DeltaUpdater) -> None:
    """In 13 GB with BITSTATION_TEST_REAL_SIZES, in 55 MB else: cut by content, it is one block."""
    numbers = range(13 * GB // LARGE_BLOCK_BYTES)
    blocks = [Block(b"%012d" % number) for number in numbers]
    old, new = Large(blocks), Large([Block(b"!", 1), *blocks])
    source = LargeSource()
    source.offer_file(old, "1.0.0")
    source.offer_file(new, "1.1.0")
    updater.update(source, "1.0.0")
    stats = updater.update(source, "1.1.0")
    assert source.asked_bytes(new) == 1
    assert stats.bytes_reused >= old.size_bytes - 1
    assert updater.verify(deep=True).damaged == ()


def test_l21_all_zero_gigabytes(updater: DeltaUpdater) -> None:
    """Of 3 GB with BITSTATION_TEST_REAL_SIZES, of 13 MB else: nothing is fetched at all."""
    zeroes = Large([Block(b"")] * (3 * GB // LARGE_BLOCK_BYTES))
    source = LargeSource()
    source.offer_file(zeroes, "1.0.0", fills=True)
    stats = updater.update(source, "1.0.0")
    assert source.asked_bytes(zeroes) == 0
    assert stats.files_downloaded == 0
    assert updater.verify(deep=True).damaged == ()


def test_l22_same_blob_in_10_tools_removed_from_9(make_updater: MakeUpdater) -> None:
    model = MODEL * 20
    names = [f"tool-{number}" for number in range(10)]
    targets = {name: release_of({"m": model}, "1.0.0", tool_id=name) for name in names}
    for name in names:
        source = source_of(targets[name])
        updates(make_updater(name), source, targets[name])
        assert asked_of_files(source, targets[name]) == (len(model) if name == names[0] else 0)
    for name in names[:-1]:
        make_updater(name).uninstall()
    last = make_updater(names[-1])
    manifest = targets[names[-1]].release.manifest
    Invariants(last.root.path).check(names[-1], manifest)
    answer = last.get_network_eligibility("1.0.0", manifest.manifest_hash)
    assert answer == "ELIGIBLE", "and nothing had to be hashed again for it"
    again = source_of(targets[names[0]])
    updates(make_updater(names[0]), again, targets[names[0]])
    assert asked_of_files(again, targets[names[0]]) == 0


@pytest.mark.parametrize("lost", ["ledger", "ledger damaged", "atlases", "atlases damaged", "all"])
def test_l23_store_index_lost(installed: DeltaUpdater, lost: str) -> None:
    """The ledger is made anew by reading; without the atlas of the base a file comes whole."""
    if lost in ("ledger", "all"):
        for path in installed.root.control.glob("ledger*"):
            path.unlink()
    elif lost == "ledger damaged":
        installed.root.ledger.write_bytes(b"no database" * 1000)
    if lost in ("atlases", "all"):
        shutil.rmtree(installed.tree.atlases)
    elif lost == "atlases damaged":
        for path in installed.tree.atlases.iterdir():
            path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    source = source_of(SECOND, FIRST)
    updates(installed, source, SECOND)
    is_whole = lost not in ("ledger", "ledger damaged")
    assert asked_of(source, NEW_MODEL) == (len(EDITED) if is_whole else BLOCK_BYTES)
    third = release_of({"model.bin": b"third" + EDITED[5:], "run.py": b"print(1)"}, "1.2.0")
    again = source_of(third, SECOND)
    updates(installed, again, third)
    assert asked_of_files(again, third) == BLOCK_BYTES, "by blocks again"


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_l24_store_blob_missing_or_corrupt(installed: DeltaUpdater, damage: str) -> None:
    """Mended from a source by whatever command comes next."""
    model = installed.tree.release("1.0.0") / "model.bin"
    model.chmod(0o644)
    (model.unlink() if damage == "missing" else rot(model, 4_321))
    source = source_of(SECOND, FIRST)
    updates(installed, source, SECOND, damaged="1.0.0")
    current = installed.tree.release("1.1.0") / "model.bin"
    current.chmod(0o644)
    (current.unlink() if damage == "missing" else rot(current, 4_321))
    updates(installed, source_of(SECOND), SECOND, damaged="1.0.0")
