"""One exception tree: stable codes, exit codes, and words that can be translated.

Every class states its message and hint as templates over its named fields, so that a raise site
gives facts only, programs read ``code`` and ``fields``, and people read their own language.
``exit_code`` follows the table of the command line's contract.
"""

from __future__ import annotations

from bitstation.errors.base import BitStationError
from bitstation.errors.trust import (
    DowngradeRefused,
    KeyRefused,
    MetadataExpired,
    NotPinned,
    NotSigned,
    PinConflict,
    PublishRefused,
    ReleaseConflict,
    SignatureRefused,
    SignerMissing,
    TokenRefused,
    TrustError,
    UnexpectedRelease,
)

__all__ = [
    "BitStationError",
    "DigestMismatch",
    "DiskFull",
    "DowngradeRefused",
    "FileChanged",
    "FileInUse",
    "InstallError",
    "IntegrityError",
    "KeyRefused",
    "ManifestError",
    "ManifestHashMismatch",
    "MetadataExpired",
    "MissingExtra",
    "NoEarlierRelease",
    "NoInstallation",
    "NoSuchRelease",
    "NotFound",
    "NotPinned",
    "NotSigned",
    "PackageInvalid",
    "PermissionRefused",
    "PinConflict",
    "PublishRefused",
    "RedirectRefused",
    "ReleaseConflict",
    "ReleaseDamaged",
    "ReleaseIncomplete",
    "SignatureRefused",
    "SignerMissing",
    "SourceBroken",
    "SourceError",
    "SourceUnreachable",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
    "TlsError",
    "TokenRefused",
    "ToolFolderInvalid",
    "TrustError",
    "UnexpectedRelease",
    "UnsafePathError",
    "UpdateCancelled",
    "UploadOffset",
    "UsageError",
    "VolumeUnfit",
]


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


class FolderOfPackages(UsageError):
    """A folder was named as a source that holds packages, and is no release and no mirror."""

    code = "folder-of-packages"
    message = "{folder} is no release and no published folder: it holds packages"
    hint = (
        "name one of them: {package}. A folder of several releases is made with "
        "'bitstation publish {folder} --to DIR': then name DIR"
    )


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
