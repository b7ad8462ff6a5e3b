"""What may be shown of a text that may hold an address: not the name, password or key in it.

Errors pass all their facts through here, and the command line what it did not expect, so that no
place needs to remember it.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# A password may hold signs that end the host's part; then it goes as far as the last @.
_NAMED = re.compile(r"(?<=://)(?:[^\s/?#]*@|[^\s/?#@:]+:(?!\d{1,5}/)\S*@)")
# Typed without a scheme: user:password@host.
_BARE = re.compile(r"(?<![^\s'\"(=])[^\s/:@\\'\"(=]+:(?![/\\])[^\s/@\\]+@(?=[\w\[])")
# Signed addresses carry their key behind the question mark.
_ASKED = re.compile(r"(?<=://)([^\s?#'\"]+)[?#][^\s'\"]*")
# Shorter ones are parts of ordinary words.
_SHORTEST = 8

_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """Never show this text again, whoever repeats it to us."""
    if len(secret) >= _SHORTEST:
        _secrets.add(secret)


def without_secrets(text: str) -> str:
    """The text without credentials of addresses, what follows their ``?``, and known secrets."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    if "@" in text:
        text = _BARE.sub(f"{HIDDEN}@", _NAMED.sub(f"{HIDDEN}@", text))
    return _ASKED.sub(rf"\1?{HIDDEN}", text) if "://" in text else text


def harmless(value: object) -> object:
    """A fact of an error, cleaned where it is text or a list of texts."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list):
        return [harmless(each) for each in value]
    return value
