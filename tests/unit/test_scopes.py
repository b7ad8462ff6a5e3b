"""Who owns a file of a tool folder: one function for manifest, package and updater."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstation.core.scopes import Scope, scope_of

RELEASE = [
    "main.py",
    "models/any.gguf",
    "models/any.safetensors",
    "weights.bin",
    "a.pth",
    "a.ckpt",
    "src/venv/x.py",
    "src/cache/x.py",
    "src/logs/x.py",
    "src/output/x.png",
    "src/user_data/x",
    "sub/manifest.json",
    "venv",
    "cache",
    "output",
    "temp/x",
    "test_output.json",
    "config.local",
    "log",
    "a.logs",
    "x.env",
    ".envrc",
    ".github/workflows/ci.yml",
    ".gitignore",
    "git/x",
]
RUNTIME = [
    "venv/bin/python",
    ".venv/x",
    ".VENV/x",
    "Cache/x",
    "logs/x",
    "__pycache__/x.py",
    "a/__pycache__/b",
    "a/node_modules/b/c.js",
    "x.pyc",
    "a/b.PYC",
    "run.log",
    "a/b/run.log",
]
USER = [
    "user_data/x",
    "output/x.png",
    "Uploads/x",
    ".env",
    "a/.env",
    "config.local.json",
    "a/config.local.x",
]
LITTER = [".git/config", "a/.git", "a/.svn/x", ".DS_Store", "a/Thumbs.db", "desktop.ini",
          "__MACOSX/x", "._x", "a.bitstation-tmp"]  # fmt: skip

CASES = [
    (scope, path)
    for scope, paths in (
        (Scope.RELEASE, RELEASE),
        (Scope.RUNTIME, RUNTIME),
        (Scope.USER, USER),
        (Scope.LITTER, LITTER),
        (Scope.MANIFEST, ["manifest.json", "MANIFEST.json"]),
    )
    for path in paths
]


@pytest.mark.parametrize(("scope", "path"), CASES)
def test_a_path_belongs_to_its_scope(scope: Scope, path: str) -> None:
    found, rule = scope_of(path)
    assert found is scope
    assert bool(rule) == (scope is not Scope.RELEASE)


@given(st.text("abc/.", max_size=20))
def test_case_changes_nothing(path: str) -> None:
    assert scope_of(path.upper()) == scope_of(path)


@given(st.sampled_from(["venv", "cache", "user_data", "output"]), st.text("ab", min_size=1))
def test_folders_that_count_at_the_top_count_there_only(folder: str, name: str) -> None:
    assert scope_of(f"{folder}/{name}")[0] is not Scope.RELEASE
    assert scope_of(f"x/{folder}/{name}")[0] is Scope.RELEASE
