"""The threads of a transfer: connections that take tasks from one queue, works beside them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Event, Lock

from bitstation.errors import UpdateCancelled
from bitstation.storage.hashing import Stop

_NAP_S = 0.05
_WORKERS = 2

Task = Callable[[], None]


class Crew:
    """Does tasks on ``connections`` threads; works, which may wait for tasks, on two more.

    The first failure stops the rest.
    """

    def __init__(self, stop: Stop, connections: int) -> None:
        self.connections = max(1, connections)
        self._stop = stop
        self._tasks: deque[Task] = deque()
        self._change = Condition()
        self._open_works = 0
        self._over = Event()
        self._lock = Lock()
        self._failure: BaseException | None = None

    def add(self, task: Task, *, first: bool = False) -> None:
        """Let a connection do something; ``first`` before all that waits."""
        with self._change:
            self._tasks.appendleft(task) if first else self._tasks.append(task)
            self._change.notify()

    def run(self, works: Iterable[Task] = ()) -> None:
        """Do all tasks beside ``works``, each in turn, which may add more.

        Raises the first failure.
        """
        pending = deque(works)
        self._open_works = len(pending)
        # A work may need a connection after all, when what it reads here has gone.
        connections = min(self.connections, max(len(self._tasks), min(1, len(pending))))
        targets = [self._fetching] * connections
        targets += [lambda: self._working(pending)] * min(_WORKERS, len(pending))
        threads = [
            threading.Thread(target=target, name="bitstation-transfer", daemon=True)
            for target in targets
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                # In turns, so that the main thread hears of signals on Windows too.
                while thread.is_alive():
                    thread.join(0.1)
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def check(self) -> None:
        """Raise UpdateCancelled once the run is over."""
        self._stop.check()
        if self._over.is_set():
            raise UpdateCancelled()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the run is over; then raise UpdateCancelled."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.check()
            self._over.wait(min(left_s, _NAP_S))
        self.check()

    def _fetching(self) -> None:
        try:
            while (task := self._next()) is not None:
                task()
        except BaseException as error:  # noqa: BLE001 - the border of the thread
            self._fail(error)

    def _working(self, pending: deque[Task]) -> None:
        try:
            while pending:
                try:
                    work = pending.popleft()
                except IndexError:
                    return
                self.check()
                work()
                with self._change:
                    self._open_works -= 1
                    self._change.notify_all()
        except BaseException as error:  # noqa: BLE001 - the border of the thread
            self._fail(error)

    def _next(self) -> Task | None:
        """The next task; None once nothing can come any more."""
        while True:
            self.check()
            with self._change:
                if self._tasks:
                    return self._tasks.popleft()
                if self._open_works == 0:
                    return None
                self._change.wait(_NAP_S)

    def _fail(self, error: BaseException) -> None:
        """Keep the first failure: it is the one that is told, the rest follow from it."""
        with self._lock:
            self._failure = self._failure or error
        self._over.set()
