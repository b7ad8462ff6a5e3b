"""Group P of the threats, 30 and 31: links in place of our folders, before and while we work.

A link in a folder of ours leads nowhere: what it points to is neither read as ours, nor written,
nor removed. What can be mended is; what cannot is refused.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bitstation import host
from bitstation.core.digest import Digest
from bitstation.errors import IntegrityError, StoreError
from bitstation.testing.invariants import look_at
from bitstation.testing.memory_source import MemorySource
from tests.attack.machine import NEW, OLD, Machine
from tests.attack.planting import LATER, PLACES, RACED, acting, plant
from tests.attack.updates import EDITED, FIRST, SECOND
from tests.attack.updates import source_of as mapped_source
from tests.engine.test_links_refused import make_link


@pytest.mark.parametrize("place", PLACES)
def test_p30_parent_is_a_symlink(machine: Machine, theirs: Path, place: str) -> None:
    """Folders that are ours alone: who plants links there is no accident, and it is said."""
    link = machine.tree.path / place
    if link.exists():
        link.rename(link.with_name("moved"))
    make_link(link, theirs)
    before = look_at(theirs)
    with pytest.raises(StoreError, match="is a link") as caught:
        machine.updater.update(MemorySource(NEW))
    assert caught.value.exit_code == 1
    assert look_at(theirs) == before


@pytest.mark.parametrize("place", ["v1.0.0/lib", "v1.0.0/lib/deep", ".staging/v1.1.0/lib"])
def test_p30_parent_within_a_release_is_a_symlink(
    machine: Machine, theirs: Path, place: str
) -> None:
    """What lies behind it does not count as ours; the link goes with the folder it stands in."""
    plant(machine.tree.releases / place, theirs / "lib")
    machine.updater.update(MemorySource(NEW), "1.1.0")
    machine.heals(MemorySource(LATER), LATER.manifest)
    assert not host.is_link(machine.tree.release("1.1.0") / "lib")


def test_p30_the_tool_s_own_folder(machine: Machine) -> None:
    """Users move tools to larger disks so, as they may move the whole root: it is their word."""
    shutil.move(machine.tree.path, machine.folder / "large-disk")
    make_link(machine.tree.path, machine.folder / "large-disk")
    for release in (NEW, LATER):
        machine.heals(MemorySource(release), release.manifest)


def test_p30_parent_of_what_is_set_aside(machine: Machine, theirs: Path) -> None:
    """user_data is the user's: it may be a link, and what is set aside goes where it leads."""
    user_data = machine.tree.user_data
    shutil.move(user_data, machine.folder / "large-disk")
    make_link(user_data, machine.folder / "large-disk")
    (machine.tree.release("1.0.0") / "notes.txt").write_bytes(b"mine")
    for release in (NEW, LATER):
        machine.heals(MemorySource(release), release.manifest)
    assert (machine.folder / "large-disk/from-v1.0.0/notes.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("moment", ["a.py", "lib/b.py"])
@pytest.mark.parametrize("place", ["v1.1.0/lib", "v1.1.0", ""])
def test_p31_parent_becomes_a_symlink(
    machine: Machine, theirs: Path, moment: str, place: str
) -> None:
    """Seen before the next file is begun, and nothing is written or removed behind it."""
    digest = next(row.sha256 for row in RACED.manifest.entries if row.path == moment)
    for path, data in (RACED.files | {"manifest.json": b"theirs"}).items():
        for folder in (theirs, theirs / "lib", theirs / "v1.1.0", theirs / "v1.1.0/lib"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    link, target = machine.tree.staging_area / place, theirs / place.removeprefix("v1.1.0")
    before = look_at(theirs)
    source = acting(MemorySource(RACED), digest, lambda: plant(link, target))
    with pytest.raises(StoreError):
        machine.updater.update(source)
    assert look_at(theirs) == before
    if not place:
        # Of staging as a whole the next run says so too, until somebody has looked at it.
        machine.refuses_update(
            MemorySource(RACED), StoreError, "is a link", exit_code=1, goes_on=True
        )
        link.unlink()
    machine.heals(MemorySource(RACED), RACED.manifest)
    assert look_at(theirs) == before


@pytest.mark.parametrize("digest", [SECOND.digest("model.bin"), SECOND.digest("run.py")])
def test_p31_parent_of_a_file_built_from_blocks(
    mapped: Machine, theirs: Path, digest: Digest
) -> None:
    """The file is open by then: what is written goes where it was, and none of it counts."""
    (theirs / "model.bin").write_bytes(bytes(len(EDITED)))
    (theirs / "run.py").write_bytes(b"theirs")
    staging, before = mapped.tree.staging("1.1.0"), look_at(theirs)
    source = acting(mapped_source(SECOND, FIRST), digest, lambda: plant(staging, theirs))
    with pytest.raises((StoreError, IntegrityError)):
        mapped.updater.update(source)
    assert look_at(theirs) == before
    mapped.heals(mapped_source(SECOND, FIRST), SECOND.release.manifest)
    assert look_at(theirs) == before


def test_p31_parent_of_what_is_mended(machine: Machine, theirs: Path) -> None:
    """What lies behind the link is not taken for what was fetched, and is not moved away."""
    for path in ("lib/x.py", "main.py"):
        (machine.tree.release("1.0.0") / path).unlink()
    digest = next(row.sha256 for row in OLD.manifest.entries if row.path == "main.py")
    link, before = machine.tree.staging_area / "mend", look_at(theirs)
    source = acting(MemorySource(OLD), digest, lambda: plant(link, theirs))
    with pytest.raises(StoreError):
        machine.updater.repair(source)
    assert look_at(theirs) == before
    machine.updater.repair(MemorySource(OLD))
    assert look_at(theirs) == before
    assert machine.updater.verify(deep=True).damaged == ()
