"""Is a folder a tool that can be released? Every fault is named at once; warnings stop nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from bitstation.core.relpath import fold_key
from bitstation.core.toolfile import (
    MAX_TOOL_FILE_BYTES,
    TOOL_FILE_NAME,
    ToolFile,
    parse_tool_file,
)
from bitstation.errors import ToolFolderInvalid
from bitstation.publisher.lock import LockedModel, load_lock
from bitstation.publisher.maps import MapCache
from bitstation.publisher.progress import Progress, prove_shown, silent
from bitstation.publisher.scan import Inventory, scan_tool
from bitstation.publisher.text import files_with_crlf
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.hashing import Stop
from bitstation.storage.ledger import Ledger
from bitstation.storage.proving import Proof


class CheckedTool(msgspec.Struct, frozen=True):
    """A tool folder and all there is to say of it. ``proofs`` stand in the order of the files."""

    inventory: Inventory
    tool: ToolFile | None
    models: tuple[LockedModel, ...]
    proofs: tuple[Proof, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What people call it: its id, or its folder where it has none."""
        return self.tool.tool_id if self.tool else self.inventory.root.name


def check_tools(
    folders: Sequence[Path],
    ledger: Ledger,
    *,
    progress: Progress = silent,
    stop: Stop | None = None,
) -> list[CheckedTool]:
    """Check tool folders, alone and against each other.

    Raises StoreError, UpdateCancelled. Cost: a stat a file, one read of each file
    that the ledger does not prove, and the first 64 KiB of each text file. That read maps models.
    """
    checked = [_checked(folder, ledger, progress, stop) for folder in folders]
    return [_with_twins(tool, checked) for tool in checked]


def raise_faults(tools: Sequence[CheckedTool]) -> None:
    """Raise ToolFolderInvalid with the faults of all tools, when there are any."""
    faulty = [tool for tool in tools if tool.faults]
    if len(faulty) == 1:
        raise ToolFolderInvalid.of(str(faulty[0].inventory.root), list(faulty[0].faults))
    if faulty:
        named = [f"{tool.name}: {fault}" for tool in faulty for fault in tool.faults]
        raise ToolFolderInvalid.of(", ".join(tool.name for tool in faulty), named)


def _checked(folder: Path, ledger: Ledger, progress: Progress, stop: Stop | None) -> CheckedTool:
    inventory = scan_tool(folder)
    faults = list(inventory.faults)
    tool: ToolFile | None = None
    models: tuple[LockedModel, ...] = ()
    try:
        tool = _load_tool_file(inventory)
    except ToolFolderInvalid as error:
        faults += [f"{TOOL_FILE_NAME}: {fault}" for fault in error.faults]
    try:
        models = load_lock(inventory.root)
    except ToolFolderInvalid as error:
        faults += [f"models.lock.json: {fault}" for fault in error.faults]
    if not set(inventory.paths) - {TOOL_FILE_NAME}:
        faults.append("the release is empty: there is no file to ship")
    with disk_errors(inventory.root):
        files = [found.file for found in inventory.files]
        maps = MapCache(Disk())
        maps.map_new(files, ledger, partial(progress, "map", inventory.root.name), stop)
        proofs = prove_shown(files, ledger, inventory.root.name, progress, stop)
    faults += [
        f"{path!r} vanished or changed while it was read"
        for path, proof in zip(inventory.paths, proofs, strict=True)
        if proof.digest is None
    ]
    if tool:
        faults += _missing_files(tool, inventory)
    faults += _model_faults(models, inventory, proofs)
    return CheckedTool(
        inventory=inventory,
        tool=tool,
        models=models,
        proofs=tuple(proofs),
        faults=tuple(faults),
        warnings=tuple(_warnings(tool, inventory)),
    )


def _load_tool_file(inventory: Inventory) -> ToolFile:
    file = inventory.root / TOOL_FILE_NAME
    try:
        with file.open("rb") as reader:
            data = reader.read(MAX_TOOL_FILE_BYTES + 1)
    except OSError as error:
        raise ToolFolderInvalid.of(str(file), [f"cannot be read: {error.strerror}"]) from error
    return parse_tool_file(data, what=str(file))


def _missing_files(tool: ToolFile, inventory: Inventory) -> list[str]:
    here = {fold_key(path): path for path in inventory.paths}
    faults = []
    for field, path in tool.named_files():
        twin = here.get(fold_key(path))
        if twin is None:
            faults.append(f"{field} {path!r} is not in the release")
        elif twin != path:
            faults.append(f"{field} {path!r} is spelt {twin!r} in the release")
    has_pages = any(path.startswith("frontend/") for path in inventory.paths)
    if tool.has_frontend and not has_pages:
        faults.append("has_frontend is true, but there is no file in frontend/")
    return faults


def _model_faults(
    models: Sequence[LockedModel], inventory: Inventory, proofs: Sequence[Proof]
) -> list[str]:
    here = dict(zip(inventory.paths, zip(inventory.files, proofs, strict=True), strict=True))
    faults = []
    for model in models:
        if model.path not in here:
            faults.append(f"locked model {model.path!r} is missing: bitstation models fetch")
            continue
        found, proof = here[model.path]
        if found.size != model.size:
            faults.append(
                f"locked model {model.path!r} has {found.size} bytes, its lock says {model.size}"
            )
        elif proof.digest != model.sha256:
            faults.append(
                f"locked model {model.path!r} has SHA-256 {proof.digest}, "
                f"its lock says {model.sha256}"
            )
    return faults


def _warnings(tool: ToolFile | None, inventory: Inventory) -> list[str]:
    warnings = []
    if tool and tool.tool_id != inventory.root.name:
        warnings.append(f"the folder is called {inventory.root.name!r}, the tool {tool.tool_id!r}")
    if paths := files_with_crlf(inventory.files):
        shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
        warnings.append(
            f"{len(paths)} text files have CR LF line ends ({shown}): they ship as they are, "
            "but a checkout that changes them is another release"
        )
    return warnings


def _with_twins(tool: CheckedTool, others: Sequence[CheckedTool]) -> CheckedTool:
    twins = [
        str(other.inventory.root)
        for other in others
        if other is not tool and tool.tool and other.tool and other.name == tool.name
    ]
    if not twins:
        return tool
    fault = f"tool_id {tool.name!r} is that of {', '.join(twins)} too"
    return msgspec.structs.replace(tool, faults=(*tool.faults, fault))
