"""Tool folders for tests of the publisher."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitstation.publisher.cache import open_ledger
from bitstation.publisher.manifest import MakingOptions
from bitstation.publisher.pack import PackedRelease, Packing, PackOptions, plan_pack
from bitstation.publisher.progress import silent
from bitstation.publisher.validate import CheckedTool, check_tools

MOMENT = "2026-02-28T12:00:00.000000+00:00"
MAKING = MakingOptions(created_at=MOMENT)
FILES = {
    "main.py": b"print('hello')\n",
    "runner/run.ps1": b"exit 0\n",
    "runner/run.sh": b"#!/bin/sh\nexit 0\n",
    "models/m.bin": bytes(range(256)) * 2000,
    "docs/\u00e9t\u00e9 caf\u00e9.md": "\u00e9t\u00e9\n".encode(),
}


def tool_document(**changes: Any) -> dict[str, Any]:
    """A tool.json; a field set to None is left out."""
    document = {
        "tool_id": "sample",
        "name": "Sample",
        "version": "1.0.0",
        "platforms": ["windows", "linux"],
        "entrypoint_windows": "runner/run.ps1",
        "io_schema": {"input": {}, "output": {}},
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def write_tool(folder: Path, files: Mapping[str, bytes] = FILES, **changes: Any) -> Path:
    """Write a tool folder; gives the folder."""
    document = json.dumps(tool_document(**changes), ensure_ascii=False)
    for name, data in {**files, "tool.json": document.encode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@contextmanager
def checked(*folders: Path) -> Iterator[list[CheckedTool]]:
    """Folders checked with the ledger of this test."""
    ledger = open_ledger()
    try:
        yield check_tools(folders, ledger)
    finally:
        ledger.close()


def faults_of(folder: Path) -> str:
    """All that is wrong with a folder, in one text."""
    with checked(folder) as (tool,):
        return "; ".join(tool.faults)


def pack(
    out: Path, *folders: Path, making: MakingOptions = MAKING, **options: Any
) -> list[PackedRelease]:
    """Pack tool folders."""
    ledger = open_ledger()
    try:
        chosen = PackOptions(out, **options)
        plans = plan_pack(check_tools(folders, ledger), chosen, making)
        return Packing(chosen, ledger, silent).pack(plans)[0]
    finally:
        ledger.close()
