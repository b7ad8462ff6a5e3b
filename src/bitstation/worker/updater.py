"""``DeltaUpdater``: the engine for one tool, as programs use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bitstation.core.eligibility import Eligibility, Reason
from bitstation.core.events import Listener, RunStarted
from bitstation.core.manifest import Manifest, manifest_from
from bitstation.core.plan import Plan
from bitstation.core.stats import UpdateStats
from bitstation.errors import NoInstallation
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import Stop
from bitstation.storage.tree import ToolsRoot
from bitstation.transport.open import open_source
from bitstation.transport.source import Source
from bitstation.worker.history import HistoryRecord, append_history, read_history
from bitstation.worker.recover import recover
from bitstation.worker.remove import collect_garbage, uninstall
from bitstation.worker.repair import repair
from bitstation.worker.rollback import rollback
from bitstation.worker.run import Options, Run, open_run
from bitstation.worker.stage import make_plan
from bitstation.worker.status import network_eligibility
from bitstation.worker.update import authority_of, current_manifest, end, resolve, update
from bitstation.worker.verify import Verdict, verify_folder

AnySource = Source | str | Path
T = TypeVar("T")


class DeltaUpdater:
    """Installs, updates, proves and rolls back one tool at ``{tools_root}/{tool_id}``.

    ``listeners`` receive every event. All methods may be called again after any failure or kill;
    none prints. A source is a ``Source``, the address of an HQ or static mirror, a folder (a
    release or a mirror), a ZIP or a bundle (or its first part).
    """

    def __init__(
        self,
        tool_root: Path | str,
        *,
        listeners: tuple[Listener, ...] = (),
        options: Options | None = None,
        disk: Disk | None = None,
        stop: Stop | None = None,
    ) -> None:
        path = Path(tool_root).absolute()
        self.root = ToolsRoot(path.parent)
        self.tree = self.root.tool(path.name)
        self._listeners = listeners
        self._options = options or Options()
        self._disk = disk
        self._stop = stop

    def update(self, source: AnySource, version: str | None = None) -> UpdateStats:
        """Bring the tool to a version; without one to what HQ requires, else the latest.

        Raises BitStationError; then the earlier release is still current.
        """
        return self._with(source, lambda run, opened: update(run, opened, version))

    def update_from_zip(
        self, zip_path: Path | str, manifest: Manifest | Mapping[str, Any] | None = None
    ) -> UpdateStats:
        """Install the release of a package; its manifest must be the given one.

        Raises BitStationError; then the earlier release is still current.
        """
        if manifest is None:
            return self.update(Path(zip_path))
        given = manifest if isinstance(manifest, Manifest) else manifest_from(manifest)
        return self._with(
            Path(zip_path),
            lambda run, opened: update(
                run, opened, given.tool_version, expected_hash=given.manifest_hash
            ),
        )

    def plan(self, source: AnySource, version: str | None = None) -> Plan:
        """What ``update`` would do, without doing it; local files may be hashed to know."""

        def compute(run: Run, opened: Source) -> Plan:
            base = current_manifest(run)
            target = resolve(run, opened, base, version, authority_of(run, opened))
            return make_plan(run, base, target, opened)[0]

        return self._with(source, compute)

    def rollback(self, to: str | None = None) -> UpdateStats:
        """Make a kept release current again; downloads nothing. Raises NoSuchRelease."""
        with self._installed() as run:
            return rollback(run, to)

    def repair(self, source: AnySource, *, deep: bool = False) -> UpdateStats:
        """Fetch what is damaged in the active release; ``deep`` reads every byte to find it."""
        self._check_installed()
        return self._with(source, lambda run, opened: repair(run, opened, deep=deep))

    def verify(self, *, deep: bool = False, record: bool = True) -> Verdict:
        """Prove the active release: what changed since its proof is hashed, with ``deep`` all.

        ``record``: the history tells of it. Raises NoInstallation.
        """
        with self._installed() as run:
            recover(run)
            manifest = current_manifest(run)
            if manifest is None:
                raise NoInstallation(tool_id=run.tree.tool_id, root=str(run.root.path))
            run.emit(
                RunStarted,
                command="verify",
                from_version=manifest.tool_version,
                to_version=manifest.tool_version,
                manifest_hash=manifest.manifest_hash,
            )
            folder = run.tree.release(manifest.tool_version)
            verdict = verify_folder(run, folder, manifest, deep=deep)
            if record and not verdict.damaged:
                append_history(run, "verify")
            end(run, "release-damaged" if verdict.damaged else "done")
            return verdict

    def history(self) -> list[HistoryRecord]:
        """What was done to the tool, oldest first."""
        return read_history(self.tree)

    def gc(self) -> None:
        """Remove what no kept release needs."""
        with self._run() as run:
            collect_garbage(run)

    def uninstall(self) -> None:
        """Remove every release; venv, cache, user_data and logs stay. Raises NoInstallation."""
        with self._installed() as run:
            uninstall(run)

    def get_network_eligibility(self, required_version: str, required_hash: str) -> Eligibility:
        """ELIGIBLE, OUTDATED or NO_INSTALLATION, from what lies on the disk now."""
        return self.explain_eligibility(required_version, required_hash)[0]

    def explain_eligibility(
        self, required_version: str, required_hash: str
    ) -> tuple[Eligibility, tuple[Reason, ...]]:
        """The answer and its reasons."""
        return network_eligibility(self.root, self.tree.tool_id, required_version, required_hash)

    @contextmanager
    def _installed(self) -> Iterator[Run]:
        self._check_installed()
        with self._run() as run:
            yield run

    def _check_installed(self) -> None:
        """Refuse before anything is created for a tool that is not there. Raises NoInstallation."""
        if not self.tree.releases.is_dir():
            raise NoInstallation(tool_id=self.tree.tool_id, root=str(self.root.path))

    @contextmanager
    def _run(self) -> Iterator[Run]:
        with open_run(
            self.root,
            self.tree.tool_id,
            listeners=self._listeners,
            disk=self._disk,
            stop=self._stop,
            options=self._options,
        ) as run:
            yield run

    def _with(self, source: AnySource, action: Callable[[Run, Source], T]) -> T:
        opened = source if isinstance(source, Source) else open_source(source)
        try:
            with self._run() as run:
                return action(run, opened)
        finally:
            if opened is not source:
                opened.close()
