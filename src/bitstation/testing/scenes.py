"""Situations in which a run is stopped: each is set up anew for every call it is stopped after."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from bitstation import DeltaUpdater
from bitstation.core.digest import digest_of
from bitstation.errors import NoInstallation, NotFound
from bitstation.storage.reuse import LINK_FROM_BYTES
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.mapped import guide_to, map_release, offer
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import Release, make_release
from bitstation.worker import fit
from bitstation.worker.run import Options

if TYPE_CHECKING:
    from bitstation.testing.signed import SignedShelf

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
TWINS = make_release(
    {"models/c.gguf": MODEL[2:] + b"!!", "models/twin.gguf": MODEL[2:] + b"!!"}, "1.3.0"
)
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

_BLOCKS = [WEIGHTS[at : at + 10_000] for at in range(0, len(WEIGHTS), 10_000)]
# All is shifted, two blocks change places, one is new.
_REORDERED = b"".join([b"H" * 10_000, *_BLOCKS[:5], _BLOCKS[7], _BLOCKS[6], *_BLOCKS[8:20]])
TIGHT_OLD = map_release(
    make_release({"models/a.gguf": WEIGHTS, "src/main.py": b"print(1)"}, "1.0.0"),
    block_bytes=10_000,
)
TIGHT_NEW = map_release(
    make_release({"models/a.gguf": _REORDERED, "src/main.py": b"print(2)"}, "1.1.0"),
    block_bytes=10_000,
)
_TIGHT_BYTES = 4 * 1024 * 1024 + 100_000
"""The margin that an update leaves, and too little for a second model."""

SHELF = "beside/shelf"
"""Where a stage keeps keys and signed metadata."""

Act = Callable[[DeltaUpdater, MemorySource], object]


def plain_source() -> MemorySource:
    """Releases of which nothing but the manifests is known."""
    return MemorySource(OLD, NEW, NEWER, TWINS, OTHER)


def guided_source() -> MemorySource:
    """Releases with guides, so that files are built from blocks."""
    source = MemorySource(OTHER)
    offer(source, BY_BLOCKS_OLD, guide_to(BY_BLOCKS_OLD))
    offer(source, BY_BLOCKS_NEW, guide_to(BY_BLOCKS_NEW))
    offer(source, BY_BLOCKS_NEW, guide_to(BY_BLOCKS_NEW, BY_BLOCKS_OLD), BY_BLOCKS_OLD)
    return source


def tight_source() -> MemorySource:
    """Releases of a model whose blocks change places."""
    source = MemorySource(OTHER)
    offer(source, TIGHT_OLD, guide_to(TIGHT_OLD))
    offer(source, TIGHT_NEW, guide_to(TIGHT_NEW))
    offer(source, TIGHT_NEW, guide_to(TIGHT_NEW, TIGHT_OLD), TIGHT_OLD)
    return source


def pinned(updater: DeltaUpdater, source: MemorySource) -> object:
    """Releases are signed, and this machine believes the root of who did."""
    shelf = _shelf(updater)
    shelf.publish(OLD, NEW)
    shelf.pin(updater.root.path)
    source.metadata = shelf.files()
    return None


def root_rotated(updater: DeltaUpdater, source: MemorySource) -> object:
    """The root is the next one, and the timestamp with it."""
    shelf = _shelf(updater)
    shelf.rotate_root(lambda _root: None)
    shelf.point()
    source.metadata = shelf.files()
    return None


def _shelf(updater: DeltaUpdater) -> SignedShelf:
    from bitstation.testing.signed import SignedShelf

    return SignedShelf(updater.root.path.parent / SHELF)


def source_of(scene: Scene, folder: Path) -> MemorySource:
    """Source of a scene that is played in a folder, with the metadata that were signed there."""
    source = scene.make_source()
    signed = folder / SHELF / "metadata"
    if signed.is_dir():
        source.metadata = {path.name: path.read_bytes() for path in signed.glob("*.json")}
    return source


class Scene(NamedTuple):
    """``before`` was done in peace, ``act`` is stopped; ``goal`` must then be reachable.

    ``again`` is how the command is given once more, where not by the same act.
    """

    name: str
    before: tuple[Act, ...]
    act: Act
    goal: Release
    allowed: tuple[Release, ...]
    may_be_absent: bool = False
    """Whether no release may be current after the stop."""
    make_source: Callable[[], MemorySource] = plain_source
    again: Act | None = None
    options: Options = Options(allow_unsigned=True, allow_downgrade=True)
    is_damaged: bool = False
    """Whether the release is not whole before the act."""
    is_busy: bool = False
    """Whether folders cannot be renamed, as on Windows while a program looks into them."""


def update_to(release: Release) -> Act:
    """Act that updates to a release."""
    return lambda updater, source: updater.update(source, release.version)


def without_room(updater: DeltaUpdater, source: MemorySource) -> object:
    """The installed release is given up for one that there is no room for beside it."""
    with mock.patch.object(fit, "free_bytes", return_value=_TIGHT_BYTES):
        return updater.update(source, TIGHT_NEW.release.version)


def keeping_more(release: Release) -> Act:
    """Act that updates to a release and keeps more of the earlier ones than is usual."""

    def act(updater: DeltaUpdater, source: MemorySource) -> object:
        patient = DeltaUpdater(
            updater.tree.path, disk=QuickDisk(), options=Options(allow_unsigned=True, keep=5)
        )
        return patient.update(source, release.version)

    return act


def rolled_back(updater: DeltaUpdater, source: MemorySource) -> object:
    """The release before is made current."""
    return updater.rollback()


def rolled_back_to_old(updater: DeltaUpdater, source: MemorySource) -> object:
    """The old release is made current, whichever is."""
    return updater.rollback(OLD.version)


def repaired(updater: DeltaUpdater, source: MemorySource) -> object:
    """What is damaged is mended."""
    return updater.repair(source, deep=True)


def collected(updater: DeltaUpdater, source: MemorySource) -> object:
    """What no kept release needs is removed."""
    updater.gc()
    return None


def uninstalled(updater: DeltaUpdater, source: MemorySource) -> object:
    """The tool is removed."""
    updater.uninstall()
    return None


def uninstalled_if_there(updater: DeltaUpdater, source: MemorySource) -> object:
    """The tool is removed, unless it already was."""
    with contextlib.suppress(NoInstallation):
        updater.uninstall()
    return None


def used(updater: DeltaUpdater, source: MemorySource) -> object:
    """A user leaves files in the active release, and data in the protected folders."""
    version = updater.tree.current_version() or ""
    folder = updater.tree.release(version)
    (folder / "mine.local").write_bytes(b"carried along")
    (folder / "src/notes.txt").write_bytes(b"set aside of " + version.encode())
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
    Scene(
        "update of a file with a twin",
        (update_to(OLD),),
        update_to(TWINS),
        TWINS,
        (OLD, TWINS),
    ),
    Scene(
        "rollback",
        (update_to(OLD), update_to(NEW), used),
        rolled_back,
        OLD,
        (OLD, NEW),
        again=rolled_back_to_old,
    ),
    Scene(
        "update to a kept release",
        (update_to(OLD), update_to(NEW), rolled_back, used),
        update_to(NEW),
        NEW,
        (OLD, NEW),
    ),
    Scene("collection", (update_to(OLD), interrupted), collected, OLD, (OLD,)),
    Scene(
        "collection of a release",
        (update_to(OLD), used, update_to(NEW), used, keeping_more(NEWER)),
        collected,
        NEWER,
        (NEWER,),
    ),
    Scene(
        "uninstall",
        (update_to(OLD), update_to(NEW), used),
        uninstalled,
        NEW,
        (NEW,),
        may_be_absent=True,
        again=uninstalled_if_there,
    ),
]
"""At any moment of these a whole release is current, or none as before."""
IN_PLACE = Scene(
    "update in place",
    (update_to(TIGHT_OLD.release), used),
    without_room,
    TIGHT_NEW.release,
    (TIGHT_OLD.release, TIGHT_NEW.release),
    may_be_absent=True,
    make_source=tight_source,
    options=Options(allow_unsigned=True, in_place=True),
)
ROTATION = Scene(
    "update under a new root",
    (pinned, update_to(OLD), root_rotated),
    update_to(NEW),
    NEW,
    (OLD, NEW),
)
REPAIR = Scene(
    "repair",
    (update_to(OLD), update_to(NEW), damaged),
    repaired,
    NEW,
    (NEW,),
    is_damaged=True,
)
BUSY = next(scene for scene in SCENES if scene.name == "update")._replace(
    name="update, files moved one by one", is_busy=True
)
ALL_SCENES = {scene.name: scene for scene in (*SCENES, BUSY, IN_PLACE, ROTATION, REPAIR)}
"""By name."""
