"""G: real software and its next version, from the wheels of three packages; kept in the cache."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import Missing

if TYPE_CHECKING:
    from corpus.__main__ import Order

_OLD = (("onnxruntime", "1.31.1"), ("pyarrow", "26.0.0"), ("numpy", "2.4.5"))
_NEW = (("onnxruntime", "1.32.0"), ("pyarrow", "26.0.1"), ("numpy", "2.4.6"))
# The same bytes on every machine that runs the bench.
_TARGET = ("--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_27_x86_64",
           "--python-version=3.11", "--no-deps", "--only-binary=:all:")  # fmt: skip


def next_version(order: Order) -> None:
    """G: two of three packages are nearly the same again, one is a new minor version."""
    for side, packages in ((order.old, _OLD), (order.new, _NEW)):
        for name, version in packages:
            with zipfile.ZipFile(wheel(order.cache, name, version)) as file:
                file.extractall(side / "site-packages")


def wheel(cache: Path, name: str, version: str) -> Path:
    """The wheel of a package, downloaded by pip at the first time. Raises Missing."""
    folder = cache / "downloads" / f"{name}=={version}"
    if not list(folder.glob("*.whl")):
        words = [*_pip(), "download", "-q", *_TARGET, "-d", str(folder), f"{name}=={version}"]
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=None, check=False)
        if done.returncode:
            raise Missing(f"pip cannot download {name} {version}")
    return next(folder.glob("*.whl"))


def _pip() -> list[str]:
    """pip; where this environment was made without, that of the Python it was made from."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return [getattr(sys, "_base_executable", sys.executable), "-m", "pip"]
