"""Group L of the threats, 1 to 10: differences and what they start from, each case by name.

Whatever a difference is, it costs bytes at most: the blocks come plainly, or the file whole.
"""

from __future__ import annotations

import os
import random
import struct

import pytest

from bitstation import DeltaUpdater
from bitstation.codec.blocks import pack_block
from bitstation.codec.zstd import compress, patch_from
from bitstation.core.digest import digest_of
from bitstation.core.recipe import (
    INLINE,
    MAX_OUTPUT_BYTES,
    Codec,
    Copy,
    Fetch,
    Fill,
    Patch,
    Recipes,
    Segment,
    Step,
)
from bitstation.errors import NotFound
from bitstation.testing.mapped import BLOCK_BYTES, guide_to, map_of, map_release, offer
from bitstation.testing.memory_source import Asked
from tests.attack.updates import (
    EDITED,
    FIRST,
    MODEL,
    NEW_MODEL,
    OLD_MODEL,
    SECOND,
    asked_of,
    asked_of_files,
    release_of,
    rot,
    rot_unseen,
    source_of,
    updates,
    whole_or_nothing,
)

FRAME = patch_from(MODEL[: 2 * BLOCK_BYTES], EDITED[:BLOCK_BYTES])
PATCH = Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, INLINE, 0, len(FRAME))


VANISHES = pytest.mark.skipif(
    os.name == "nt", reason="only on POSIX: a file that is being read can be removed"
)


def made_by(step: Step, count: int = 1) -> Recipes:
    """The first blocks of the edited model."""
    return {NEW_MODEL: (Segment(0, count, step),)}


@pytest.mark.parametrize("wrong", ["papers", "prefix"])
def test_l01_wrong_base(installed: DeltaUpdater, wrong: str) -> None:
    """A guide over other papers than it says; a patch over another part of the base."""
    source = source_of(SECOND)
    if wrong == "papers":
        other = release_of({"x": MODEL[::-1]}, "1.0.0")
        guide = bytearray(guide_to(SECOND, other))
        guide[5:37] = bytes.fromhex(FIRST.release.manifest.manifest_hash)
        offer(source, SECOND, bytes(guide), FIRST)
    else:
        shifted = Patch(OLD_MODEL, 3000, 2 * BLOCK_BYTES, INLINE, 0, len(FRAME))
        offer(source, SECOND, guide_to(SECOND, FIRST, made_by(shifted), FRAME), FIRST)
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


@pytest.mark.parametrize("is_seen", [True, False], ids=["stamps show it", "nothing shows it"])
def test_l02_base_tampered(installed: DeltaUpdater, is_seen: bool) -> None:
    model = installed.tree.release("1.0.0") / "model.bin"
    (rot(model, 5_500) if is_seen else rot_unseen(installed, model, 5_500))
    source = source_of(SECOND, FIRST, made_by(PATCH), FRAME)
    updates(installed, source, SECOND, damaged="1.0.0")
    # What nothing shows is found when the file is hashed, and then it is one block.
    assert asked_of(source, NEW_MODEL) == (len(EDITED) if is_seen else BLOCK_BYTES)


def test_l02_base_tampered_under_the_patch_itself(installed: DeltaUpdater) -> None:
    rot_unseen(installed, installed.tree.release("1.0.0") / "model.bin", 800)
    source = source_of(SECOND, FIRST, made_by(PATCH), FRAME)
    updates(installed, source, SECOND, damaged="1.0.0")
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_l02_base_tampered_all_over(installed: DeltaUpdater) -> None:
    """Blocks that are found wrong are fetched together, not with a request for each."""
    model = installed.tree.release("1.0.0") / "model.bin"
    for number in (*range(4, 14), 17):
        rot_unseen(installed, model, number * BLOCK_BYTES + 5)
    source = source_of(SECOND, FIRST)
    updates(installed, source, SECOND, damaged="1.0.0")
    assert asked_of(source, NEW_MODEL) == 12 * BLOCK_BYTES
    assert len([each for each in source.asked if each.digest == NEW_MODEL]) == 3


@VANISHES
@pytest.mark.parametrize("moment", ["before the file", "within the file"])
def test_l03_base_missing_half_way(installed: DeltaUpdater, moment: str) -> None:
    model = installed.tree.release("1.0.0") / "model.bin"
    source = source_of(SECOND, FIRST)

    def vanish(asked: Asked) -> None:
        if asked.digest == NEW_MODEL and model.exists():
            (model.unlink() if moment == "before the file" else model.write_bytes(MODEL[:5_500]))

    model.chmod(0o644)
    source.before_open = vanish
    updates(installed, source, SECOND, damaged="1.0.0")
    assert asked_of(source, NEW_MODEL) <= len(EDITED) + BLOCK_BYTES


@VANISHES
def test_l03_base_missing_half_way_but_for_another_name(updater: DeltaUpdater) -> None:
    """Where the first name is gone, the second serves, from the byte on that was reached."""
    base = release_of({"a": MODEL, "b": MODEL}, "1.0.0")
    updates(updater, source_of(base), base)
    source = source_of(SECOND, base)
    first = updater.tree.release("1.0.0") / "a"

    def vanish(asked: Asked) -> None:
        if asked.digest == NEW_MODEL:
            first.unlink(missing_ok=True)

    first.chmod(0o644)
    source.before_open = vanish
    updates(updater, source, SECOND, damaged="1.0.0")
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_l04_delta_larger_than_full(installed: DeltaUpdater) -> None:
    pack = compress(random.Random(3).randbytes(2 * BLOCK_BYTES))
    large = Patch(OLD_MODEL, 0, 100, digest_of(pack), 0, len(pack))
    source = source_of(SECOND, FIRST, made_by(large))
    source.add_blob(pack)
    updates(installed, source, SECOND)
    assert asked_of(source, digest_of(pack)) == 0
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_l05_delta_chain_of_50(updater: DeltaUpdater) -> None:
    """Each release by a patch over the one before it, for as long as anybody likes."""
    data = bytearray(MODEL)
    base = release_of({"model.bin": bytes(data)}, "1.0.0")
    updates(updater, source_of(base), base)
    for number in range(1, 51):
        old = bytes(data)
        at = number * 397
        data[at : at + 5] = b"%05d" % number
        target = release_of({"model.bin": bytes(data)}, f"1.{number}.0")
        first = at // BLOCK_BYTES
        # An edit may lie across a border.
        count = (at + 4) // BLOCK_BYTES - first + 1
        start, end = first * BLOCK_BYTES, min(len(data), (first + count) * BLOCK_BYTES)
        frame = patch_from(old[start:end], data[start:end])
        step = Patch(digest_of(old), start, end - start, INLINE, 0, len(frame))
        recipes: Recipes = {digest_of(data): (Segment(first, count, step),)}
        source = source_of(target, base, recipes, frame)
        stats = updates(updater, source, target)
        assert asked_of_files(source, target) == 0
        assert stats.bytes_downloaded < 1_000
        base = target
    assert len(list(updater.tree.atlases.iterdir())) == 2, "of the kept releases only"


@pytest.mark.parametrize("length", [0, 1, 8, len(FRAME) // 2, len(FRAME) - 1])
@pytest.mark.parametrize("where", ["guide", "pack"])
def test_l06_delta_truncated(installed: DeltaUpdater, where: str, length: int) -> None:
    if where == "guide":
        source = source_of(SECOND, FIRST, made_by(PATCH), FRAME[:length])
    else:
        step = Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, digest_of(FRAME), 0, len(FRAME))
        source = source_of(SECOND, FIRST, made_by(step))
        source.add_blob(FRAME)
        source.lie(digest_of(FRAME), lambda data: data[:length])
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


@pytest.mark.parametrize(
    ("step", "count"),
    [
        (Copy(OLD_MODEL, len(MODEL) - 10), 1),
        (Copy(OLD_MODEL, len(MODEL)), 1),
        (Copy(OLD_MODEL, 2**50), 1),
        (Patch(OLD_MODEL, len(MODEL) - 10, 2 * BLOCK_BYTES, INLINE, 0, len(FRAME)), 1),
        (Patch(OLD_MODEL, 2**50, 2 * BLOCK_BYTES, INLINE, 0, len(FRAME)), 1),
        (Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, INLINE, 1, len(FRAME)), 1),
        (Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, INLINE, 0, 10**7), 1),
        (Fetch(Codec.ZSTD, INLINE, 2**50, 5), 1),
        (Fetch(Codec.ZSTD, digest_of(b"pack"), 2**50, 5), 1),
        (Fill(0), 22),
    ],
    ids=[
        *("copy over the end", "copy behind the end", "copy far behind", "base over the end"),
        *("base far behind", "inline shifted", "inline over the end", "inline far behind"),
        *("pack far behind", "past the map"),
    ],
)
def test_l07_instruction_out_of_range(installed: DeltaUpdater, step: Step, count: int) -> None:
    source = source_of(SECOND, FIRST, made_by(step, count), FRAME)
    source.add_blob(b"pack")
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_l08_overlapping_copy(installed: DeltaUpdater) -> None:
    """Spans of the base that overlap, and one that lies where it would be written to."""
    data = MODEL[:2000] + MODEL[1000:3000] + MODEL[500:2500]
    target = release_of({"model.bin": data}, "1.1.0")
    recipes: Recipes = {
        digest_of(data): (
            Segment(0, 2, Copy(OLD_MODEL, 0)),
            Segment(2, 2, Copy(OLD_MODEL, 1000)),
            Segment(4, 2, Copy(OLD_MODEL, 500)),
        )
    }
    source = source_of(target, FIRST, recipes)
    updates(installed, source, target)
    assert asked_of_files(source, target) == 0


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.PLANES_2, Codec.PLANES_4])
@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES + 1, MAX_OUTPUT_BYTES])
def test_l09_output_too_large(installed: DeltaUpdater, codec: Codec, size: int) -> None:
    """A frame that gives more or less than its blocks; the largest is a bomb of 2 KB."""
    frame = pack_block(bytes(size), codec)
    fetch = Fetch(codec, INLINE, 0, min(len(frame), BLOCK_BYTES - 1))
    source = source_of(SECOND, FIRST, made_by(fetch), frame[:BLOCK_BYTES])
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


@pytest.mark.parametrize("size", [BLOCK_BYTES, 16 << 20])
def test_l09_output_too_large_of_a_patch(installed: DeltaUpdater, size: int) -> None:
    """Bombs over a base: one says that it is the block alone, one how much comes of it."""
    bomb = patch_from(MODEL[: 2 * BLOCK_BYTES], bytes(16 << 20))
    stated = struct.pack("<I", 16 << 20)
    assert bomb[:16].count(stated) == 1
    assert len(bomb) < BLOCK_BYTES
    frame = bomb.replace(stated, struct.pack("<I", size), 1)
    step = Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, INLINE, 0, len(frame))
    source = source_of(SECOND, FIRST, made_by(step), frame)
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


@pytest.mark.parametrize("wrong", ["patch", "pack", "copy", "fill", "map"])
def test_l10_hash_after_apply_wrong(installed: DeltaUpdater, wrong: str) -> None:
    """To blocks where the segment is wrong, to the whole file where the map is."""
    other = bytes(BLOCK_BYTES)
    frames = {"patch": patch_from(MODEL[:2000], other), "pack": compress(other)}
    frame = frames.get(wrong, b"")
    steps: dict[str, Step] = {
        "patch": Patch(OLD_MODEL, 0, 2000, INLINE, 0, len(frame)),
        "pack": Fetch(Codec.ZSTD, INLINE, 0, len(frame)),
        "copy": Copy(OLD_MODEL, 1),
        "fill": Fill(0),
    }
    target, recipes = SECOND, made_by(steps[wrong]) if wrong in steps else {}
    if wrong == "map":
        lie = map_of(EDITED[:5000] + bytes(1000) + EDITED[6000:])
        lie = type(lie)(NEW_MODEL, lie.size_bytes, lie.cut, lie.lengths, lie.digests)
        target = map_release(SECOND.release, maps={"model.bin": lie})
    source = source_of(target, FIRST, recipes, frame)
    updates(installed, source, target)
    asked = asked_of(source, NEW_MODEL)
    assert asked == BLOCK_BYTES if wrong != "map" else asked > len(EDITED)


def test_nothing_is_left_of_a_release_that_cannot_be_had(installed: DeltaUpdater) -> None:
    """The end of every case above: where nobody has the bytes, the base stays as it is."""
    source = source_of(SECOND, FIRST)
    source.drop(NEW_MODEL)
    assert isinstance(whole_or_nothing(installed, source, FIRST, SECOND), NotFound)
