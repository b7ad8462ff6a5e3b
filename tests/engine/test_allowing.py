"""Asked before anything of a release is fetched: may it be installed here, and can it be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.events import Event, GuardLowered, SignatureVerified, UnsignedAllowed
from bitstation.core.manifest import Manifest
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.core.wire import BaseRef
from bitstation.errors import BitStationError, DowngradeRefused, ReleaseConflict
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, UNSIGNED, make_release
from bitstation.transport.failures import BaseNeeded
from bitstation.transport.source import Resolved
from bitstation.trust.authorize import Authority, Grounds
from bitstation.trust.pins import Pins
from bitstation.worker import update as updating
from bitstation.worker.run import Options, Run, open_run

OLD, NEW = (make_release({"a": text.encode()}, text).manifest for text in ("1.0.0", "1.1.0"))
OTHER = make_release({"a": b"other"}, "1.0.0").manifest
OLDER = make_release({"a": b"older"}, "0.9.0").manifest


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def run(root: Path, updater: DeltaUpdater, events: list[Event]) -> Iterator[Run]:
    """A run on a machine that has 1.0.0, and had 1.1.0."""
    for text in ("1.0.0", "1.1.0"):
        updater.update(MemorySource(make_release({"a": text.encode()}, text)))
    updater.rollback()
    quick = QuickDisk()
    with open_run(
        ToolsRoot(root), TOOL_ID, disk=quick, listeners=(events.append,), options=UNSIGNED
    ) as opened:
        yield opened


def resolved(manifest: Manifest, **fields: object) -> Resolved:
    return Resolved(manifest, manifest.encode(), **fields)  # type: ignore[arg-type]


def check(
    run: Run,
    target: Resolved,
    base: Manifest | None = OLD,
    authority: Authority | None = None,
) -> None:
    if authority is None:
        authority = updating.authority_of(run, MemorySource())
        authority.prepare()
    updating._check_allowed(run, base, target, authority)


def switches(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.switch, event.detail) for event in events if isinstance(event, GuardLowered)]


# --- may it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [OLD, None])
def test_a_newer_release_is_allowed_and_that_nobody_signed_it_is_said(
    run: Run, events: list[Event], base: Manifest | None
) -> None:
    check(run, resolved(NEW), base)
    assert [event.version for event in events if isinstance(event, UnsignedAllowed)] == ["1.1.0"]
    assert switches(events) == []


def test_the_same_release_is_allowed_and_its_manifest_not_read_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_tree: object, version: str) -> Manifest:
        raise AssertionError(version)

    monkeypatch.setattr(type(run.tree), "manifest", read)
    check(run, resolved(OLD))


def test_that_a_hash_was_not_true_is_said(run: Run, events: list[Event]) -> None:
    check(run, resolved(NEW, legacy=True))
    assert switches(events) == [("--legacy", NEW.manifest_hash)]


@pytest.mark.parametrize("known_by", ["the active release", "a kept release", "the history"])
def test_other_content_under_a_known_version_is_refused(run: Run, known_by: str) -> None:
    again = make_release({"a": b"again"}, "1.1.0").manifest
    if known_by == "the active release":
        target, base = OTHER, OLD
    else:
        target, base = again, OLD
        if known_by == "the history":
            (run.tree.release("1.1.0") / MANIFEST_NAME).unlink()
    if known_by != "the history":
        run.tree.history.unlink()
    with pytest.raises(ReleaseConflict) as caught:
        check(run, resolved(target), base)
    known = OLD if target is OTHER else NEW
    assert caught.value.fields["known"] == known.manifest_hash
    assert caught.value.fields["offered"] == target.manifest_hash


def test_an_older_release_is_refused_unless_somebody_may_decide_so(
    run: Run, events: list[Event]
) -> None:
    with pytest.raises(DowngradeRefused):
        check(run, resolved(OLDER))
    check(run, resolved(OLDER, required=True))
    assert switches(events) == []
    run.options = Options(allow_unsigned=True, allow_downgrade=True)
    check(run, resolved(OLDER))
    assert switches(events) == [("--allow-downgrade", "1.0.0")]


def test_who_signed_it_is_said(run: Run, events: list[Event]) -> None:
    authority = updating.authority_of(run, MemorySource())
    authority.grounds, authority.signer = Grounds.SIGNED, "acme"
    check(run, resolved(NEW), OLD, authority)
    (said,) = [event for event in events if isinstance(event, SignatureVerified)]
    assert (said.version, said.publisher) == ("1.1.0", "acme")
    assert not [event for event in events if isinstance(event, UnsignedAllowed)]


def test_a_way_back_that_a_source_alone_demands_is_refused(run: Run) -> None:
    class Pinned(Authority):
        """Of a machine with a root, by which nothing is required."""

        @property
        def is_pinned(self) -> bool:
            return True

    authority = Pinned(Pins(run.root.pins, run.disk), MemorySource(), root="", allow_unsigned=True)
    with pytest.raises(DowngradeRefused):
        check(run, resolved(OLDER, required=True), OLD, authority)


def test_what_is_installed_counts_though_its_manifest_cannot_be_read(run: Run) -> None:
    (run.tree.release("1.0.0") / MANIFEST_NAME).unlink()
    with pytest.raises(DowngradeRefused) as caught:
        check(run, resolved(OLDER), None)
    assert caught.value.fields["installed"] == "1.0.0"


def test_on_an_empty_machine_any_release_is_allowed(root: Path, events: list[Event]) -> None:
    with open_run(
        ToolsRoot(root), TOOL_ID, disk=QuickDisk(), options=UNSIGNED, listeners=(events.append,)
    ) as fresh:
        check(fresh, resolved(OLDER), None)
    assert switches(events) == []


# --- can it --------------------------------------------------------------------------------------


def need(manifest: Manifest) -> BaseRef:
    return BaseRef(manifest.tool_version, manifest.manifest_hash)


TARGET = make_release({"a": b"2"}, "2.0.0").manifest


@pytest.mark.parametrize(
    ("base", "target", "needs", "is_refused"),
    [
        (OLD, TARGET, (), False),
        (None, TARGET, (), False),
        (OLD, TARGET, (need(OLD),), False),
        (OLD, TARGET, (need(OLDER), need(OLD)), False),
        (OLD, TARGET, (need(OLDER),), True),
        (OLD, TARGET, (need(OTHER),), True),
        (None, TARGET, (need(OLD),), True),
        # It is here already.
        (OLD, NEW, (need(OLDER),), False),
    ],
)
def test_a_source_that_lacks_what_another_release_has_is_refused(
    run: Run, base: Manifest | None, target: Manifest, needs: tuple[BaseRef, ...], is_refused: bool
) -> None:
    error: BitStationError | None = None
    try:
        updating._check_bases(run, base, resolved(target, needs=needs), MemorySource())
    except BaseNeeded as caught:
        error = caught
    assert (error is not None) == is_refused
    if error is not None:
        assert error.fields["bases"] == " / ".join(each.version for each in needs)
