"""Situations in which a run is stopped: each is set up anew for every call it is stopped after."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bitstation import DeltaUpdater, Eligibility
from bitstation.core.digest import digest_of
from bitstation.errors import NotFound
from bitstation.storage.durable import Disk
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants, wrong_files
from bitstation.testing.mapped import guide_to, map_release, offer
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import TOOL_ID, Release, make_release
from bitstation.worker.run import Options

OTHER_ID = "other-tool"
MODEL = bytes(range(256)) * (LINK_FROM_BYTES // 256)
OTHER_MODEL = MODEL[::-1]

OLD = make_release(
    {
        "models/a.gguf": MODEL,
        "models/b.gguf": OTHER_MODEL,
        "src/main.py": b"print(1)",
        "src/gone.py": b"gone",
        "empty": b"",
        "run.sh": b"#!/bin/sh",
    },
    "1.0.0",
    executables=["run.sh"],
    ignore_globs=["*.local"],
)
NEW = make_release(
    {
        "models/moved.gguf": MODEL,
        "models/b.gguf": OTHER_MODEL,
        "models/c.gguf": MODEL[1:] + b"!",
        "src/main.py": b"print(2)",
        "src/twin.py": b"print(2)",
        "empty": b"",
        "run.sh": b"#!/bin/sh",
    },
    "1.1.0",
    executables=["run.sh"],
    ignore_globs=["*.local"],
)
NEWER = make_release({"models/b.gguf": OTHER_MODEL, "src/main.py": b"print(3)"}, "1.2.0")
OTHER = make_release({"models/a.gguf": MODEL}, "3.0.0", tool_id=OTHER_ID)

WEIGHTS = random.Random(7).randbytes(LINK_FROM_BYTES + 1000)
BY_BLOCKS_OLD = map_release(
    make_release({"models/a.gguf": WEIGHTS, "src/main.py": b"print(1)"}, "1.0.0"),
    block_bytes=40_000,
)
BY_BLOCKS_NEW = map_release(
    make_release(
        {
            "models/a.gguf": b"head" + WEIGHTS[4:],
            "models/b.gguf": WEIGHTS[:100_000] + bytes(80_000),
            "src/main.py": b"print(2)",
        },
        "1.1.0",
    ),
    block_bytes=40_000,
)

Act = Callable[[DeltaUpdater, MemorySource], object]


def plain_source() -> MemorySource:
    """Releases of which nothing but the manifests is known."""
    return MemorySource(OLD, NEW, NEWER, OTHER)


def guided_source() -> MemorySource:
    """Releases with guides, so that files are built from blocks."""
    source = MemorySource(OTHER)
    offer(source, BY_BLOCKS_OLD, guide_to(BY_BLOCKS_OLD))
    offer(source, BY_BLOCKS_NEW, guide_to(BY_BLOCKS_NEW))
    offer(source, BY_BLOCKS_NEW, guide_to(BY_BLOCKS_NEW, BY_BLOCKS_OLD), BY_BLOCKS_OLD)
    return source


class Scene(NamedTuple):
    """``before`` was done in peace, ``act`` is stopped; ``goal`` must then be reachable."""

    name: str
    before: tuple[Act, ...]
    act: Act
    goal: Release
    allowed: tuple[Release, ...]
    may_be_absent: bool = False
    """Whether no release may be current after the stop."""
    make_source: Callable[[], MemorySource] = plain_source


def update_to(release: Release) -> Act:
    return lambda updater, source: updater.update(source, release.version)


def rolled_back(updater: DeltaUpdater, source: MemorySource) -> object:
    return updater.rollback()


def repaired(updater: DeltaUpdater, source: MemorySource) -> object:
    return updater.repair(source, deep=True)


def collected(updater: DeltaUpdater, source: MemorySource) -> object:
    return updater.gc()


def uninstalled(updater: DeltaUpdater, source: MemorySource) -> object:
    return updater.uninstall()


def used(updater: DeltaUpdater, source: MemorySource) -> object:
    """A user leaves files in the active release, and data in the protected folders."""
    folder = updater.tree.release(updater.tree.current_version() or "")
    (folder / "mine.local").write_bytes(b"carried along")
    (folder / "src/notes.txt").write_bytes(b"set aside")
    for name in ("venv", "cache", "user_data", "logs"):
        (updater.tree.path / name).mkdir(exist_ok=True)
        (updater.tree.path / name / "file").write_bytes(name.encode())
    return None


def damaged(updater: DeltaUpdater, source: MemorySource) -> object:
    """A small file is gone, a large one rots under every name it has."""
    folder = updater.tree.release(updater.tree.current_version() or "")
    (folder / "src/main.py").unlink()
    model = folder / "models/b.gguf"
    model.chmod(0o644)
    with model.open("r+b") as file:
        file.write(b"rot")
    return None


def interrupted(updater: DeltaUpdater, source: MemorySource) -> object:
    """An update that lost its source in the midst of fetching and linking."""
    digest = next(entry.sha256 for entry in NEW.manifest.entries if entry.path == "src/main.py")
    source.before_open = lambda asked: source.drop(digest) if asked.digest != digest else None
    try:
        updater.update(source, NEW.version)
    except Exception:  # noqa: BLE001 - what it raises is told by other tests
        source.before_open = lambda asked: None
        source.add(NEW)
        return None
    raise AssertionError("it should have failed")


def interrupted_within(updater: DeltaUpdater, source: MemorySource) -> object:
    """An update that lost its source when some blocks of a file were there."""
    digest = digest_of(BY_BLOCKS_NEW.release.files["models/b.gguf"])
    source.drop(digest)
    try:
        updater.update(source, BY_BLOCKS_NEW.release.version)
    except NotFound:
        source.add(BY_BLOCKS_NEW.release)
        return None
    raise AssertionError("it should have failed")


SCENES = [
    Scene("first install", (), update_to(OLD), OLD, (OLD,), may_be_absent=True),
    Scene("update", (update_to(OLD), used), update_to(NEW), NEW, (OLD, NEW)),
    Scene(
        "update that retires a release",
        (update_to(OLD), used, update_to(NEW), used),
        update_to(NEWER),
        NEWER,
        (NEW, NEWER),
    ),
    Scene(
        "update by blocks",
        (update_to(BY_BLOCKS_OLD.release),),
        update_to(BY_BLOCKS_NEW.release),
        BY_BLOCKS_NEW.release,
        (BY_BLOCKS_OLD.release, BY_BLOCKS_NEW.release),
        make_source=guided_source,
    ),
    Scene(
        "resumed update by blocks",
        (update_to(BY_BLOCKS_OLD.release), interrupted_within),
        update_to(BY_BLOCKS_NEW.release),
        BY_BLOCKS_NEW.release,
        (BY_BLOCKS_OLD.release, BY_BLOCKS_NEW.release),
        make_source=guided_source,
    ),
    Scene("resumed update", (update_to(OLD), interrupted), update_to(NEW), NEW, (OLD, NEW)),
    Scene(
        "update to another release than the interrupted one",
        (update_to(OLD), interrupted),
        update_to(NEWER),
        NEWER,
        (OLD, NEWER),
    ),
    Scene("rollback", (update_to(OLD), update_to(NEW), used), rolled_back, OLD, (OLD, NEW)),
    Scene(
        "update to a kept release",
        (update_to(OLD), update_to(NEW), rolled_back, used),
        update_to(NEW),
        NEW,
        (OLD, NEW),
    ),
    Scene("collection", (update_to(OLD), interrupted), collected, OLD, (OLD,)),
    Scene(
        "uninstall",
        (update_to(OLD), update_to(NEW), used),
        uninstalled,
        NEW,
        (NEW,),
        may_be_absent=True,
    ),
]
REPAIR = Scene(
    "repair", (update_to(OLD), update_to(NEW), damaged), repaired, NEW, (NEW,)
)  # fmt: skip


class Stage:
    """A tools root with two tools that share a model, brought to where a scene begins."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.scene = scene
        self.source = scene.make_source()
        self.root = folder / "tools"
        self.beside = folder / "beside"
        self.beside.mkdir()
        (self.beside / "file").write_bytes(b"not ours")
        self.updater(tool_id=OTHER_ID).update(self.source)
        for act in scene.before:
            act(self.updater(), self.source)
        self.invariants = Invariants(self.root, self.beside)
        self.source.asked.clear()

    def updater(self, disk: Disk | None = None, *, tool_id: str = TOOL_ID) -> DeltaUpdater:
        options = Options(allow_unsigned=True, allow_downgrade=True)
        return DeltaUpdater(self.root / tool_id, disk=disk or QuickDisk(), options=options)

    def act(self, disk: Disk) -> object:
        return self.scene.act(self.updater(disk), self.source)

    def clear(self) -> None:
        """Take the stage down."""
        Disk().remove_tree(self.root)
        Disk().remove_tree(self.beside)

    def check(self) -> None:
        """What must hold at any moment."""
        scene = self.scene
        allowed = [release.manifest for release in scene.allowed]
        self.invariants.check(TOOL_ID, *allowed, absent=scene.may_be_absent)
        self.invariants.check(OTHER_ID, OTHER.manifest)

    def check_kept(self) -> None:
        """A release that counts as kept is complete, at any moment."""
        tree = self.updater().tree
        for version in tree.kept_versions():
            manifest = tree.manifest(version)
            assert manifest is not None
            assert wrong_files(tree.release(version), manifest) == [], version

    def reach_goal(self) -> None:
        """Update to the goal, and say that nothing is left to be wished for."""
        goal = self.scene.goal
        self.updater().update(self.source, goal.version)
        self.invariants.check(TOOL_ID, goal.manifest)
        for tool_id, release in ((TOOL_ID, goal), (OTHER_ID, OTHER)):
            answer = self.updater(tool_id=tool_id).get_network_eligibility(
                release.version, release.manifest.manifest_hash
            )
            assert answer == Eligibility.ELIGIBLE, tool_id
