"""The next metadata of a place, as values: what is added, what stays, what no worker would take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Key, Signature, Signer
from tuf.api.metadata import DelegatedRole, Metadata, TargetFile, Targets

from bitstation.core.digest import digest_of
from bitstation.core.wire import Requirement
from bitstation.errors import KeyRefused, NotSigned, ReleaseConflict, SignatureRefused
from bitstation.testing.releases import TOOL_ID, make_release
from bitstation.testing.signed import ONLINE_KEY, OWNERS, PUBLISHER_KEY, SignedShelf
from bitstation.trust.chain import signed_time
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    OFFLINE_LIFE,
    REQUIREMENTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    release_path,
    release_pattern,
    requirement_path,
)
from bitstation.trust.signing import (
    File,
    ReleaseName,
    bins_of,
    check_first,
    check_next,
    check_versions,
    is_signed,
    may_require,
    more_signed,
    next_version,
    open_chain,
    publisher_for,
    publishers_of,
    seal,
    sign_release,
    sign_requirement,
    signed_bytes,
    tools_of,
)

NOW = datetime.now(UTC).replace(microsecond=0)
FIRST, SECOND = (make_release({"a": version.encode()}, version) for version in ("1.0.0", "1.1.0"))


@pytest.fixture
def shelf(tmp_path: Path) -> SignedShelf:
    made = SignedShelf(tmp_path / "shelf")
    made.publish(FIRST)
    return made


def parsed(file: File) -> Any:
    return Metadata[Any].from_bytes(file.data).signed


def sealed(shelf: SignedShelf, *files: File) -> list[File]:
    signer = shelf.keyring.signer(ONLINE_KEY)
    return seal(shelf.place.chain(), files, signer, timedelta(days=3), NOW)


def following(shelf: SignedShelf, files: list[File], paths: tuple[str, ...] = ()) -> None:
    place = shelf.place
    check_next(place.chain(), place.first_root(), place.read, files, paths)


def forged(shelf: SignedShelf, role: str, edit: Callable[[Any], object], *keys: str) -> File:
    data = shelf.forge(role, edit, keys)
    return File(file_name(role, Metadata[Any].from_bytes(data).signed.version), data)


def test_a_place_without_metadata_is_not_opened(shelf: SignedShelf) -> None:
    with pytest.raises(NotSigned):
        open_chain(shelf.place.first_root(), lambda _name, _most: None)


def test_that_a_place_has_expired_does_not_hinder_who_signs_the_next(shelf: SignedShelf) -> None:
    shelf.moment -= timedelta(days=3650)
    shelf.publish(SECOND)
    assert is_signed(shelf.place.chain(), ReleaseName.of(SECOND.manifest))


# --- releases -------------------------------------------------------------------------------------


def test_a_release_more_leaves_the_others_signed(shelf: SignedShelf) -> None:
    chain, signers = shelf.place.chain(), [shelf.keyring.signer(PUBLISHER_KEY)]
    paths = set[str]()
    for minor in range(600):
        # Two of them in one bin, whatever the bins are.
        release = ReleaseName(TOOL_ID, f"2.{minor}.0", b"manifest")
        file = sign_release(chain, "hq", signers, release, NOW)
        if file.role == shelf.bin_of(FIRST):
            paths = set(parsed(file).targets)
            break
    assert paths == {release_path(TOOL_ID, "1.0.0"), release_path(TOOL_ID, release.version)}
    assert file.version == 2
    assert parsed(file).expires == NOW + OFFLINE_LIFE
    assert Metadata[Any].from_bytes(file.data).signatures.keys() == {
        shelf.keyring.public(PUBLISHER_KEY).keyid
    }


@pytest.mark.parametrize("publisher", ["nobody", REQUIREMENTS])
def test_who_is_no_publisher_signs_no_release(shelf: SignedShelf, publisher: str) -> None:
    with pytest.raises(NotSigned) as caught:
        sign_release(shelf.place.chain(), publisher, [], ReleaseName.of(SECOND.manifest), NOW)
    assert publisher in str(caught.value)


def test_what_is_signed_is_known_by_its_bytes(shelf: SignedShelf) -> None:
    chain, other = shelf.place.chain(), ReleaseName(TOOL_ID, "1.0.0", b"other")
    assert is_signed(chain, ReleaseName.of(FIRST.manifest))
    assert not is_signed(chain, ReleaseName.of(SECOND.manifest))
    with pytest.raises(ReleaseConflict) as caught:
        is_signed(chain, other)
    assert caught.value.fields["known"] == digest_of(FIRST.manifest.encode())
    assert caught.value.fields["offered"] == digest_of(b"other")


def test_who_signs_is_a_publisher_of_the_tool_whose_key_is_here(
    shelf: SignedShelf, tmp_path: Path
) -> None:
    chain = shelf.place.chain()
    assert publisher_for(chain, shelf.keyring, ReleaseName.of(SECOND.manifest)) == (
        "hq",
        PUBLISHER_KEY,
    )
    with pytest.raises(NotSigned):
        publisher_for(
            chain, Keyring(tmp_path / "none", lambda _name: ""), ReleaseName.of(SECOND.manifest)
        )

    def of_others(targets: Targets) -> None:
        publishers_of(targets)["hq"].paths = ["bolt-*/*/manifest.json"]

    shelf.show(TARGETS, shelf.forge(TARGETS, of_others, OWNERS))
    with pytest.raises(NotSigned):
        publisher_for(shelf.place.chain(), shelf.keyring, ReleaseName.of(SECOND.manifest))


# --- what HQ requires -----------------------------------------------------------------------------


def required(shelf: SignedShelf) -> dict[str, Any]:
    """What HQ requires by tool and channel, as workers read it."""
    found = shelf.place.chain().load(REQUIREMENTS, TARGETS)
    assert found is not None
    return {path: target.custom for path, target in found.targets.items()}


def test_each_channel_of_each_tool_has_its_own_requirement(shelf: SignedShelf) -> None:
    other = make_release({"b": b"1"}, "7.0.0", tool_id="other-tool")
    shelf.require(FIRST)
    shelf.require(SECOND, "beta")
    shelf.require(other)
    shelf.require(SECOND)
    first, second = (["1.1.0", SECOND.manifest.manifest_hash] for _channel in ("stable", "beta"))
    assert required(shelf) == {
        requirement_path(TOOL_ID): {"stable": first, "beta": second},
        requirement_path("other-tool"): {"stable": ["7.0.0", other.manifest.manifest_hash]},
    }


@pytest.mark.parametrize("custom", [None, [], "stable", 7])
def test_a_requirement_of_another_shape_is_replaced(shelf: SignedShelf, custom: object) -> None:
    def strange(targets: Targets) -> None:
        target = TargetFile.from_data(requirement_path(TOOL_ID), b"", ["sha256"])
        target.unrecognized_fields["custom"] = custom
        targets.targets[requirement_path(TOOL_ID)] = target

    shelf.show(REQUIREMENTS, shelf.forge(REQUIREMENTS, strange, [ONLINE_KEY]))
    asked = Requirement(TOOL_ID, "stable", "1.0.0", FIRST.manifest.manifest_hash)
    file = sign_requirement(shelf.place.chain(), shelf.keyring.signer(ONLINE_KEY), asked, NOW)
    (target,) = parsed(file).targets.values()
    assert target.custom == {"stable": ["1.0.0", FIRST.manifest.manifest_hash]}


# --- seal -----------------------------------------------------------------------------------------


def test_what_changed_is_named_before_the_timestamp_shows_it(shelf: SignedShelf) -> None:
    root, role = File("2.root.json", b""), shelf.bin_of(FIRST)
    files = sealed(shelf, root, File(f"2.{role}.json", b""))
    assert [file.role for file in files] == [ROOT, role, SNAPSHOT, "timestamp"]
    snapshot, timestamp = parsed(files[2]), parsed(files[3])
    before = shelf.place.chain().snapshot
    assert snapshot.meta[f"{role}.json"].version == 2
    assert {name: meta for name, meta in snapshot.meta.items() if not name.startswith(role)} == {
        name: meta for name, meta in before.meta.items() if not name.startswith(role)
    }
    assert snapshot.version == timestamp.snapshot_meta.version == before.version + 1
    assert files[2].version == snapshot.version


def test_with_nothing_changed_all_gets_younger_only(shelf: SignedShelf) -> None:
    before, (snapshot, timestamp) = shelf.place.chain(), map(parsed, sealed(shelf))
    assert snapshot.meta == before.snapshot.meta
    assert timestamp.version == before.timestamp.version + 1
    assert snapshot.expires == timestamp.expires == NOW + timedelta(days=3)
    assert signed_time(timestamp) == NOW


# --- what no worker would take --------------------------------------------------------------------


@pytest.mark.parametrize("role", [ROOT, TARGETS, "hq", "acme"])
def test_versions_follow_one_another(shelf: SignedShelf, role: str) -> None:
    chain, known = shelf.place.chain(), shelf.version(role)
    check_versions(chain, [File(f"{known + 1}.{role}.json", b"")])
    for version in {known, known + 2} - {0}:
        with pytest.raises(SignatureRefused) as caught:
            check_versions(chain, [File(f"{version}.{role}.json", b"")])
        assert f"does not follow {known}" in str(caught.value)


@pytest.mark.parametrize("name", ["02.hq.json", "2.h/q.json", "2.hq", "x.hq.json", "2.hq.json "])
def test_a_file_has_the_name_that_is_asked_for(shelf: SignedShelf, name: str) -> None:
    file = File(name, shelf.forge("hq", keys=[PUBLISHER_KEY]))
    for act in (file.check_name, lambda: check_versions(shelf.place.chain(), [file])):
        with pytest.raises(SignatureRefused) as caught:
            act()
        assert "another name" in str(caught.value)


def test_what_workers_would_take_is_good(shelf: SignedShelf) -> None:
    role, path = shelf.bin_of(FIRST), release_path("z-tool", "1.0.0")

    def more(targets: Targets) -> None:
        targets.targets[release_path(TOOL_ID, "9.9.9")] = TargetFile.from_data("a", b"", ["sha256"])

    following(shelf, sealed(shelf))
    following(shelf, sealed(shelf, forged(shelf, role, more, PUBLISHER_KEY)))
    file = sign_release(
        shelf.place.chain(),
        "hq",
        [shelf.keyring.signer(PUBLISHER_KEY)],
        ReleaseName("z-tool", "1.0.0", b"z"),
        NOW,
    )
    following(shelf, sealed(shelf, file), (path, release_path(TOOL_ID, "1.0.0")))
    # Only looked at: nothing of it is shown.
    assert shelf.place.chain().find(path) is None


def test_a_release_that_is_signed_stays_what_it_is(shelf: SignedShelf) -> None:
    role, path = shelf.bin_of(FIRST), release_path(TOOL_ID, "1.0.0")

    def another(targets: Targets) -> None:
        targets.targets[path] = TargetFile.from_data(path, b"other", ["sha256"])

    with pytest.raises(ReleaseConflict) as caught:
        following(shelf, sealed(shelf, forged(shelf, role, another, PUBLISHER_KEY)))
    assert (caught.value.fields["tool_id"], caught.value.fields["version"]) == (TOOL_ID, "1.0.0")
    assert caught.value.fields["known"] == digest_of(FIRST.manifest.encode())
    assert caught.value.fields["offered"] == digest_of(b"other")


def test_a_release_may_be_signed_no_more(shelf: SignedShelf) -> None:
    role = shelf.bin_of(FIRST)
    gone = forged(shelf, role, lambda targets: targets.targets.clear(), PUBLISHER_KEY)
    following(shelf, sealed(shelf, gone))


def test_what_should_be_found_and_is_not(shelf: SignedShelf) -> None:
    with pytest.raises(NotSigned) as caught:
        following(shelf, sealed(shelf), (release_path(TOOL_ID, "1.1.0"),))
    assert release_path(TOOL_ID, "1.1.0") in str(caught.value)


@pytest.mark.parametrize("role", [TARGETS, "hq", "hq-00", "nobody"])
def test_what_nobody_signed_who_may(shelf: SignedShelf, role: str) -> None:
    version = shelf.version(role) + 1
    data = signed_bytes(Targets(version, expires=NOW + OFFLINE_LIFE), [])
    with pytest.raises(SignatureRefused):
        following(shelf, sealed(shelf, File(f"{version}.{role}.json", data)))


# --- the first ones -------------------------------------------------------------------------------


@pytest.fixture
def first(tmp_path: Path) -> list[File]:
    return [File(name, data) for name, data in SignedShelf(tmp_path / "first").files().items()]


def test_the_first_files_are_taken_whole_only(first: list[File]) -> None:
    check_first(first)
    for left_out in first:
        with pytest.raises((NotSigned, SignatureRefused)):
            check_first([file for file in first if file is not left_out])
    with pytest.raises(NotSigned):
        check_first([file for file in first if file.role != ROOT])


def test_nothing_else_comes_with_the_first_files(first: list[File]) -> None:
    with pytest.raises(SignatureRefused):
        check_first([*first, File("../1.hq.json", first[0].data)])


@pytest.mark.parametrize("role", [ROOT, TARGETS, "hq", REQUIREMENTS, SNAPSHOT, "timestamp"])
def test_each_of_the_first_files_is_signed(first: list[File], role: str) -> None:
    def stripped(file: File) -> File:
        metadata = Metadata[Any].from_bytes(file.data)
        metadata.signatures.clear()
        return File(file.name, metadata.to_bytes())

    with pytest.raises(SignatureRefused):
        check_first([stripped(file) if file.role == role else file for file in first])


# --- small parts ----------------------------------------------------------------------------------


class Failing(Signer):
    """An HSM that was pulled out."""

    def __init__(self, public: Key) -> None:
        self.public = public

    @property
    def public_key(self) -> Key:
        return self.public

    @classmethod
    def from_priv_key_uri(cls, *_arguments: Any) -> Signer:
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        raise OSError("no token")


def test_signatures_are_added_to_those_that_are_there() -> None:
    ana, ben = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    data = signed_bytes(Targets(expires=NOW), [ana])
    metadata = Metadata[Any].from_bytes(more_signed(Metadata[Any].from_bytes(data), [ben]))
    assert list(metadata.signatures) == [ana.public_key.keyid, ben.public_key.keyid]
    for signer in (ana, ben):
        signature = metadata.signatures[signer.public_key.keyid]
        signer.public_key.verify_signature(signature, metadata.signed_bytes)


def test_a_key_that_fails_is_named() -> None:
    public = CryptoSigner.generate_ed25519().public_key
    with pytest.raises(KeyRefused) as caught:
        signed_bytes(Targets(expires=NOW), [Failing(public)])
    assert caught.value.fields["name"] == public.keyid[:8]


def test_the_next_version_leaves_the_one_before_as_it_is() -> None:
    before = Targets(3, expires=NOW)
    after = next_version(before, NOW.replace(microsecond=7), timedelta(days=1))
    after.targets["a"] = TargetFile.from_data("a", b"", ["sha256"])
    assert (before.version, before.expires, before.targets) == (3, NOW, {})
    assert (after.version, after.expires) == (4, NOW + timedelta(days=1))


def test_lists_without_publishers_have_none() -> None:
    key = CryptoSigner.generate_ed25519().public_key
    for targets in (Targets(expires=NOW), bins_of("acme", [key], NOW)):
        assert publishers_of(targets) == {}


def test_hq_may_require_with_the_key_of_its_timestamps_alone(shelf: SignedShelf) -> None:
    chain, new = shelf.place.chain(), shelf.keyring.make("new")
    assert may_require(chain.targets, chain.root)
    chain.root.add_key(new, TIMESTAMP)
    assert not may_require(chain.targets, chain.root)
    assert not may_require(Targets(), chain.root)


def test_a_publisher_has_the_tools_that_were_given_to_him() -> None:
    given = [release_pattern(tool) for tool in ("acme-*", "nut")]
    assert tools_of(DelegatedRole("acme", [], 1, terminating=True, paths=given)) == (
        "acme-*",
        "nut",
    )


def test_a_publisher_of_paths_that_are_hashed_has_no_tools_to_show() -> None:
    hashed = DelegatedRole("acme", [], 1, terminating=True, path_hash_prefixes=["00"])
    assert tools_of(hashed) == ()
