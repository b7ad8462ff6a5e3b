"""Group T: lies about whose a release is, and how new."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bitstation.testing.attacks.attack import Attack, harmless, nothing, refused
from bitstation.testing.lies import metadata, signers
from bitstation.testing.lies.releases import NEW, OLD
from bitstation.testing.signed import SignedShelf
from bitstation.trust.roles import OFFLINE_LIFE

_BACK: dict[str, Any] = {"installed": NEW.version, "asked": OLD.version}


def of_trust() -> Iterator[Attack]:
    """Signers, versions, and what is signed."""
    yield from _signers()
    yield from _roots()
    yield from _versions()
    yield from _meanings()
    yield from _forms()


def _signers() -> Iterator[Attack]:
    yield refused("T1", "nothing is signed", signers.unsigned, "not-signed")
    for role in ("timestamp", "bin"):
        lie = partial(signers.bad_signature, role=role)
        yield refused(f"T2-{role}", f"a bad signature ({role})", lie)
    yield refused("T3", "another release, signed by an unknown key", signers.unknown_key)
    yield refused("T4", "a root with too few signatures", signers.threshold_not_met)
    yield refused("T5", "a root with one signature twice", signers.same_key_twice)
    yield refused("T6", "a root that names a key twice", signers.duplicate_key_ids)
    yield refused("T7", "HQ's key signs a publisher's list", signers.key_of_another_role)
    yield refused(
        "T7-timestamp", "a publisher's key signs HQ's", signers.publisher_signs_the_timestamp
    )
    yield refused("T8", "a key signs that was revoked", signers.revoked_key, amends=nothing)


def _roots() -> Iterator[Attack]:
    yield harmless("T9", "the root was rotated twice", signers.root_rotated_twice, amends=nothing)
    yield refused("T10", "a version of the root is skipped", signers.skipped_root_version)
    yield refused("T11", "a root signed by its new keys only", signers.usurped_root)
    yield refused(
        "T12",
        "the root has expired",
        signers.expired_root,
        "metadata-expired",
        exit_code=32,
        amends=_fresh_root,
    )
    yield refused("T13", "after each root comes another", signers.endless_roots)


def _versions() -> Iterator[Attack]:
    yield refused("T14", "an older timestamp", metadata.timestamp_rollback)
    yield refused("T15", "an older snapshot", metadata.snapshot_rollback)
    yield refused(
        "T16",
        "an older publisher's list",
        metadata.targets_rollback,
        before=metadata.second_targets,
    )
    yield refused(
        "T17",
        "a version that is installed, with other bytes",
        metadata.same_version_other_bytes,
        "release-conflict",
        asked=OLD.version,
    )
    yield refused(
        "T18",
        "after a version far ahead; new keys end it",
        metadata.after_fast_forward,
        before=metadata.fast_forward,
        amends=signers.rotate_online_key,
    )
    yield refused(
        "T19", "an expired timestamp: freeze", metadata.freeze, "metadata-expired", exit_code=32
    )
    yield refused("T20", "an old list under a new name: mix and match", metadata.mix_and_match)
    yield refused("T21", "a role is gone", metadata.removed_role)


def _meanings() -> Iterator[Attack]:
    yield refused("T22", "the manifest of another tool", metadata.wrong_tool, amends=nothing)
    yield refused(
        "T22-publisher",
        "a publisher of other tools",
        metadata.publisher_of_other_tools,
        "not-signed",
    )
    yield refused(
        "T23",
        "what is required of another channel",
        metadata.requirement_of_another_channel,
        "downgrade-refused",
        **_BACK,
    )
    yield refused("T24", "a file is another", metadata.false_file, "digest-mismatch", exit_code=30)
    yield refused("T25", "a false manifest_hash", metadata.false_manifest_hash)
    yield refused(
        "T26",
        "one file in the place of another",
        metadata.swapped_files,
        "range-refused",
        exit_code=40,
    )


def _forms() -> Iterator[Attack]:
    for what in ("hash", "key", "scheme"):
        lie = partial(metadata.unknown_algorithm, what=what)
        yield refused(f"T27-{what}", f"an unknown algorithm ({what})", lie)
    yield harmless("T28", "fields that nobody knows", metadata.unknown_fields)
    for name in metadata.CROOKED:
        lie = partial(metadata.crooked_json, name=name)
        yield refused(f"T29-{name}", f"crooked JSON ({name})", lie)
    yield refused("T30", "other bytes of a manifest", metadata.other_bytes_of_a_manifest)
    yield harmless(
        "T30-timestamp", "other bytes of a timestamp", metadata.other_bytes_of_a_timestamp
    )
    yield refused(
        "T31", "an unsigned way back", metadata.latest_is_old, "downgrade-refused", **_BACK
    )
    yield refused("T32", "a stranger's HQ", metadata.stranger)
    yield refused("T32-manifest", "true metadata, another release", metadata.evil_manifest)
    yield refused(
        "T32-mixed", "a stranger's but the timestamp", metadata.stranger_with_a_true_timestamp
    )


def _fresh_root(shelf: SignedShelf) -> None:
    def fresh(root: Any) -> None:
        root.expires = shelf.moment + OFFLINE_LIFE

    shelf.rotate_root(fresh)
