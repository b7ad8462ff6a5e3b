"""manifest.json: strict, of any scope, legacy, and as ``manifest verify`` looks at it."""

from __future__ import annotations

from bitstation.core.manifest import Manifest, inspect_manifest, parse_manifest
from bitstation.core.relpath import collisions, path_fault
from bitstation.errors import ManifestError

_WAYS = ({}, {"any_scope": True}, {"legacy": True})


def check(data: bytes) -> bool:
    """Each way takes what the stricter ones take, and what is written is read as it was."""
    report = inspect_manifest(data)
    taken: list[Manifest] = []
    for way in _WAYS:
        try:
            manifest = parse_manifest(data, **way)
        except ManifestError as error:
            assert not taken, "a looser way refuses what a stricter one takes"
            assert error.faults
            assert len(str(error)) < 10_000
        else:
            _hold(manifest)
            assert manifest.manifest_hash == report.computed
            assert not taken or taken[-1] == manifest
            taken.append(manifest)
    return bool(taken)


def _hold(manifest: Manifest) -> None:
    assert parse_manifest(manifest.encode(), any_scope=True) == manifest
    paths = [entry.path for entry in manifest.entries]
    assert not any(map(path_fault, paths))
    assert not list(collisions(paths))
    assert all(entry.size >= 0 for entry in manifest.entries)
