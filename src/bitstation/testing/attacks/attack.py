"""One way to lie: what is shown before, meanwhile and afterwards, and what a worker makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bitstation.testing.lies.releases import NEW, OLD
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.scripted_hq import Twist
from bitstation.testing.served import Served
from bitstation.testing.signed import SignedShelf
from bitstation.testing.web_server import Script

Show = Callable[[SignedShelf], MemorySource]


def honest(shelf: SignedShelf) -> MemorySource:
    """What is true."""
    return shelf.source()


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """One way to lie, and what a worker must make of it.

    The worker has joined, and installed ``installed`` from ``before``; it updates to ``asked`` from
    the lie, which ends with ``code`` (an error's; None: it succeeds). Then ``amends`` are made, and
    an update to the newest release succeeds.
    """

    name: str
    does: str
    code: str | None = None
    exit_code: int = 0
    installed: str = OLD.version
    asked: str = NEW.version
    before: Show = honest
    lie: Show = honest
    twist: Callable[[], Twist] | None = None
    """What is done to the answers on the way, while the lie is told."""
    amends: Callable[[SignedShelf], object] | None = None
    """How the truth is told again; None: signed anew by whom it was signed before."""
    is_slow: bool = False
    """A worker bears it for minutes before it gives up."""


class Acts(msgspec.Struct, frozen=True):
    """One after the other: what a worker has seen, the lie, and the truth again."""

    before: Script
    lie: Script
    truth: Script


def stage(attack: Attack, shelf: SignedShelf) -> Acts:
    """Play an attack on a shelf of its own, on which ``OLD`` and ``NEW`` are signed."""
    true_files = shelf.files()
    before = Served(attack.before(shelf))
    lie: Script = Served(attack.lie(shelf))
    if attack.twist is not None:
        lie = _twisted(lie, attack.twist())
    if attack.amends is None:
        shelf.mend(true_files)
    else:
        attack.amends(shelf)
    return Acts(before, lie, Served(honest(shelf)))


def _twisted(script: Script, twist: Twist) -> Script:
    return lambda asked: twist(asked, script(asked))


def nothing(_shelf: SignedShelf) -> None:
    """What was shown was true, or is mended already."""


def refused(
    name: str, does: str, lie: Show, code: str = "signature-refused", **more: Any
) -> Attack:
    """Attack that ends with an error, of trust unless ``more`` says otherwise."""
    return Attack(name=name, does=does, lie=lie, code=code, **{"exit_code": 31, **more})


def harmless(name: str, does: str, lie: Show = honest, **more: Any) -> Attack:
    """Attack in spite of which the update succeeds."""
    return Attack(name=name, does=does, lie=lie, **more)
