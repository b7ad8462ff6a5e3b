"""Optional fields that tool.json states and the manifest repeats, checked alike in both."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bitstation.core.digest import is_digest
from bitstation.core.relpath import path_fault

API_CONTRACT_PATTERN = r"^[a-z]+/[0-9]+$"

_API_CONTRACT = re.compile(API_CONTRACT_PATTERN[1:-1] + r"\Z", re.ASCII)


class Dependencies(msgspec.Struct, frozen=True):
    """Least versions of what the machine must bring."""

    python_min: str | None = None
    cuda_min: str | None = None


class FlashGpuConfig(msgspec.Struct, frozen=True):
    """Warm-up of the GPU; further fields pass through to the manifest unread."""

    enabled: bool = True
    warmup_script: str | None = None
    cache_artifacts: tuple[str, ...] = ()


class Frontend(msgspec.Struct, frozen=True):
    """Web pages of a tool; ``entry`` is the first page, below ``frontend/``."""

    type: str = "web"
    entry: str | None = None
    archive: str | None = None
    sha256: str | None = None


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """The optional fields, each absent by default."""

    dependencies: Dependencies | None = None
    flash_gpu_config: FlashGpuConfig | None = None
    frontend: Frontend | None = None
    api_contract: str | None = None
    capabilities: tuple[str, ...] = ()


EXTRA_NAMES = tuple(field.name for field in msgspec.structs.fields(Extras))


def extras_faults(document: Mapping[str, object]) -> list[str]:
    """Name every fault of the optional fields of a manifest or tool.json."""
    if faults := type_faults(document, Extras):
        return faults
    extras = msgspec.convert(dict(document), Extras)
    config, frontend = extras.flash_gpu_config, extras.frontend
    for field, path in (
        ("flash_gpu_config.warmup_script", config.warmup_script if config else None),
        ("frontend.entry", frontend.entry if frontend else None),
    ):
        if path is not None and (fault := path_fault(path)):
            faults.append(f"{field} {path[:120]!r}: {fault}")
    if frontend and frontend.sha256 is not None and not is_digest(frontend.sha256):
        faults.append("frontend.sha256 is not 64 lower-case hexadecimal digits")
    if extras.api_contract is not None and not _API_CONTRACT.match(extras.api_contract):
        faults.append("api_contract is not a name and a number such as toolbridge/1")
    return faults


def type_faults(document: Mapping[str, object], kind: type[msgspec.Struct]) -> list[str]:
    """Name every field of ``document`` that is absent or of another type than ``kind`` says.

    One by one, because msgspec stops at the first.
    """
    faults = []
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in document:
            if field.required:
                faults.append(f"{field.encode_name} is missing")
            continue
        try:
            msgspec.convert(document[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            faults.append(f"{field.encode_name}: {error}")
    return faults
