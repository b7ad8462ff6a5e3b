"""A tools root on which a scene is played, stopped, and held to what must be true."""

from __future__ import annotations

from pathlib import Path

from bitstation import DeltaUpdater, Eligibility
from bitstation.storage.durable import Disk
from bitstation.testing.faulty_disk import QuickDisk
from bitstation.testing.invariants import Invariants, wrong_files
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import OTHER, OTHER_ID, Scene


class Stage:
    """A tools root with two tools that share a model, brought to where a scene begins."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.scene = scene
        self.folder = folder
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

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.updater().root.ledger

    def updater(self, disk: Disk | None = None, *, tool_id: str = TOOL_ID) -> DeltaUpdater:
        """Engine of a tool of the stage."""
        options = self.scene.options
        return DeltaUpdater(self.root / tool_id, disk=disk or QuickDisk(), options=options)

    def act(self, disk: Disk) -> object:
        """Do what the scene is about."""
        return self.scene.act(self.updater(disk), self.source)

    def act_again(self, disk: Disk | None = None) -> object:
        """Give the same command once more."""
        return (self.scene.again or self.scene.act)(self.updater(disk), self.source)

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
