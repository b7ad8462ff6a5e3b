"""A package is good when it installs: tried with the real engine before it gets its name.

The one module of the publisher that knows the worker.
"""

from __future__ import annotations

from pathlib import Path

from bitstation.core.events import Event, TransferProgress
from bitstation.core.manifest import Manifest
from bitstation.errors import PackageInvalid
from bitstation.storage.durable import Disk
from bitstation.storage.hashing import OnBytes, Stop
from bitstation.worker.updater import DeltaUpdater


def prove_package(
    package: Path,
    manifest: Manifest,
    root: Path,
    *,
    on_bytes: OnBytes | None = None,
    stop: Stop | None = None,
) -> None:
    """Install a package into a tools root of its own and prove what stands there; then remove it.

    ``root`` is an absent folder on a volume with room for the release. Raises BitStationError.
    Cost: the release is written once, and hashed while it is written.
    """
    listeners = (_Counter(on_bytes),) if on_bytes else ()
    try:
        updater = DeltaUpdater(root / manifest.tool_id, listeners=listeners, stop=stop)
        stats = updater.update_from_zip(package, manifest)
        if stats.files_verified != len(manifest.entries):
            raise PackageInvalid(
                package=str(package),
                detail=f"{stats.files_verified} of {len(manifest.entries)} files were verified",
            )
    finally:
        Disk().remove_tree(root)


class _Counter:
    """Turns the engine's running totals into counts of new bytes."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._done_bytes = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, TransferProgress):
            self._on_bytes(max(0, event.done_bytes - self._done_bytes))
            self._done_bytes = event.done_bytes
