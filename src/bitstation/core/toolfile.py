"""tool.json: what a publisher says of a tool; the manifest repeats what workers need."""

from __future__ import annotations

import re

import msgspec

from bitstation.core.canonical import JsonFault, JsonValue, canonical_bytes, parse_json
from bitstation.core.extras import EXTRA_NAMES, Extras, extras_faults, type_faults
from bitstation.core.manifest import DEFAULT_IGNORE_GLOBS, DELETE_POLICIES
from bitstation.core.names import tool_id_fault, version_fault
from bitstation.core.relpath import path_fault
from bitstation.errors import ToolFolderInvalid

TOOL_FILE_NAME = "tool.json"
MAX_TOOL_FILE_BYTES = 1024 * 1024
MAX_HEALTH_TIMEOUT_S = 3600
PLATFORM_PATTERN = r"^[a-z0-9_-]{1,32}$"
NAME_PATTERN = r"[^ \t\r\n]"

_PLATFORM = re.compile(PLATFORM_PATTERN[1:-1] + r"\Z", re.ASCII)


class IoSchema(msgspec.Struct, frozen=True):
    """JSON Schemas of what the runner reads and writes."""

    input: dict[str, object]
    output: dict[str, object]


class HealthCheck(msgspec.Struct, frozen=True):
    """Command that tells whether the tool works, and how long it may take (seconds)."""

    command: tuple[str, ...]
    timeout_s: int


class ToolFile(Extras, frozen=True, kw_only=True):
    """A checked tool.json; ``document`` is the whole object, unknown fields included."""

    tool_id: str
    name: str
    version: str
    platforms: tuple[str, ...]
    entrypoint_windows: str
    io_schema: IoSchema
    category: str | None = None
    needs_models: bool = False
    supports_gpu_persistence: bool = False
    has_frontend: bool = False
    entrypoint_posix: str | None = None
    executables: tuple[str, ...] = ()
    health_check: HealthCheck | None = None
    delete_policy: str = "safe"
    ignore_globs: tuple[str, ...] = DEFAULT_IGNORE_GLOBS
    document: dict[str, object] = msgspec.field(default_factory=dict)

    def manifest_fields(self) -> dict[str, JsonValue]:
        """Fields that the manifest repeats, in the order in which it states them."""
        fields: dict[str, JsonValue] = {
            "delete_policy": self.delete_policy,
            "ignore_globs": list(self.ignore_globs),
        }
        for name in EXTRA_NAMES:
            value = self.document.get(name)
            if value is not None:
                fields[name] = value  # type: ignore[assignment]
        return fields

    def named_files(self) -> list[tuple[str, str]]:
        """(field, path) of every file of the release that this tool.json relies on."""
        config = self.flash_gpu_config
        named = [
            ("entrypoint_windows", self.entrypoint_windows),
            ("entrypoint_posix", self.entrypoint_posix),
            ("flash_gpu_config.warmup_script", config.warmup_script if config else None),
        ]
        return [(field, path) for field, path in named if path is not None]


def parse_tool_file(data: bytes, *, what: str = TOOL_FILE_NAME) -> ToolFile:
    """Checked tool.json. Raises ToolFolderInvalid naming every fault."""
    if len(data) > MAX_TOOL_FILE_BYTES:
        raise ToolFolderInvalid.of(what, [f"larger than {MAX_TOOL_FILE_BYTES} bytes"])
    try:
        # io_schema may hold any number that JSON can say.
        document = parse_json(data, any_number=True)
    except JsonFault as error:
        raise ToolFolderInvalid.of(what, [str(error)]) from error
    if not isinstance(document, dict):
        raise ToolFolderInvalid.of(what, ["not a JSON object"])
    # ``document`` is ours: a publisher's own field of that name is only carried in it.
    stated = {name: value for name, value in document.items() if name != "document"}
    faults = type_faults(stated, ToolFile)
    if not faults:
        tool = msgspec.convert({**stated, "document": document}, ToolFile)
        faults = _faults(tool) + extras_faults(document) + _unhashable(document)
    if faults:
        raise ToolFolderInvalid.of(what, faults)
    return tool


def _unhashable(document: dict[str, JsonValue]) -> list[str]:
    """Faults of what the manifest repeats, where the rules of hashed JSON hold."""
    faults = []
    for name in (*EXTRA_NAMES, "ignore_globs"):
        try:
            parse_json(canonical_bytes(document.get(name)))
        except JsonFault as fault:
            faults.append(f"{name}: {fault} (the manifest repeats it)")
    return faults


def _faults(tool: ToolFile) -> list[str]:
    faults = [
        fault for fault in (tool_id_fault(tool.tool_id), version_fault(tool.version)) if fault
    ]
    if not re.search(NAME_PATTERN, tool.name):
        faults.append("name is empty")
    if not tool.platforms or not all(_PLATFORM.match(name) for name in tool.platforms):
        faults.append("platforms is not a list of names such as windows, linux")
    for field, path in (
        ("entrypoint_windows", tool.entrypoint_windows),
        ("entrypoint_posix", tool.entrypoint_posix),
    ):
        if path is not None and (fault := path_fault(path)):
            faults.append(f"{field} {path[:120]!r}: {fault}")
    if tool.delete_policy not in DELETE_POLICIES:
        faults.append(f"delete_policy is not one of {', '.join(DELETE_POLICIES)}")
    health = tool.health_check
    if health and not (health.command and 0 < health.timeout_s <= MAX_HEALTH_TIMEOUT_S):
        faults.append(
            f"health_check is not a command and a time from 1 to {MAX_HEALTH_TIMEOUT_S} s"
        )
    return faults
