"""BitStation: differential releases of AI tools for fleets of GPU PCs.

The public names load on first use, so that ``import bitstation`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitstation.core.eligibility import Eligibility
    from bitstation.core.manifest import Manifest, parse_manifest
    from bitstation.core.plan import Plan
    from bitstation.core.stats import UpdateStats
    from bitstation.errors import BitStationError
    from bitstation.worker.agent import PCWorker
    from bitstation.worker.updater import DeltaUpdater

__version__ = "0.1.0"

_HOMES = {
    "BitStationError": "bitstation.errors",
    "DeltaUpdater": "bitstation.worker.updater",
    "Eligibility": "bitstation.core.eligibility",
    "Manifest": "bitstation.core.manifest",
    "PCWorker": "bitstation.worker.agent",
    "Plan": "bitstation.core.plan",
    "UpdateStats": "bitstation.core.stats",
    "parse_manifest": "bitstation.core.manifest",
}

__all__ = [
    "BitStationError",
    "DeltaUpdater",
    "Eligibility",
    "Manifest",
    "PCWorker",
    "Plan",
    "UpdateStats",
    "__version__",
    "parse_manifest",
]


def __getattr__(name: str) -> object:
    """Import a public name from its home module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bitstation' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
