"""One exception tree: stable codes, exit codes, and words that can be translated.

Every class states its message and hint as templates over its named fields, so that a raise site
gives facts only, programs read ``code`` and ``fields``, and people read their own language.
``exit_code`` follows the table of the command line's contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from bitstation.shown import harmless


def _same(text: str) -> str:
    return text


class BitStationError(Exception):
    """Root of every error this package raises on purpose; ``fields`` fill the templates."""

    code: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "{detail}"
    hint: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        self.fields = {name: harmless(value) for name, value in fields.items()}
        super().__init__(self.text())

    def text(self, translate: Callable[[str], str] = _same) -> str:
        """What failed, on which object, expected against actual."""
        return translate(self.message).format_map(_Named(self.fields))

    def advice(self, translate: Callable[[str], str] = _same) -> str:
        """What the reader can do about it; empty where there is nothing to say."""
        return translate(self.hint).format_map(_Named(self.fields)) if self.hint else ""


class _Named(dict[str, object]):
    """Template fields; an absent one shows as its name, for a message must never fail to print."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


# --- the caller asked for something that cannot be -------------------------------------------


class UsageError(BitStationError):
    """The words or values given by the caller make no sense."""

    code = "usage"
    exit_code = 2


class MissingExtra(UsageError):
    """A command needs an optional part of the package."""

    code = "missing-extra"
    message = "{command} needs packages that are not installed: {detail}"
    hint = 'install them with: pip install "bitstation[{extra}]"'


# --- what a publisher or a source says is not well formed ------------------------------------


class ManifestError(BitStationError):
    """A manifest, catalog, tool.json or wire document breaks its rules; ``faults`` lists each."""

    code = "manifest-invalid"
    exit_code = 30
    message = "{what} is not valid: {detail}"
    hint = "ask the publisher for a release made by 'bitstation manifest'; nothing was changed"

    @property
    def faults(self) -> tuple[str, ...]:
        """Every fault that was found, at most 1,000."""
        found = self.fields.get("faults")
        return tuple(found) if isinstance(found, list) else (str(self),)

    @classmethod
    def of(cls, what: str, faults: list[str]) -> ManifestError:
        """Name every fault at once; a hostile document cannot make the message endless."""
        shown = "; ".join(fault[:300] for fault in faults[:20])
        if len(faults) > 20:
            shown += f"; and {len(faults) - 20} more"
        return cls(what=what, detail=shown, faults=faults[:1000])


class UnsafePathError(ManifestError):
    """A path could mean another file, or none, on some system."""

    code = "path-unsafe"
    message = "path {path!r} is not allowed in a release: {detail}"


class ManifestHashMismatch(ManifestError):
    """A manifest's content is not what its hash was computed over."""

    code = "manifest-hash-mismatch"
    message = "{what} states manifest_hash {stated} but its content gives {computed}"
    hint = "the manifest was edited after it was made; --legacy imports it under its true hash"


class ToolFolderInvalid(ManifestError):
    """A publisher's folder or its tool.json breaks the rules of a release."""

    code = "tool-invalid"
    message = "{what} cannot be released: {detail}"
    hint = "mend what is named and run 'bitstation validate' again"


# --- somebody is not allowed to decide this --------------------------------------------------


class TrustError(BitStationError):
    """Somebody offers or asks what they are not allowed to."""

    code = "trust"
    exit_code = 31


class DowngradeRefused(TrustError):
    """An older version was offered in place of a newer one."""

    code = "downgrade-refused"
    message = "{tool_id} {version} is older than the installed {installed}"
    hint = "'bitstation rollback' is the way back; --allow-downgrade installs it all the same"


class ReleaseConflict(TrustError):
    """The same version exists with other content."""

    code = "release-conflict"
    message = "{tool_id} {version} exists with manifest_hash {known}; this one has {offered}"
    hint = "a version never changes: publish the new content under a new version"


class UnexpectedRelease(TrustError):
    """A source gave another release than the one asked for."""

    code = "unexpected-release"
    message = "asked {source} for {wanted}, was given {given}"
    hint = "the source is wrong or lies; nothing was changed"


class NotSigned(TrustError):
    """A release, or a whole source, carries no signatures."""

    code = "not-signed"
    message = "{source}: nothing there is signed by who was pinned at 'bitstation join'"
    hint = "update from what your publisher signs; --allow-unsigned takes it all the same"


class NotPinned(TrustError):
    """Nobody has said whose releases may run here."""

    code = "not-pinned"
    message = "{root} does not know whose releases may be installed"
    hint = "'bitstation join' pins the keys of your HQ; --allow-unsigned does without"


class PinConflict(TrustError):
    """Other keys are pinned than those that are offered."""

    code = "pin-conflict"
    message = "{source} shows the root {offered}, expected is {known}"
    hint = "ask who runs it for its fingerprint; 'bitstation keys status' shows it there"


class SignatureRefused(TrustError):
    """Metadata are not signed as they must be, or are older than what was seen before."""

    code = "signature-refused"
    message = "{source}: the signed metadata of '{what}' are refused: {detail}"
    hint = "the source is broken or somebody lies; what is installed goes on running"


class MetadataExpired(TrustError):
    """Nobody has confirmed for too long that there is nothing newer."""

    code = "metadata-expired"
    exit_code = 32
    message = (
        "{source}: the signed metadata of '{what}' have expired ({detail}); it is {now} UTC here"
    )
    hint = "is this clock right, and does HQ run? What is installed goes on running"


class KeyRefused(TrustError):
    """A key cannot be used: no such name, a wrong passphrase, or too few of them."""

    code = "key-refused"
    message = "{name}: {detail}"


class TokenRefused(TrustError):
    """HQ did not accept the token, or none was given."""

    code = "token-refused"
    message = "{source} refused: {detail}"
    hint = "give the token HQ wrote at its first start, by --token-file or BITSTATION_TOKEN_FILE"


class PublishRefused(TrustError):
    """HQ does not take what it was given; ``detail`` is HQ's own word."""

    code = "publish-refused"
    message = "{source} refused: {detail}"


# --- bytes are not what they should be -------------------------------------------------------


class IntegrityError(BitStationError):
    """Bytes are not what they should be."""

    code = "integrity"
    exit_code = 30
    message = "{what}: expected {expected}, found {actual}"
    hint = "nothing was activated; try again, or another source"


class DigestMismatch(IntegrityError):
    """A file's bytes have another SHA-256 than the manifest states."""

    code = "digest-mismatch"
    message = "{path} from {source}: expected SHA-256 {expected}, received {actual}"


class PackageInvalid(IntegrityError):
    """A ZIP breaks the rules of packages."""

    code = "package-invalid"
    message = "package {package} is not valid: {detail}"
    hint = "make it again with 'bitstation pack', or copy it again; nothing was changed"


class ReleaseDamaged(IntegrityError):
    """Files of an installed release are absent or hold other bytes."""

    code = "release-damaged"
    message = "{count} files of {tool_id} {version} are not what its manifest says: {detail}"
    hint = "'bitstation repair {tool_id}' mends them"


class ReleaseIncomplete(IntegrityError):
    """A release was to be made visible before all its blobs had arrived."""

    code = "release-incomplete"
    message = "{tool_id} {version} cannot be committed: HQ still lacks {count} of its blobs"
    hint = "run the same publish command again: it sends what is lacking"


class FileChanged(IntegrityError):
    """A file was written to while it was hashed."""

    code = "file-changed"
    message = "{path} changed while it was being read"
    hint = "let whatever writes to it finish, then run again"


# --- a place to get bytes from does not give them --------------------------------------------


class SourceError(BitStationError):
    """A source failed; other sources or a later time may do."""

    code = "source"
    exit_code = 40
    retryable = True
    message = "{source}: {detail}"
    hint = "check that the source is running and reachable, then run again: nothing is lost"

    @property
    def retry_after_s(self) -> float | None:
        """How long the source asked us to wait, in seconds, bounded; None when it did not."""
        asked = self.fields.get("retry_after_s")
        return float(asked) if isinstance(asked, int | float) else None


class SourceUnreachable(SourceError):
    """No connection, or no answer in time."""

    code = "source-unreachable"
    message = "cannot reach {source}: {detail}"


class SourceBroken(SourceError):
    """The source answered something that the protocol does not allow."""

    code = "source-broken"
    message = "{source} answered wrongly: {detail}"


class RedirectRefused(SourceError):
    """An answer points to a host or scheme that nobody named to us."""

    code = "redirect-refused"
    retryable = False
    message = "{source} redirects to {location}, another host or scheme"
    hint = "a worker asks only the hosts it was told of; give the final address"


class NotFound(SourceError):
    """The source works but does not hold what was asked for."""

    code = "not-found"
    retryable = False
    message = "{source} does not have {what}"
    hint = "'bitstation list' shows what is offered"


class TlsError(SourceError):
    """The certificate or the handshake was not acceptable."""

    code = "tls"
    exit_code = 41
    retryable = False
    message = "no trusted connection to {source}: {detail}"
    hint = "of your own organisation: name its certificate's file in BITSTATION_CA_FILE"


# --- this machine's disk ---------------------------------------------------------------------


class StoreError(BitStationError):
    """The disk of this machine refused something."""

    code = "store"
    message = "{path}: {detail}"


class DiskFull(StoreError):
    """The volume cannot take what is needed; sizes in bytes."""

    code = "disk-full"
    exit_code = 50
    retryable = True
    message = "not enough space at {path}: {needed_bytes} bytes needed, {free_bytes} free"
    hint = "free some space and run again: what is already here is kept"


class VolumeUnfit(StoreError):
    """The volume can never hold this file under this name."""

    code = "volume-unfit"
    exit_code = 50
    message = "{path} cannot be stored on this volume: {detail}"
    hint = "use a tools root with a shorter path, or on another volume"


class PermissionRefused(StoreError):
    """The user may not write here, or the volume is read-only."""

    code = "permission"
    exit_code = 51
    message = "not allowed to write {path}: {detail}"
    hint = "check who owns the folder and whether the volume is read-only"


class StoreLocked(StoreError):
    """Another run holds the lock; it says who."""

    code = "locked"
    exit_code = 75
    retryable = True
    message = "{path} is in use by another run: {holder}"
    hint = "wait until it ends, or end it"


class UploadOffset(StoreError):
    """The next bytes of an upload do not follow those that are here."""

    code = "upload-offset"
    exit_code = 40
    retryable = True
    message = "the upload of blob {sha256} goes on at byte {expected}, not at {offset}"
    hint = "ask the session how much was received, and go on from there"


class StoreCorrupt(StoreError):
    """A file of our own bookkeeping is damaged."""

    code = "store-corrupt"
    exit_code = 30
    message = "{path} is damaged: {detail}"


# --- the installed tool ----------------------------------------------------------------------


class InstallError(BitStationError):
    """Something about an installed tool stands in the way."""

    code = "install"


class NoInstallation(InstallError):
    """The tool is not installed here."""

    code = "no-installation"
    exit_code = 21
    message = "{tool_id} is not installed in {root}"
    hint = "'bitstation update {tool_id}' installs it"


class NoSuchRelease(InstallError):
    """The release asked for is not kept on this machine."""

    code = "no-such-release"
    exit_code = 21
    message = "{tool_id} {version} is not kept on this machine; kept: {kept}"
    hint = "'bitstation update {tool_id} --version {version}' fetches it"


class NoEarlierRelease(NoSuchRelease):
    """A rollback was asked for where there is nothing to go back to."""

    code = "no-earlier-release"
    message = "{tool_id} has no earlier release on this machine; kept: {kept}"
    hint = "the first update keeps the release before it; --version of update fetches any other"


class FileInUse(InstallError):
    """Another program holds a file open."""

    code = "file-in-use"
    exit_code = 52
    retryable = True
    message = "{path} is in use by another program: {detail}"
    hint = "close the tool (and windows open in its folder), then run again"


class UpdateCancelled(BitStationError):
    """The user or a signal stopped the run before its commit point."""

    code = "cancelled"
    exit_code = 130
    retryable = True
    message = "stopped before anything was activated"
    hint = "run the same command again to go on from here"
