"""Only the changed blocks: a map is believed where it proves true, and costs bytes at most."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import msgspec
import pytest

from bitstation import DeltaUpdater
from bitstation.codec.blocks import pack_block
from bitstation.codec.zstd import patch_from
from bitstation.core.digest import Digest, digest_of
from bitstation.core.recipe import INLINE, Codec, Copy, Fetch, Fill, Patch, Recipes, Segment
from bitstation.errors import DigestMismatch, SourceUnreachable
from bitstation.testing.invariants import check_settled, wrong_files
from bitstation.testing.mapped import BLOCK_BYTES, Mapped, guide_to, map_of, map_release, offer
from bitstation.testing.memory_source import Asked, MemorySource, other_bytes, unreachable
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.transport.failures import RangeIgnored
from bitstation.worker import intake

_RANDOM = random.Random(1)
MODEL = _RANDOM.randbytes(20 * BLOCK_BYTES + 123)
HEADER = _RANDOM.randbytes(777)
EDITED = HEADER + MODEL[777:]
FIRST = map_release(make_release({"model.bin": MODEL, "run.py": b"print()"}, "1.0.0"))
SECOND = map_release(make_release({"model.bin": EDITED, "run.py": b"print(1)"}, "1.1.0"))
EDITED_DIGEST = SECOND.digest("model.bin")

MakeSource = Callable[..., MemorySource]


def source_of(
    target: Mapped,
    base: Mapped | None = None,
    recipes: Recipes | None = None,
    inline: bytes = b"",
) -> MemorySource:
    """A source with a plain guide, and one from the base where there is one."""
    source = MemorySource()
    offer(source, target, guide_to(target))
    if base is not None:
        offer(source, target, guide_to(target, base, recipes, inline), base)
    return source


def asked_of(source: MemorySource, digest: Digest) -> list[tuple[int, int | None]]:
    return [(each.offset, each.length) for each in source.asked if each.digest == digest]


@pytest.fixture
def installed(updater: DeltaUpdater) -> DeltaUpdater:
    """The first release, with its atlas."""
    updater.update(source_of(FIRST))
    return updater


def check(updater: DeltaUpdater, target: Mapped = SECOND) -> None:
    """The target is current, whole, and nothing is left over."""
    assert updater.tree.current_version() == target.release.version
    folder = updater.tree.release(target.release.version)
    assert wrong_files(folder, target.release.manifest) == []
    check_settled(updater.tree)


# --- the ordinary way ---------------------------------------------------------------------------


def test_a_first_install_fetches_each_byte_once(updater: DeltaUpdater) -> None:
    source = source_of(FIRST)
    stats = updater.update(source)
    assert asked_of(source, FIRST.digest("model.bin")) == [(0, len(MODEL))]
    guide = next(each for each in source.asked if each.length is None)
    assert stats.bytes_downloaded == len(MODEL) + 7 + len(guide_to(FIRST))
    assert source.asked[0] == guide
    check(updater, FIRST)


def test_an_edit_of_the_header_fetches_one_block(installed: DeltaUpdater) -> None:
    source = source_of(SECOND, FIRST)
    stats = installed.update(source)
    assert asked_of(source, EDITED_DIGEST) == [(0, BLOCK_BYTES)]
    assert stats.bytes_downloaded == BLOCK_BYTES + 8 + len(guide_to(SECOND, FIRST))
    assert stats.files_downloaded == 2
    assert stats.bytes_reused == len(EDITED) - BLOCK_BYTES
    check(installed)


def test_when_there_is_nothing_to_do_nothing_is_asked(installed: DeltaUpdater) -> None:
    source = source_of(FIRST)
    stats = installed.update(source)
    assert source.asked == []
    assert stats.bytes_downloaded == 0


def test_shifted_bytes_are_found_by_their_blocks(installed: DeltaUpdater) -> None:
    blocks = map_of(MODEL)
    longer = HEADER + MODEL
    shifted = msgspec.structs.replace(
        blocks,
        file_digest=digest_of(longer),
        size_bytes=len(longer),
        lengths=(len(HEADER), *blocks.lengths),
        digests=bytes.fromhex(digest_of(HEADER)) + blocks.digests,
    )
    target = map_release(make_release({"m": longer}, "1.1.0"), maps={"m": shifted})
    source = source_of(target, FIRST)
    installed.update(source)
    assert asked_of(source, digest_of(longer)) == [(0, len(HEADER))]
    check(installed, target)


def test_blocks_of_other_tools_serve(installed: DeltaUpdater, make_updater: MakeSource) -> None:
    target = map_release(make_release({"m": EDITED}, "2.0.0", tool_id="other"))
    source = source_of(target)
    updater = make_updater("other")
    updater.update(source)
    assert asked_of(source, EDITED_DIGEST) == [(0, BLOCK_BYTES)]
    check(updater, target)


def test_equal_blocks_of_two_new_files_are_fetched_once(updater: DeltaUpdater) -> None:
    target = map_release(make_release({"a": MODEL, "b": EDITED}, "1.0.0"))
    source = source_of(target)
    updater.update(source)
    assert asked_of(source, digest_of(MODEL)) == [(0, len(MODEL))]
    assert asked_of(source, EDITED_DIGEST) == [(0, BLOCK_BYTES)]
    check(updater, target)


def test_a_run_of_one_byte_is_made_here(updater: DeltaUpdater) -> None:
    data = bytes(5 * BLOCK_BYTES) + b"end"
    recipes: Recipes = {digest_of(data): (Segment(0, 5, Fill(0)),)}
    target = map_release(make_release({"m": data}), recipes)
    source = source_of(target)
    updater.update(source)
    assert asked_of(source, digest_of(data)) == [(5 * BLOCK_BYTES, 3)]
    check(updater, target)


# --- packed and patched -------------------------------------------------------------------------

TEXT = b"".join(b"line %d of a file\n" % number for number in range(2000))


def packed(source: MemorySource | None = None) -> tuple[Mapped, bytes]:
    """A release whose text is in a pack: two segments of some blocks each."""
    blocks = map_of(TEXT)
    pack, segments = b"", []
    for first in range(0, len(blocks), 20):
        count = min(20, len(blocks) - first)
        frame = pack_block(TEXT[first * BLOCK_BYTES : (first + count) * BLOCK_BYTES], Codec.ZSTD)
        segments.append((first, count, len(pack), len(frame)))
        pack += frame
    steps = [
        Segment(first, count, Fetch(Codec.ZSTD, digest_of(pack), at, length))
        for first, count, at, length in segments
    ]
    return map_release(make_release({"t": TEXT}), {digest_of(TEXT): tuple(steps)}), pack


def test_packed_blocks_are_fetched_packed(updater: DeltaUpdater) -> None:
    target, pack = packed()
    source = source_of(target)
    source.add_blob(pack)
    stats = updater.update(source)
    assert asked_of(source, digest_of(pack)) == [(0, len(pack))]
    assert asked_of(source, digest_of(TEXT)) == []
    assert stats.bytes_downloaded == len(pack) + len(guide_to(target)) < len(TEXT) // 4
    check(updater, target)


@pytest.mark.parametrize("fault", ["absent", "lying", "short"])
def test_without_its_pack_a_file_comes_as_it_is(updater: DeltaUpdater, fault: str) -> None:
    target, pack = packed()
    source = source_of(target)
    if fault != "absent":
        source.add_blob(pack)
        source.lie(digest_of(pack), other_bytes if fault == "lying" else lambda data: data[:50])
    updater.update(source)
    assert sum(length or 0 for _at, length in asked_of(source, digest_of(TEXT))) > 0
    check(updater, target)


def patched(base_offset: int = 0) -> tuple[Recipes, bytes]:
    """The recipe for the edited model: its first block over the start of the first one."""
    frame = patch_from(MODEL[: 2 * BLOCK_BYTES], EDITED[:BLOCK_BYTES])
    step = Patch(FIRST.digest("model.bin"), base_offset, 2 * BLOCK_BYTES, INLINE, 0, len(frame))
    return {EDITED_DIGEST: (Segment(0, 1, step),)}, frame


def test_a_patch_in_the_guide_is_all_that_is_needed(installed: DeltaUpdater) -> None:
    recipes, frame = patched()
    source = source_of(SECOND, FIRST, recipes, frame)
    stats = installed.update(source)
    assert asked_of(source, EDITED_DIGEST) == []
    assert stats.files_downloaded == 2
    check(installed)


def test_a_patch_over_other_bytes_falls_back(installed: DeltaUpdater) -> None:
    recipes, frame = patched(base_offset=1)
    source = source_of(SECOND, FIRST, recipes, frame)
    installed.update(source)
    assert asked_of(source, EDITED_DIGEST) == [(0, BLOCK_BYTES)]
    check(installed)


def test_a_copy_that_the_publisher_states_is_taken(installed: DeltaUpdater) -> None:
    data = MODEL[500:2500]
    target = map_release(make_release({"m": data}, "1.1.0"))
    recipes: Recipes = {digest_of(data): (Segment(0, 2, Copy(FIRST.digest("model.bin"), 500)),)}
    source = source_of(target, FIRST, recipes)
    stats = installed.update(source)
    assert asked_of(source, digest_of(data)) == []
    assert stats.files_downloaded == 0
    check(installed, target)


# --- what is not as it was said -----------------------------------------------------------------


def test_a_map_of_other_blocks_costs_bytes_only(updater: DeltaUpdater) -> None:
    lie = msgspec.structs.replace(map_of(MODEL), digests=map_of(EDITED).digests[::-1])
    target = map_release(make_release({"model.bin": MODEL}), maps={"model.bin": lie})
    source = source_of(target)
    updater.update(source)
    check(updater, target)


def test_a_map_that_leads_to_wrong_local_bytes_is_found_out(installed: DeltaUpdater) -> None:
    """Blocks that are here, in an order that is not the file's."""
    blocks = map_of(MODEL)
    turned = bytearray(blocks.digests)
    turned[:32], turned[32:64] = blocks.digests[32:64], blocks.digests[:32]
    lie = msgspec.structs.replace(
        blocks, file_digest=EDITED_DIGEST, size_bytes=len(EDITED), digests=bytes(turned)
    )
    target = map_release(SECOND.release, maps={"model.bin": lie})
    installed.update(source_of(target, FIRST))
    check(installed, target)


def test_one_bad_block_is_fetched_again(updater: DeltaUpdater) -> None:
    source = source_of(FIRST)
    digest, times = FIRST.digest("model.bin"), []

    def lie_once(asked: Asked) -> None:
        times.append(asked)
        if len(times) > 2:
            source.tell_truth()

    source.lie(digest, other_bytes)
    source.before_open = lie_once
    stats = updater.update(source)
    assert stats.bytes_downloaded < len(MODEL) + 2 * BLOCK_BYTES + len(guide_to(FIRST))
    check(updater, FIRST)


def test_a_source_that_keeps_lying_changes_nothing(installed: DeltaUpdater) -> None:
    source = source_of(SECOND, FIRST)
    source.lie(EDITED_DIGEST, lambda data: bytes(len(data)))
    with pytest.raises(DigestMismatch):
        installed.update(source)
    assert installed.tree.current_version() == "1.0.0"


@pytest.mark.parametrize("fault", ["lying", "absent", "garbage"])
def test_a_bad_guide_leaves_the_longer_way(installed: DeltaUpdater, fault: str) -> None:
    source = MemorySource()
    plain = offer(source, SECOND, guide_to(SECOND))
    short = offer(source, SECOND, guide_to(SECOND, FIRST), FIRST)
    for digest in (plain, short):
        if fault == "absent":
            source.drop(digest)
        else:
            source.lie(digest, other_bytes if fault == "lying" else lambda data: b"\0" * len(data))
    installed.update(source)
    assert asked_of(source, EDITED_DIGEST) == [(0, None)] or asked_of(source, EDITED_DIGEST) == [
        (0, len(EDITED))
    ]
    check(installed)


def test_a_base_that_rotted_is_noticed(installed: DeltaUpdater) -> None:
    """Same size and times, other bytes: the ledger cannot know, the digest does."""
    model = installed.tree.release("1.0.0") / "model.bin"
    facts = model.stat()
    data = bytearray(MODEL)
    data[5 * BLOCK_BYTES] ^= 1
    model.chmod(0o644)
    model.write_bytes(data)
    os.utime(model, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    source = source_of(SECOND, FIRST)
    installed.update(source)
    check(installed)


# --- going on -----------------------------------------------------------------------------------


def test_no_proved_block_is_fetched_twice(
    updater: DeltaUpdater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies for good after every few pieces; each run goes on where it was."""
    monkeypatch.setattr(intake, "PIECE_BYTES", 300)
    digest, runs, received = FIRST.digest("model.bin"), 0, 0
    while updater.tree.current_version() is None:
        source = source_of(FIRST)
        pieces: list[int] = []
        inner = source._open

        def cut(digest_: Digest, offset: int, length: int | None, inner=inner, pieces=pieces):  # type: ignore[no-untyped-def]
            reader = inner(digest_, offset, length)
            if digest_ != digest:
                return reader
            if pieces:
                raise unreachable()
            return _Breaking(reader, 2500, pieces)

        source._open = cut  # type: ignore[method-assign]
        runs += 1
        try:
            updater.update(source)
        except SourceUnreachable:
            pass
        received += sum(pieces)
        assert runs < 50
    assert runs > 5
    assert received == len(MODEL), "parts of blocks count as well"
    check(updater, FIRST)


class _Breaking:
    """Gives so many bytes and then no more."""

    def __init__(self, inner, most: int, pieces: list[int]) -> None:  # type: ignore[no-untyped-def]
        self._inner = inner
        self._left = most
        self._pieces = pieces

    def readinto(self, buffer: memoryview) -> int:
        if self._left <= 0:
            raise unreachable()
        count = self._inner.readinto(buffer[: self._left])
        self._left -= count
        self._pieces.append(count)
        return int(count)

    def close(self) -> None:
        self._inner.close()


def test_staged_blocks_are_believed_only_after_reading(updater: DeltaUpdater) -> None:
    source = source_of(FIRST)
    source.concurrency = 1
    asked: list[Asked] = []

    def stop_later(each: Asked) -> None:
        asked.append(each)
        if each.digest == digest_of(b"print()"):
            raise unreachable()

    source.before_open = stop_later
    with pytest.raises(SourceUnreachable):
        updater.update(source)
    staged = updater.tree.staging("1.0.0") / "model.bin"
    data = bytearray(staged.read_bytes())
    assert bytes(data) == MODEL
    data[3 * BLOCK_BYTES] ^= 1
    staged.chmod(0o644)
    staged.write_bytes(data)
    again = source_of(FIRST)
    updater.update(again)
    assert wrong_files(updater.tree.release("1.0.0"), FIRST.release.manifest) == []
    assert TOOL_ID in str(updater.tree.path)


def test_a_server_without_ranges_gives_whole_files(updater: DeltaUpdater) -> None:
    """Several connections notice it at once, while blocks of the file are on their way."""
    source = source_of(FIRST)
    source.concurrency = 4
    digest = FIRST.digest("model.bin")

    def whole_only(asked: Asked) -> None:
        if asked.digest == digest and asked.offset:
            raise RangeIgnored(source="memory", what="it", offset=asked.offset)

    source.before_open = whole_only
    updater.update(source)
    check(updater, FIRST)
