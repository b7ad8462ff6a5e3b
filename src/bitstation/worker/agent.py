"""``PCWorker``: all tools of one machine, kept at what HQ requires."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bitstation.core.eligibility import Eligibility, Reason
from bitstation.core.events import Listener
from bitstation.core.stats import UpdateStats
from bitstation.core.wire import DEFAULT_CHANNEL, Requirement
from bitstation.errors import BitStationError, UpdateCancelled
from bitstation.storage.tree import ToolsRoot
from bitstation.transport.hq import HqClient, HqSource
from bitstation.worker.run import Options
from bitstation.worker.updater import DeltaUpdater


class Standing(msgspec.Struct, frozen=True):
    """How one tool of this machine stands against what HQ requires."""

    requirement: Requirement
    eligibility: Eligibility
    reasons: tuple[Reason, ...]
    installed: str | None


class PCWorker:
    """A machine with several tools and the HQ it listens to.

    Raises, from every method, SourceError when HQ cannot be reached.
    """

    def __init__(
        self,
        tools_root: Path | str,
        hq: str,
        *,
        channel: str = DEFAULT_CHANNEL,
        listeners: tuple[Listener, ...] = (),
        options: Options | None = None,
    ) -> None:
        self.root = ToolsRoot(Path(tools_root))
        self._client = HqClient(hq)
        self._source = HqSource(self._client, channel)
        self._channel = channel
        self._listeners = listeners
        self._options = options

    def __enter__(self) -> PCWorker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def requirements(self) -> list[Requirement]:
        """What HQ requires of this channel's workers now."""
        return self._client.requirements(self._channel)

    def standing(self) -> list[Standing]:
        """Eligibility of this machine for each required tool, from what lies on its disk."""
        return [self._stand(requirement) for requirement in self.requirements()]

    def update_all(self) -> list[UpdateStats]:
        """Bring every required tool to exactly the required release; others stay as they are.

        A tool that fails does not keep the others from theirs: the first failure is raised when
        all were tried. UpdateCancelled ends it at once.
        """
        done: list[UpdateStats] = []
        failures: list[BitStationError] = []
        for row in self.requirements():
            try:
                done.append(self.updater(row.tool_id).update(self._source, row.version))
            except UpdateCancelled:
                raise
            except BitStationError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return done

    def updater(self, tool_id: str) -> DeltaUpdater:
        """Engine for one tool of this machine."""
        tree = self.root.tool(tool_id)
        return DeltaUpdater(tree.path, listeners=self._listeners, options=self._options)

    def _stand(self, requirement: Requirement) -> Standing:
        updater = self.updater(requirement.tool_id)
        answer, reasons = updater.explain_eligibility(
            requirement.version, requirement.manifest_hash
        )
        return Standing(requirement, answer, reasons, updater.tree.current_version())
