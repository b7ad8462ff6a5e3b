"""Whatever a source says of the inside of files: the release whole, or an error and no change."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitstation import DeltaUpdater, host
from bitstation.codec.blocks import pack_block
from bitstation.codec.guiding import fold
from bitstation.codec.zstd import patch_from
from bitstation.core.digest import Digest, digest_of
from bitstation.core.guide import encode_guide
from bitstation.core.recipe import (
    INLINE,
    Codec,
    Copy,
    Fetch,
    Patch,
    Recipes,
    Segment,
    encode_recipes,
)
from bitstation.core.wire import GuideRef
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import wrong_files
from bitstation.testing.mapped import BLOCK_BYTES, Mapped, guide_to, map_of, map_release, offer
from bitstation.testing.memory_source import MemorySource, cut_short, drawn_out, other_bytes
from bitstation.testing.releases import UNSIGNED, make_release
from bitstation.transport.failover import FailoverSource
from tests.attack.updates import (
    EDITED,
    FIRST,
    MODEL,
    NEW_MODEL,
    OLD_MODEL,
    SECOND,
    asked_of,
    source_of,
    updates,
    whole_or_nothing,
)

# --- each object alone and all together ---------------------------------------------------------

TEXT = b"".join(b"line %d of a file\n" % number for number in range(500))
PACK = pack_block(TEXT[: 4 * BLOCK_BYTES], Codec.ZSTD)
FRAME = patch_from(MODEL[: 2 * BLOCK_BYTES], EDITED[:BLOCK_BYTES])
OUTER = patch_from(MODEL[3 * BLOCK_BYTES : 5 * BLOCK_BYTES], EDITED[3 * BLOCK_BYTES :][:2000])
TARGET = map_release(
    make_release({"model.bin": EDITED, "run.py": b"print(1)", "text": TEXT}, "1.1.0"),
    {digest_of(TEXT): (Segment(0, 4, Fetch(Codec.ZSTD, digest_of(PACK), 0, len(PACK))),)},
)
RECIPES: Recipes = {
    NEW_MODEL: (
        Segment(0, 1, Patch(OLD_MODEL, 0, 2 * BLOCK_BYTES, INLINE, 0, len(FRAME))),
        Segment(3, 2, Patch(OLD_MODEL, 3000, 2000, digest_of(OUTER), 0, len(OUTER))),
        Segment(8, 3, Copy(OLD_MODEL, 8000)),
    )
}
PLAIN, SHORT = guide_to(TARGET), guide_to(TARGET, FIRST, RECIPES, FRAME)
OBJECTS = {
    "guide": digest_of(SHORT),
    "plain guide": digest_of(PLAIN),
    "manifest": digest_of(TARGET.release.manifest.encode()),
    "pack": digest_of(PACK),
    "patch": digest_of(OUTER),
    "model": NEW_MODEL,
    "text": digest_of(TEXT),
}
NEEDED = {"manifest", "model", "text"}
"""Without these a release may be out of reach; without the others it never is."""

FAULTS = ["absent", "flipped", "short", "long", "another's", "empty", "zeroes"]


def guided_source(faults: dict[str, str]) -> MemorySource:
    source = MemorySource()
    offer(source, TARGET, PLAIN)
    offer(source, TARGET, SHORT, FIRST)
    source.add_blob(PACK)
    source.add_blob(OUTER)
    lies: dict[str, Callable[[bytes], bytes]] = {
        "flipped": other_bytes,
        "short": cut_short,
        "long": drawn_out,
        "another's": lambda data: TEXT[::-1],
        "empty": lambda data: b"",
        "zeroes": lambda data: bytes(len(data)),
    }
    for name, fault in faults.items():
        if fault == "absent":
            source.drop(OBJECTS[name])
        else:
            source.lie(OBJECTS[name], lies[fault])
    return source


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OBJECTS)
def test_one_object_that_is_not_as_it_should_be(
    installed: DeltaUpdater, name: str, fault: str
) -> None:
    error = whole_or_nothing(installed, guided_source({name: fault}), FIRST, TARGET)
    # The others can all be done without, and a file is cut at its length.
    assert (error is None) == (name != "text" or fault == "long")


def test_without_any_fault_only_hints_are_asked_for(installed: DeltaUpdater) -> None:
    source = guided_source({})
    updates(installed, source, TARGET)
    assert asked_of(source, NEW_MODEL) == 0
    assert asked_of(source, OBJECTS["text"]) == len(TEXT) - 4 * BLOCK_BYTES


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(OBJECTS)), st.sampled_from(FAULTS)))
def test_all_objects_together(
    tmp_path_factory: pytest.TempPathFactory, faults: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("tools") / "tools" / "sample-tool"
    updater = DeltaUpdater(folder, disk=QuickDisk(), options=UNSIGNED)
    updates(updater, source_of(FIRST), FIRST)
    error = whole_or_nothing(updater, guided_source(faults), FIRST, TARGET)
    assert error is None or not NEEDED.isdisjoint(faults)
    updates(updater, guided_source({}), TARGET)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(sorted(OBJECTS)), st.sampled_from(FAULTS), min_size=1),
    st.booleans(),
)
def test_one_honest_source_among_two_is_enough(
    tmp_path_factory: pytest.TempPathFactory, faults: dict[str, str], is_first: bool
) -> None:
    folder = tmp_path_factory.mktemp("tools") / "tools" / "sample-tool"
    updater = DeltaUpdater(folder, disk=QuickDisk(), options=UNSIGNED)
    updates(updater, source_of(FIRST), FIRST)
    liar, honest = guided_source(faults), guided_source({})
    liar.name, honest.name = "liar", "honest"
    sources = FailoverSource([honest, liar] if is_first else [liar, honest])
    assert whole_or_nothing(updater, sources, FIRST, TARGET) is None


# --- lies that are consistent with themselves ---------------------------------------------------

OTHER = map_release(make_release({"model.bin": MODEL[::-1]}, "1.1.0"))


def lying(what: str) -> bytes:
    """A guide to the second release that bears its own digest and lies inside."""
    papers = SECOND.papers
    target, base = SECOND.release.manifest.manifest_hash, None
    recipes = encode_recipes({})
    if what == "another target":
        target = OTHER.release.manifest.manifest_hash
    elif what == "another base":
        base = (OTHER.release.manifest.manifest_hash, OTHER.papers)
    elif what == "no manifest":
        papers = papers._replace(manifest=b"")
    elif what == "no JSON":
        papers = papers._replace(manifest=b"{")
    elif what == "manifest of another":
        papers = papers._replace(manifest=OTHER.release.manifest.encode())
    elif what == "no atlas":
        papers = papers._replace(atlas=b"")
    elif what == "atlas of noise":
        papers = papers._replace(atlas=MODEL)
    elif what == "recipes of noise":
        recipes = MODEL
    return encode_guide(fold(papers, recipes, target_hash=target, base=base))


@pytest.mark.parametrize(
    "what",
    [
        *("another target", "another base", "no manifest", "no JSON", "manifest of another"),
        *("no atlas", "atlas of noise", "recipes of noise"),
    ],
)
def test_a_guide_that_lies_leaves_the_longer_way(installed: DeltaUpdater, what: str) -> None:
    source = MemorySource()
    offer(source, SECOND, lying(what))
    stats = updates(installed, source, SECOND)
    assert stats.bytes_downloaded == sum(
        [
            *(len(lying(what)), len(SECOND.release.manifest.encode())),
            *(len(EDITED), len(b"print(1)")),
        ]
    )


@pytest.mark.parametrize("size", [0, 1, 100, 2**40, 2**62])
def test_the_size_of_a_guide_is_a_lie(installed: DeltaUpdater, size: int) -> None:
    """What was received is counted, and not what was announced."""
    source = source_of(SECOND, FIRST)
    name = ("sample-tool", "1.1.0")
    guides = source._guides[name]
    source._guides[name] = [GuideRef(each.sha256, size, each.base) for each in guides]
    stats = updates(installed, source, SECOND)
    assert stats.bytes_downloaded < 3 * len(EDITED)


def test_a_guide_that_is_not_there_was_not_received(installed: DeltaUpdater) -> None:
    source = source_of(SECOND, FIRST)
    for ref in source._guides["sample-tool", "1.1.0"]:
        source.drop(ref.sha256)
    stats = updates(installed, source, SECOND)
    manifest = len(SECOND.release.manifest.encode())
    assert stats.bytes_downloaded == manifest + len(EDITED) + len(b"print(1)")


MAPS: dict[str, dict[str, object]] = {
    "another size": {"lengths": (1000,) * 20 + (124,), "size_bytes": len(EDITED) + 1},
    "one block": {"lengths": (BLOCK_BYTES,) * 20 + (123,), "digests": bytes(32) * 21},
    "blocks moved": {"lengths": (123,) + (BLOCK_BYTES,) * 20},
    "blocks of the base": {"digests": map_of(MODEL).digests},
    "blocks of the base reversed": {"digests": map_of(MODEL).digests[::-1]},
}


@pytest.mark.parametrize("lie", MAPS.values(), ids=MAPS)
def test_a_map_that_lies_costs_bytes_only(installed: DeltaUpdater, lie: dict[str, object]) -> None:
    found = msgspec.structs.replace(map_of(EDITED), **lie)  # type: ignore[arg-type]
    target = map_release(SECOND.release, maps={"model.bin": found})
    source = source_of(target, FIRST)
    updates(installed, source, target)
    assert asked_of(source, NEW_MODEL) <= 3 * len(EDITED)


def test_a_lying_map_does_not_spoil_what_is_built_later(installed: DeltaUpdater) -> None:
    """The atlas that is kept says where blocks lie that do not lie there."""
    lie = msgspec.structs.replace(map_of(EDITED), digests=map_of(EDITED).digests[::-1])
    target = map_release(SECOND.release, maps={"model.bin": lie})
    updates(installed, source_of(target, FIRST), target)
    third = map_release(make_release({"m": EDITED[:-1] + b"!", "run.py": b"print(1)"}, "1.2.0"))
    updates(installed, source_of(third), third)


def test_recipes_for_files_that_are_not_of_the_release_are_nothing(updater: DeltaUpdater) -> None:
    stranger: Recipes = {Digest("0" * 64): (Segment(0, 1, Copy(OLD_MODEL, 0)),)}
    target = map_release(FIRST.release, stranger)
    updates(updater, source_of(target), target)


# --- files that would wait for each other -------------------------------------------------------


def test_a_copy_from_the_file_that_is_being_built_is_not_begun(installed: DeltaUpdater) -> None:
    recipes: Recipes = {NEW_MODEL: (Segment(0, 20, Copy(NEW_MODEL, 1000)),)}
    source = source_of(SECOND, FIRST, recipes)
    updates(installed, source, SECOND)
    assert asked_of(source, NEW_MODEL) == BLOCK_BYTES


def test_two_files_that_copy_from_each_other_are_not_begun(updater: DeltaUpdater) -> None:
    one, two = MODEL, MODEL[::-1]
    recipes: Recipes = {
        digest_of(one): (Segment(0, 21, Copy(digest_of(two), 0)),),
        digest_of(two): (Segment(0, 21, Copy(digest_of(one), 0)),),
    }
    target = map_release(make_release({"one": one, "two": two}), recipes)
    source = MemorySource()
    offer(source, target, guide_to(target, None, recipes))
    updates(updater, source, target)


# --- what this machine holds itself -------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"\x80", b"{}", OTHER.release.manifest.encode()])
@pytest.mark.parametrize("target", [FIRST, SECOND], ids=["same release", "next release"])
def test_a_damaged_manifest_here_is_read_from_the_source(
    installed: DeltaUpdater, target: Mapped, content: bytes
) -> None:
    path = installed.tree.release("1.0.0") / "manifest.json"
    host.set_writable(path, True)
    path.write_bytes(content)
    source = source_of(FIRST)
    offer(source, SECOND, guide_to(SECOND, FIRST), FIRST)
    installed.update(source, target.release.version)
    assert installed.tree.current_version() == target.release.version
    folder = installed.tree.release(target.release.version)
    assert wrong_files(folder, target.release.manifest) == []
    assert installed.tree.manifest(target.release.version) == target.release.manifest


@pytest.mark.parametrize("content", [b"", b"\x80\n", b'{"at":"\x80"}\n', b"[]\n" * 1000])
def test_a_damaged_history_costs_nothing(installed: DeltaUpdater, content: bytes) -> None:
    history = installed.tree.history
    history.write_bytes(content + history.read_bytes())
    updates(installed, source_of(SECOND, FIRST), SECOND)
    assert [record.to_version for record in installed.history()] == ["1.0.0", "1.1.0"]
