"""The commit, step by step: in which order things happen on the disk, and what is said of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bitstation.core.events import Event, PhaseChanged, ReleaseActivated
from bitstation.core.lifecycle import Step
from bitstation.core.scopes import MANIFEST_NAME
from bitstation.storage.journal import Begin, read_journal
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import FaultyDisk
from bitstation.testing.invariants import wrong_files
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker.activate import activate, move_into_place
from bitstation.worker.run import Run, open_run

RELEASE = make_release({"main.py": b"1", "lib/x.py": b"x"}, "1.0.0")
MANIFEST = RELEASE.manifest


class OpenFileDisk(FaultyDisk):
    """Windows, while somebody has a file of the folder open."""

    def replace(self, source: Path, target: Path, *, below: Path | None = None) -> None:
        if source.is_dir():
            raise PermissionError(13, "in use")
        super().replace(source, target, below=below)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture(params=[FaultyDisk, OpenFileDisk], ids=["at once", "one by one"])
def run(request: pytest.FixtureRequest, root: Path, events: list[Event]) -> Iterator[Run]:
    """A run with the whole release in staging, and no call noted yet."""
    disk = request.param()
    with open_run(ToolsRoot(root), TOOL_ID, disk=disk, listeners=(events.append,)) as run:
        staging = run.tree.staging("1.0.0")
        for path, content in RELEASE.files.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes(content)
        (staging / MANIFEST_NAME).write_bytes(MANIFEST.encode())
        run.journal.begin(Begin("run", "1.0.0", MANIFEST.manifest_hash, None))
        disk.calls.clear()
        yield run


def calls(run: Run) -> list[str]:
    assert isinstance(run.disk, FaultyDisk)
    return run.disk.calls


def test_the_journal_is_durable_before_the_move_and_the_move_before_the_pointer(run: Run) -> None:
    activate(run, MANIFEST, 3)

    done = calls(run)
    journal = done.index("sync_file")
    moved = max(done.index(call) for call in done if call.startswith("replace v1.0.0 v1.0.0")
                or call == f"replace {MANIFEST_NAME} {MANIFEST_NAME}")  # fmt: skip
    pointer = next(at for at, call in enumerate(done) if "current.txt" in call)
    assert journal < moved < pointer
    assert any(call.startswith("sync_dir") for call in done[moved:pointer])
    assert run.tree.current_version() == "1.0.0"
    assert wrong_files(run.tree.release("1.0.0"), MANIFEST) == []
    assert not run.tree.staging("1.0.0").exists()


def test_the_journal_says_how_far_it_came(run: Run) -> None:
    steps = []
    point = run.tree.pointer

    def note(_event: Event) -> None:
        steps.append((point.exists(), read_journal(run.tree.journal).step))

    run.emitter._listeners = (*run.emitter._listeners, note)
    activate(run, MANIFEST, 0)
    assert steps == [(False, Step.STAGING), (True, Step.ACTIVATING)]
    assert read_journal(run.tree.journal).step is Step.COLLECTING


def test_it_says_what_it_does(run: Run, events: list[Event]) -> None:
    activate(run, MANIFEST, 3)
    phases = [event.phase for event in events if isinstance(event, PhaseChanged)]
    (activated,) = [event for event in events if isinstance(event, ReleaseActivated)]
    assert phases == ["activate"]
    assert (activated.version, activated.manifest_hash, activated.deleted_files) == (
        *("1.0.0", MANIFEST.manifest_hash, 3),
    )


def test_a_release_moves_as_one_where_it_can(run: Run) -> None:
    move_into_place(run, run.tree.staging("1.0.0"), run.tree.release("1.0.0"))
    moves = [call for call in calls(run) if call.startswith("replace")]
    if isinstance(run.disk, OpenFileDisk):
        assert len(moves) == 3
        # Until its manifest is there it counts as no release.
        assert moves[-1] == f"replace {MANIFEST_NAME} {MANIFEST_NAME}"
        last, manifest = (calls(run).index(move) for move in moves[-2:])
        assert "sync_dir lib" in calls(run)[last:manifest]
        assert calls(run)[calls(run).index(moves[-1]) + 1] == "sync_dir v1.0.0"
    else:
        assert calls(run)[:2] == ["replace v1.0.0 v1.0.0", "sync_dir releases"]
        assert len(moves) == 1


def test_a_folder_that_cannot_move_for_another_reason_is_not_taken_apart(run: Run) -> None:
    staging, release = run.tree.staging("1.0.0"), run.tree.release("1.0.0")
    full = partial(OSError, errno.ENOSPC, "full")
    run.disk = FaultyDisk(fail_at=1, error=full, kinds=["replace"])
    with pytest.raises(OSError, match="full"):
        move_into_place(run, staging, release)
    assert not release.exists()
    assert wrong_files(staging, MANIFEST) == []


@pytest.mark.parametrize("moved", [[], ["lib/x.py"], ["lib/x.py", "main.py"], [MANIFEST_NAME]])
def test_a_move_that_was_cut_off_goes_on(run: Run, moved: list[str]) -> None:
    staging, release = run.tree.staging("1.0.0"), run.tree.release("1.0.0")
    release.mkdir(parents=True)
    order = [*RELEASE.files, MANIFEST_NAME] if MANIFEST_NAME in moved else moved
    for path in order:
        (release / path).parent.mkdir(exist_ok=True)
        (staging / path).replace(release / path)

    move_into_place(run, staging, release)

    assert wrong_files(release, MANIFEST) == []
    assert (release / MANIFEST_NAME).read_bytes() == MANIFEST.encode()
    assert not staging.exists()
