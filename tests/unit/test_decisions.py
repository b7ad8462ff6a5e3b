"""What is decided from values alone: diff, plan, recovery, states, retention, eligibility."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.diff import deleted_paths, diff_manifests
from bitstation.core.digest import EMPTY, digest_of, is_digest
from bitstation.core.eligibility import Eligibility, InstalledFacts, Reason, decide_eligibility
from bitstation.core.lifecycle import (
    LeftoverFacts,
    Recovery,
    Step,
    ToolState,
    decide_recovery,
    decide_state,
)
from bitstation.core.manifest import Manifest
from bitstation.core.plan import How, parse_plan
from bitstation.core.planning import Ground, plan_update
from bitstation.core.retention import decide_retired
from bitstation.errors import StoreCorrupt
from bitstation.testing.releases import make_release

TREES = st.dictionaries(
    st.sampled_from(["a", "b/c", "b/d", "e/f/g", "h"]),
    st.sampled_from([b"", b"1", b"22", b"333"]),
    min_size=1,
)


def manifest(files: dict[str, bytes], version: str = "1.0.0") -> Manifest:
    return make_release(files, version).manifest


# --- diff and plan -----------------------------------------------------------------------------


@given(TREES, TREES)
def test_every_row_of_the_target_is_in_one_class_of_the_diff(
    old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    diff = diff_manifests(manifest(old), manifest(new))

    changed = {entry.path for entry in diff.changed}
    kept = {entry.path for entry in diff.unchanged}
    moved = {entry.path for _origin, entry in diff.moved}
    assert changed | kept | moved == new.keys()
    assert len(changed) + len(kept) + len(moved) == len(new)
    assert kept == {path for path in new if old.get(path) == new[path]}
    assert changed == {path for path, data in new.items() if data not in old.values()}
    assert set(diff.deleted) == old.keys() - new.keys()
    assert diff.download_bytes == sum(map(len, {new[path] for path in changed}))
    for origin, entry in diff.moved:
        assert digest_of(old[origin]) == entry.sha256


@given(TREES, st.sets(st.sampled_from([b"", b"1", b"22", b"333"])))
def test_a_plan_fetches_each_lacking_content_once(new: dict[str, bytes], held: set[bytes]) -> None:
    target = manifest(new)

    ground = Ground(frozenset(map(digest_of, held)), shared_from_bytes=2)
    plan = plan_update(None, target, ground)

    lacking = {data for data in new.values() if data and data not in held}
    downloads = [entry for entry in plan.entries if entry.is_download]
    assert sorted(entry.sha256 for entry in downloads) == sorted(map(digest_of, lacking))
    assert plan.download_files == len(downloads)
    assert plan.download_files + plan.unchanged_files == len(new)
    assert plan.download_bytes + plan.reuse_bytes == plan.total_bytes == target.total_bytes
    assert plan.download_bytes <= plan.write_bytes <= plan.total_bytes
    for entry in plan.entries:
        assert entry.how is (How.FETCH if entry.is_download else How.COPY)
    assert parse_plan(plan.encode(), "plan.json") == plan


def test_what_is_shared_takes_no_space_and_small_files_do() -> None:
    target = manifest({"big": b"x" * 100, "small": b"y", "new": b"z" * 7})
    held = frozenset({digest_of(b"x" * 100), digest_of(b"y")})
    assert plan_update(None, target, Ground(held, shared_from_bytes=10)).write_bytes == 8
    assert plan_update(None, target, Ground(held)).write_bytes == 108


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"plan_version": 1}', b"\xff"])
def test_a_damaged_plan_is_told(data: bytes) -> None:
    with pytest.raises(StoreCorrupt):
        parse_plan(data, "plan.json")


def test_a_plan_of_another_version_is_not_guessed_at() -> None:
    data = plan_update(None, manifest({"a": b"1"}), Ground()).encode()
    with pytest.raises(StoreCorrupt, match="version 3"):
        parse_plan(data.replace(b'"plan_version":2', b'"plan_version":3'), "plan.json")


def test_deleted_paths_keep_the_order_of_the_base() -> None:
    base, target = manifest({"c": b"1", "a": b"2", "b": b"3"}), manifest({"b": b"4"})
    assert deleted_paths(base, target) == ("a", "c")
    assert deleted_paths(None, target) == ()


def test_a_digest_is_spelled_in_one_way() -> None:
    assert is_digest(EMPTY)
    for wrong in (EMPTY.upper(), EMPTY[:-1], EMPTY + "0", EMPTY[:-1] + "g", EMPTY + "\n", 5, None):
        assert not is_digest(wrong)


# --- recovery ----------------------------------------------------------------------------------

EVERYTHING = [
    LeftoverFacts(step, "2.0.0", pointer, staged, released)
    for step, pointer, staged, released in itertools.product(
        [None, *Step], ["", "1.0.0", "2.0.0"], [False, True], [False, True]
    )
]


@pytest.mark.parametrize("facts", EVERYTHING, ids=str)
def test_recovery_has_an_answer_to_everything_that_can_be_found(facts: LeftoverFacts) -> None:
    answer = decide_recovery(facts)
    if facts.step is None:
        assert answer is Recovery.NOTHING
    elif facts.step is Step.IN_PLACE:
        assert answer is Recovery.DROP_JOURNAL
    elif facts.pointer_version == "2.0.0" or facts.step is Step.COLLECTING:
        assert answer is Recovery.FINISH_COLLECTION
    elif facts.step is Step.STAGING:
        assert answer is (Recovery.KEEP_STAGING if facts.staged else Recovery.DROP_JOURNAL)
    else:
        is_there = facts.staged or facts.released
        assert answer is (Recovery.FINISH_ACTIVATION if is_there else Recovery.DROP_JOURNAL)


def test_nothing_is_activated_that_was_not_verified() -> None:
    """Only the step that is written after verification leads to an activation."""
    active = [facts.step for facts in EVERYTHING if decide_recovery(facts) == "finish-activation"]
    assert set(active) == {Step.ACTIVATING}


@pytest.mark.parametrize(
    ("pointer", "leftovers", "damaged", "required", "state"),
    [
        (None, False, False, None, ToolState.NO_INSTALLATION),
        (None, True, False, None, ToolState.INTERRUPTED),
        (None, True, False, "1.0.0", ToolState.INTERRUPTED),
        ("1.0.0", False, False, None, ToolState.CURRENT),
        ("1.0.0", True, False, "1.0.0", ToolState.CURRENT),
        ("1.0.0", False, False, "1.1.0", ToolState.OUTDATED),
        ("1.0.0", False, True, "1.1.0", ToolState.DAMAGED),
        ("1.0.0", False, True, None, ToolState.DAMAGED),
    ],
)
def test_a_tool_has_one_state(
    pointer: str | None, leftovers: bool, damaged: bool, required: str | None, state: ToolState
) -> None:
    found = decide_state(
        pointer_version=pointer, leftovers=leftovers, damaged=damaged, required_version=required
    )
    assert found is state


# --- retention and eligibility -------------------------------------------------------------------

VERSIONS = [f"1.{n}.0" for n in reversed(range(5))]


@given(
    st.lists(st.sampled_from(VERSIONS), unique=True),
    st.sampled_from([None, *VERSIONS]),
    st.sampled_from([None, *VERSIONS]),
    st.integers(0, 6),
)
def test_the_active_release_and_the_one_before_never_go(
    found: list[str], current: str | None, previous: str | None, keep: int
) -> None:
    kept = sorted(found, reverse=True)
    retired = decide_retired(kept, current, previous, keep)
    assert current not in retired
    assert set(retired) <= set(kept)
    if current is None:
        assert retired == []
        return
    others = [version for version in kept if version != current]
    assert len(others) - len(retired) == min(keep, len(others))
    if keep and previous in others:
        assert previous not in retired


@given(st.booleans(), st.booleans(), st.lists(st.text(max_size=3), max_size=2))
def test_eligible_means_exactly_the_release_and_every_file_proved(
    same_version: bool, same_hash: bool, unproved: list[str]
) -> None:
    facts = InstalledFacts("1.0.0", EMPTY, tuple(unproved))
    answer, reasons = decide_eligibility(
        facts,
        required_version="1.0.0" if same_version else "1.0.1",
        required_hash=EMPTY if same_hash else digest_of(b"x"),
    )
    expected = set()
    expected |= {Reason.VERSION_DIFFERS} if not same_version else set()
    expected |= {Reason.HASH_DIFFERS} if not same_hash else set()
    expected |= {Reason.DAMAGED} if unproved else set()
    assert set(reasons) == expected
    assert answer is (Eligibility.OUTDATED if expected else Eligibility.ELIGIBLE)


@pytest.mark.parametrize("interrupted", [False, True])
def test_no_installation_is_never_eligible(interrupted: bool) -> None:
    answer, reasons = decide_eligibility(
        None, required_version="1.0.0", required_hash=EMPTY, interrupted=interrupted
    )
    assert answer == "NO_INSTALLATION"
    assert reasons == ((Reason.INTERRUPTED,) if interrupted else (Reason.NOT_INSTALLED,))
