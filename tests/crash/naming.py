"""The named crash points as parameters that bear their names."""

from __future__ import annotations

from typing import Any

import pytest

from bitstation.testing.crash_points import POINTS


def existing_points() -> list[Any]:
    return [
        pytest.param(name, id=f"{name}_{point.name.replace(' ', '_')}")
        for name, point in POINTS.items()
        if point.exists
    ]
