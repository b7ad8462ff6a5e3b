"""Group P of the threats, 33 and 35: junctions and mount points inside folders of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bitstation import host
from bitstation.errors import StoreError
from bitstation.testing.invariants import look_at
from bitstation.testing.memory_source import MemorySource
from tests.attack.machine import NEW, Machine
from tests.attack.planting import LATER, PLACES
from tests.engine.test_links_refused import make_link

ON_WINDOWS = pytest.mark.skipif(sys.platform != "win32", reason="only on Windows: junctions")
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: bind mounts")


@ON_WINDOWS
@pytest.mark.parametrize("place", PLACES)
def test_p33_junction(machine: Machine, theirs: Path, place: str) -> None:
    """It takes no right to make one; on Windows the other cases of links try them too."""
    link = machine.tree.path / place
    if link.exists():
        link.rename(link.with_name("moved"))
    make_link(link, theirs)
    before = look_at(theirs)
    with pytest.raises(StoreError, match="is a link"):
        machine.updater.update(MemorySource(NEW))
    assert look_at(theirs) == before


@pytest.mark.parametrize("place", ["releases", "releases/v1.0.0", "releases/.staging"])
def test_p33_reparse_point(machine: Machine, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Whatever the system calls one, symlink or not, is treated as one."""
    folder, real = machine.tree.path / place, host.is_link
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(host, "is_link", lambda path: path == folder or real(path))
    with pytest.raises(StoreError, match="is a link"):
        machine.updater.update(MemorySource(NEW))


@pytest.mark.parametrize("place", ["releases/v1.0.0/lib", "releases/.staging", ".bitstation/x"])
def test_p35_mount_point(machine: Machine, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Refused before anything is looked at: what is mounted there is not ours to clear away."""
    monkeypatch.setattr(host, "mount_points", lambda: [Path("/"), machine.tree.path / place])
    machine.refuses_update(MemorySource(NEW), StoreError, "is a mount point", exit_code=1)
    for act in (machine.updater.verify, machine.updater.gc, machine.updater.uninstall):
        machine.refuses(act, StoreError, "is a mount point", exit_code=1)


@pytest.mark.parametrize("place", ["releases", "user_data", "", ".."])
def test_p35_mount_point_of_the_user(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A disk for all releases, for the user's data, for the tool, or for all tools."""
    mounted = (machine.tree.path / place).resolve()
    monkeypatch.setattr(host, "mount_points", lambda: [Path("/"), mounted])
    machine.heals(MemorySource(NEW))


@contextmanager
def mounted(source: Path, place: Path) -> Iterator[None]:
    """One folder at the place of another."""
    command = ["mount", "--bind", str(source), str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs mounts: this user may make none")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@ON_LINUX
def test_p35_mount_point_in_a_release(tmp_path: Path, theirs: Path) -> None:
    """On the same volume, so that no look at the folder tells; its path has to be unescaped."""
    machine = Machine(tmp_path / "with space")
    before = look_at(theirs)
    with mounted(theirs / "lib", machine.tree.release("1.0.0") / "lib"):
        for release in (NEW, LATER):
            with pytest.raises(StoreError, match="is a mount point"):
                machine.updater.update(MemorySource(release))
        assert look_at(theirs) == before
    machine.heals(MemorySource(NEW))


@ON_LINUX
def test_p35_mount_point_for_all_releases(tmp_path: Path, machine: Machine) -> None:
    shutil.copytree(machine.tree.releases, tmp_path / "large-disk")
    with mounted(tmp_path / "large-disk", machine.tree.releases):
        for release in (NEW, LATER):
            machine.heals(MemorySource(release), release.manifest)
    assert (tmp_path / "large-disk/v1.2.0/main.py").read_bytes() == LATER.files["main.py"]
