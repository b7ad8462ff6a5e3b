"""Failures that only some sources know; what they have in common is in errors/."""

from __future__ import annotations

from bitstation.errors import SourceError, SourceUnreachable


class SourceStalled(SourceUnreachable):
    """The source began to answer, and then sent nothing or next to nothing."""

    code = "source-stalled"
    message = "{source} is too slow: {detail}"


class SourceRefused(SourceError):
    """The source will not serve this request, however often it is asked."""

    code = "source-refused"
    retryable = False
    message = "{source} refused: {detail}"
    hint = "the source does not serve this; check its address, or take another source"


class SourceChanged(SourceError):
    """What the source holds under this name became another thing while we read it.

    What was received of it and not proved must be dropped; asked again, it is read anew.
    """

    code = "source-changed"
    message = "{source} changed {what} while it was read"


class RangeIgnored(SourceError):
    """The source sends whole blobs only, so that nothing but a beginning can be read of one."""

    code = "range-ignored"
    retryable = False
    message = "{source} sent the whole of {what} where bytes from {offset} on were asked for"
    hint = "its web server does not serve parts of files (Range): turn that on, or use another"


class RangeRefused(SourceError):
    """The source says that the blob has no such bytes."""

    code = "range-refused"
    retryable = False
    message = "{source} says that {what} has no bytes from {offset} on: it holds another file"
    hint = "publish the release there again, or take another source"


class ProxyError(SourceError):
    """The proxy of this network does not let us through. ``proxy`` holds no user name."""

    code = "proxy"
    exit_code = 41
    retryable = False
    message = "the proxy {proxy} does not let us reach {source}: {detail}"
    hint = "check HTTP_PROXY and HTTPS_PROXY, user and password; NO_PROXY names hosts without it"


class ProxyUnreachable(ProxyError):
    """The proxy itself does not answer, or says that it cannot reach the source now."""

    code = "proxy-unreachable"
    retryable = True


class BaseNeeded(SourceError):
    """The source holds only what is new since releases of which none is installed here."""

    code = "base-needed"
    retryable = False
    message = "{source} goes on from {tool_id} {bases}, which is not what is installed here"
    hint = "install that release first, or take a bundle that was made without --base"
