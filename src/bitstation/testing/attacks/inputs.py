"""Groups M and P: what a publisher signs, and a parser must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bitstation.testing.attacks.attack import Attack, Show, harmless, nothing, refused
from bitstation.testing.lies import manifests
from bitstation.testing.lies.manifests import BETWEEN, signed_by_its_publisher


def of_inputs() -> Iterator[Attack]:
    """Manifests, and the paths in them."""
    for name, (what, data) in manifests.MANIFESTS.items():
        yield _invalid(name, f"a manifest: {what}", data)
    url = _offering(manifests.ELSEWHERE)
    yield harmless("M17", "urls that lead elsewhere", url, asked=BETWEEN.version, amends=nothing)
    yield _invalid(
        "M24", "a manifest_hash that is not true", manifests.UNTRUE_HASH, "manifest-hash-mismatch"
    )
    yield _invalid("M29", "files larger than any disk", manifests.HUGE, "disk-full", 50)
    for name, (what, path) in manifests.PATHS.items():
        yield _invalid(name, f"a path: {what}", manifests.listing({"path": path}))


def _offering(data: bytes) -> Show:
    return partial(signed_by_its_publisher, manifest=data)


def _invalid(
    name: str, does: str, data: bytes, code: str = "manifest-invalid", exit_code: int = 30
) -> Attack:
    return refused(
        name,
        does,
        _offering(data),
        code,
        exit_code=exit_code,
        asked=BETWEEN.version,
        amends=nothing,
    )
