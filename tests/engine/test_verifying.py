"""What a verification counts, finds and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation import DeltaUpdater
from bitstation.core.events import EntryVerified, Event, PhaseChanged
from bitstation.errors import IntegrityError
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.worker.run import open_run
from bitstation.worker.verify import Verdict, require_whole, verify_folder

NAMES = ["main.py", *(f"lib/{number}.py" for number in range(6))]
RELEASE = make_release({name: name.encode() for name in NAMES}, "1.0.0")
MANIFEST = RELEASE.manifest


@pytest.fixture
def folder(updater: DeltaUpdater) -> Path:
    updater.update(MemorySource(RELEASE))
    return updater.tree.release("1.0.0")


def verified(root: Path, folder: Path, **options: object) -> tuple[Verdict, list[Event]]:
    events: list[Event] = []
    with open_run(ToolsRoot(root), TOOL_ID, disk=QuickDisk(), listeners=(events.append,)) as run:
        return verify_folder(run, folder, MANIFEST, **options), events  # type: ignore[arg-type]


def test_the_ledger_proves_and_what_was_hashed_as_it_was_written_counts_as_hashed(
    root: Path, folder: Path
) -> None:
    assert verified(root, folder)[0] == Verdict(7, 0, ())
    verdict, events = verified(root, folder, hashed=["main.py", "lib/3.py"])
    assert verdict == Verdict(7, 2, ())
    each = {event.path: event.by_hash for event in events if isinstance(event, EntryVerified)}
    assert each == {name: name in ("main.py", "lib/3.py") for name in NAMES}
    assert verified(root, folder, deep=True)[0] == Verdict(7, 7, ())


def test_it_says_what_it_begins(root: Path, folder: Path) -> None:
    begun = [event for event in verified(root, folder)[1] if isinstance(event, PhaseChanged)]
    assert [(event.phase, event.total_files) for event in begun] == [("verify", 7)]


def test_damaged_files_are_named_and_not_counted(root: Path, folder: Path) -> None:
    (folder / "main.py").write_bytes(b"other")
    (folder / "lib/0.py").unlink()
    verdict, events = verified(root, folder)
    assert [entry.path for entry in verdict.damaged] == ["lib/0.py", "main.py"]
    assert verdict.verified == 5
    proved = {event.path for event in events if isinstance(event, EntryVerified)}
    assert proved == set(NAMES) - {"main.py", "lib/0.py"}


def test_a_staging_area_that_is_not_the_release_goes_no_further() -> None:
    require_whole(Verdict(7, 0, ()), MANIFEST)
    with pytest.raises(IntegrityError, match=r"6 files of \S+ 1\.0\.0: .*lib/0\.py, .*lib/4\.py$"):
        require_whole(Verdict(1, 0, MANIFEST.entries[:6]), MANIFEST)
