"""Stamps events with their envelope and hands them on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from bitstation.core.events import Event, Listener, PhaseChanged

E = TypeVar("E", bound=Event)


class Emitter:
    """Stamps events with their envelope and hands them to the listeners, one at a time."""

    def __init__(
        self, run_id: str, tool_id: str, clock: Callable[[], float], listeners: tuple[Listener, ...]
    ) -> None:
        self.run_id = run_id
        self._tool_id = tool_id
        self._clock = clock
        self._listeners = listeners
        self._phase = ""
        self._seq = 0
        self._lock = threading.Lock()

    def emit(self, kind: type[E], **fields: object) -> None:
        """Send one event of ``kind`` to every listener; callable from any thread."""
        with self._lock:
            if kind is PhaseChanged:
                self._phase = str(fields["phase"])
            envelope: dict[str, Any] = {"phase": self._phase, **fields}
            event = kind(
                run_id=self.run_id,
                seq=self._seq,
                at_s=self._clock(),
                tool_id=self._tool_id,
                **envelope,
            )
            self._seq += 1
            for listener in self._listeners:
                listener(event)
