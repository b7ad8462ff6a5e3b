"""What attacks on trust share: releases, and how a worker with a pinned root must answer."""

from __future__ import annotations

import json

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.testing.invariants import Invariants
from bitstation.testing.lies.releases import EVIL, NEW, OLD
from bitstation.testing.releases import TOOL_ID, Release
from bitstation.transport.source import Source
from bitstation.trust.pins import Pins

__all__ = ["EVIL", "NEW", "OLD", "accepted", "refused", "sees"]


def refused(
    worker: DeltaUpdater, source: Source, code: str, version: str | None = "1.1.0"
) -> BitStationError:
    """The update is refused, and what was there is there as it was."""
    invariants = Invariants(worker.root.path)
    pins = Pins(worker.root.pins).load()
    with pytest.raises(BitStationError) as caught:
        worker.update(source, version)
    assert caught.value.code == code, caught.value
    invariants.check(TOOL_ID, OLD.manifest)
    kept = Pins(worker.root.pins).load()
    assert pins is not None
    assert kept is not None
    assert _versions(kept.timestamp) >= _versions(pins.timestamp)
    return caught.value


def _versions(data: bytes) -> int:
    return int(json.loads(data)["signed"]["version"])


def accepted(worker: DeltaUpdater, source: Source, release: Release = NEW) -> None:
    worker.update(source, release.version)
    Invariants(worker.root.path).check(TOOL_ID, release.manifest)


def sees(worker: DeltaUpdater, source: Source) -> None:
    """The worker learns what a source shows, and installs nothing."""
    with pytest.raises(BitStationError):
        worker.update(source, "9.9.9")
