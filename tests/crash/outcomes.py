"""How a run under a fault may end, and what must hold then."""

from __future__ import annotations

from bitstation import BitStationError, Eligibility
from bitstation.storage.durable import Disk
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scenes import REPAIR
from bitstation.testing.stage import Stage


def error_of(stage: Stage, disk: Disk) -> BitStationError | None:
    """Do what the scene is about: the typed error that it ended with, None where it succeeded."""
    try:
        stage.act(disk)
    except BitStationError as error:
        return error
    return None


def holds(stage: Stage, error: BitStationError | None) -> None:
    """The earlier or the new release is current, proved, and a run in peace reaches the goal."""
    if stage.scene is not REPAIR:
        stage.check()
        assert _is_proved(stage), "a file that is whole was un-proved"
    stage.reach_goal()
    if error is not None:
        stage.check()


def _is_proved(stage: Stage) -> bool:
    """Say whether what is active is eligible without any further work."""
    updater = stage.updater()
    version = updater.tree.current_version()
    manifest = updater.tree.manifest(version) if version else None
    if manifest is None:
        return stage.scene.may_be_absent
    answer = updater.get_network_eligibility(manifest.tool_version, manifest.manifest_hash)
    assert updater.tree.tool_id == TOOL_ID
    return answer == Eligibility.ELIGIBLE
