"""T14 to T32: old, mixed, foreign and crooked metadata; as in ``lies.signers``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tuf.api.metadata import DelegatedRole

from bitstation.core.digest import digest_of
from bitstation.testing.lies.releases import EVIL, NEW, OLD
from bitstation.testing.lies.signers import TIMESTAMP_FILE, naming
from bitstation.testing.memory_source import MemorySource, other_bytes
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import (
    ONLINE_KEY,
    OWNERS,
    PUBLISHER_KEY,
    SignedShelf,
    expired,
    no_edit,
)
from bitstation.trust.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, file_name

OTHER_OLD = make_release({"run.py": b"print('other')"}, "1.0.0")
OTHER_TOOL = make_release({"run.py": b"print('other tool')"}, "1.1.0", tool_id="other-tool")
_FAR = 2**53 - 2
"""As far as a version may go: larger numbers are no integers of JSON."""


def timestamp_rollback(shelf: SignedShelf) -> MemorySource:
    """T14: the timestamp before the newest."""

    def back(timestamp: Any) -> None:
        timestamp.version -= 2

    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, back, [ONLINE_KEY]))
    return shelf.source()


def snapshot_rollback(shelf: SignedShelf) -> MemorySource:
    """T15: a new timestamp names the first snapshot."""

    def older(timestamp: Any) -> None:
        timestamp.snapshot_meta.version = 1

    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, older, [ONLINE_KEY]))
    return shelf.source()


def second_targets(shelf: SignedShelf) -> MemorySource:
    """T16: no lie: a second version of a publisher's list."""
    role = shelf.bin_of(NEW)
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    return shelf.source()


def targets_rollback(shelf: SignedShelf) -> MemorySource:
    """T16: a new snapshot names the first version of a publisher's list."""
    role = shelf.bin_of(NEW)

    def older(snapshot: Any) -> None:
        snapshot.meta[f"{role}.json"].version = 1

    shelf.put(SNAPSHOT, shelf.forge(SNAPSHOT, older, [ONLINE_KEY]))
    shelf.point()
    return shelf.source()


def same_version_other_bytes(shelf: SignedShelf) -> MemorySource:
    """T17: a publisher signs another manifest under a version that is installed."""
    role = shelf.bin_of(OLD)
    shelf.show(role, shelf.forge(role, naming(OTHER_OLD), [PUBLISHER_KEY]))
    source = shelf.source()
    source.add(OTHER_OLD)
    return source


def fast_forward(shelf: SignedShelf) -> MemorySource:
    """T18: a timestamp far ahead, after which no honest one is newer."""

    def far(timestamp: Any) -> None:
        timestamp.version = _FAR

    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, far, [ONLINE_KEY]))
    return shelf.source()


def after_fast_forward(shelf: SignedShelf) -> MemorySource:
    """T18: what an honest HQ shows afterwards, as old as it looks now."""

    def near(timestamp: Any) -> None:
        timestamp.version = 10

    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, near, [ONLINE_KEY]))
    return shelf.source()


def freeze(shelf: SignedShelf) -> MemorySource:
    """T19: a timestamp that has expired."""
    shelf.put(TIMESTAMP, shelf.forge(TIMESTAMP, expired, [ONLINE_KEY]))
    return shelf.source()


def mix_and_match(shelf: SignedShelf) -> MemorySource:
    """T20: an old list of a publisher's under the name of the new one."""
    role = shelf.bin_of(NEW)
    old = shelf.files()[file_name(role, shelf.version(role))]
    shelf.show(role, shelf.forge(role, keys=[PUBLISHER_KEY]))
    source = shelf.source()
    source.metadata[file_name(role, shelf.version(role))] = old
    return source


def removed_role(shelf: SignedShelf) -> MemorySource:
    """T21: a snapshot names fewer roles than the one before."""

    def fewer(snapshot: Any) -> None:
        del snapshot.meta["requirements.json"]

    shelf.put(SNAPSHOT, shelf.forge(SNAPSHOT, fewer, [ONLINE_KEY]))
    shelf.point()
    return shelf.source()


def wrong_tool(shelf: SignedShelf) -> MemorySource:
    """T22: the manifest of another tool, well signed."""
    shelf.publish(OTHER_TOOL)
    source = shelf.source()
    source.offer_bytes(TOOL_ID, "1.1.0", OTHER_TOOL.manifest.encode())
    return source


def publisher_of_other_tools(shelf: SignedShelf) -> MemorySource:
    """T22: signed by a publisher whose tools are others."""

    def only_acme(targets: Any) -> None:
        roles = targets.delegations.roles
        roles["hq"] = DelegatedRole(
            "hq", roles["hq"].keyids, 1, terminating=True, paths=["acme-*/*/manifest.json"]
        )

    shelf.show(TARGETS, shelf.forge(TARGETS, only_acme, OWNERS))
    return shelf.source()


def requirement_of_another_channel(shelf: SignedShelf) -> MemorySource:
    """T23: HQ says that OLD is required; what it has signed is of another channel."""
    shelf.require(NEW, "beta")
    return latest_is_old(shelf)


def false_file(shelf: SignedShelf) -> MemorySource:
    """T24: the manifest is true, a file is another."""
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), other_bytes)
    return source


def false_manifest_hash(shelf: SignedShelf) -> MemorySource:
    """T25: the files are true, the manifest states another hash of itself."""
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    document["manifest_hash"] = "0" * 64
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    return source


def swapped_files(shelf: SignedShelf) -> MemorySource:
    """T26: of two files of the release each comes in the other's place."""
    source = shelf.source()
    source.lie(digest_of(b"print('new')"), lambda _data: b"same")
    return source


def unknown_algorithm(shelf: SignedShelf, what: str) -> MemorySource:
    """T27: a hash, the type of a key or its scheme that nobody knows."""
    role = shelf.bin_of(NEW)

    def unknown(signed: Any) -> None:
        for target in signed.targets.values():
            target.hashes = {"md4": "0" * 32}

    if what == "hash":
        shelf.show(role, shelf.forge(role, unknown, [PUBLISHER_KEY]))
    else:
        data = json.loads(shelf.rotate_root(no_edit))
        for key in data["signed"]["keys"].values():
            key["keytype" if what == "key" else "scheme"] = "rot13"
        shelf.put(ROOT, json.dumps(data).encode(), 2)
    return shelf.source()


def unknown_fields(shelf: SignedShelf) -> MemorySource:
    """T28: no lie: a list with a field more, signed with the rest."""
    role = shelf.bin_of(NEW)

    def more(signed: Any) -> None:
        signed.unrecognized_fields["x-note"] = {"a": [1, "b"]}

    shelf.show(role, shelf.forge(role, more, [PUBLISHER_KEY]))
    return shelf.source()


def _stating(more: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text.replace(b'"version":', more + b',"version":', 1)


CROOKED: dict[str, Callable[[bytes], bytes]] = {
    "twice": _stating(b'"version":1'),
    "nan": _stating(b'"x":NaN'),
    "overflow": _stating(b'"x":1e400'),
    "float": _stating(b'"x":1.5'),
    "surrogate": _stating(b'"x":"\\ud800"'),
    "bom": lambda text: b"\xef\xbb\xbf" + text,
    "deep": lambda text: b"[" * 5000 + text,
    "empty": lambda _text: b"",
    "list": lambda _text: b"[]",
    "hollow": lambda _text: b'{"signed":{},"signatures":[]}',
}
"""JSON that two readers read differently, or that is no metadata."""


def crooked_json(shelf: SignedShelf, name: str) -> MemorySource:
    """T29: such a timestamp."""
    source = shelf.source()
    source.metadata[TIMESTAMP_FILE] = CROOKED[name](source.metadata[TIMESTAMP_FILE])
    return source


def other_bytes_of_a_manifest(shelf: SignedShelf) -> MemorySource:
    """T30: the same JSON as the manifest that was signed, written otherwise."""
    source = shelf.source()
    document = json.loads(NEW.manifest.encode())
    source.offer_bytes(TOOL_ID, "1.1.0", json.dumps(document).encode())
    return source


def other_bytes_of_a_timestamp(shelf: SignedShelf) -> MemorySource:
    """T30: no lie: of metadata the signature covers the canonical form."""
    source = shelf.source()
    pretty = json.loads(source.metadata[TIMESTAMP_FILE])
    source.metadata[TIMESTAMP_FILE] = json.dumps(pretty, indent=1).encode()
    return source


def latest_is_old(shelf: SignedShelf) -> MemorySource:
    """T31: HQ says that OLD is required, which nothing signed says."""
    source = shelf.source()
    source.required.add(OLD.version)
    return source


def _stranger(shelf: SignedShelf) -> SignedShelf:
    stranger = SignedShelf(shelf.place.folder.with_name("stranger"))
    stranger.publish(EVIL)
    return stranger


def stranger(shelf: SignedShelf) -> MemorySource:
    """T32: an HQ with keys of its own, all well signed."""
    return _stranger(shelf).source()


def evil_manifest(shelf: SignedShelf) -> MemorySource:
    """T32: true metadata, beside another release."""
    source = shelf.source()
    source.add(EVIL)
    return source


def stranger_with_a_true_timestamp(shelf: SignedShelf) -> MemorySource:
    """T32: all of it a stranger's but the timestamp."""
    source = stranger(shelf)
    source.metadata[TIMESTAMP_FILE] = shelf.files()[TIMESTAMP_FILE]
    return source
