"""A release that nobody signed: sound in itself, with another's signed metadata beside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bitstation.publisher.cache import open_ledger
from bitstation.publisher.manifest import MakingOptions, make_manifest, save_manifest
from bitstation.publisher.validate import check_tools
from bitstation.storage.durable import Disk


def write_forgery(tool: Path, folder: Path, version: str) -> Path:
    """A copy of a tool folder whose scripts do something else, under a version; with a manifest.

    Every hash in it is right: only a signature can tell that its publisher did not make it.
    """
    shutil.copytree(tool, folder, ignore=shutil.ignore_patterns("*.gguf", "*.safetensors"))
    described = json.loads((folder / "tool.json").read_text("utf-8"))
    (folder / "tool.json").write_text(json.dumps({**described, "version": version}), "utf-8")
    for script in folder.rglob("*.py"):
        script.write_bytes(b"print('whatever its author likes')\n")
    ledger = open_ledger()
    try:
        (checked,) = check_tools([folder], ledger)
        save_manifest(checked, make_manifest(checked, MakingOptions()), Disk())
    finally:
        ledger.close()
    return folder
