"""Somebody offers or asks what they are not allowed to: exit codes 31 and 32."""

from __future__ import annotations

from bitstation.errors.base import BitStationError


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


class SignerMissing(TrustError):
    """A key lives where only packages reach that are not installed."""

    code = "signer-missing"
    message = (
        "{name}: its key lives in '{scheme}:', which needs packages that are missing: {detail}"
    )
    hint = 'install them with: pip install "securesystemslib[{extra}]"'


class TokenRefused(TrustError):
    """HQ did not accept the token, or none was given."""

    code = "token-refused"
    message = "{source} refused: {detail}"
    hint = "give the token HQ wrote at its first start, by --token-file or BITSTATION_TOKEN_FILE"


class PublishRefused(TrustError):
    """HQ does not take what it was given; ``detail`` is HQ's own word."""

    code = "publish-refused"
    message = "{source} refused: {detail}"
