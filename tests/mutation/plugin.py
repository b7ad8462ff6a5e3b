"""pytest plugin: one module of the product is loaded as one of its mutants.

``BITSTATION_MUTANT`` names the module and the file that holds the mutant's source:
``bitstation.core.relpath=FILE``. The product on the disk stays as it is.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType, ModuleType

from hypothesis import Phase, settings


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Path) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutant.read_text("utf-8"), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, module: str, mutant: Path) -> None:
        self._module = module
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert found is not None
        assert found.origin is not None
        found.loader = _Loader(fullname, found.origin, self._mutant)
        return found


if named := os.environ.get("BITSTATION_MUTANT"):
    _module, _, _path = named.partition("=")
    assert _module not in sys.modules, "the mutant comes too late"
    sys.meta_path.insert(0, _Finder(_module, Path(_path)))


def pytest_sessionstart() -> None:
    """Found is enough: no example is made smaller or remembered, and each run draws the same."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile(
        "mutation", deadline=None, database=None, derandomize=True, phases=phases
    )
    settings.load_profile("mutation")
