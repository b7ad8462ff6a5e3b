"""An HQ that lies: point any worker at it, and see what becomes of the worker.

    python -m bitstation.testing.hostile_hq --list
    python -m bitstation.testing.hostile_hq --attack T17        # or none, or all
    python -m bitstation.testing.hostile_hq --attack T17 --host 127.0.0.1 --port 8080

It listens on loopback, on any port that is free, and signs with keys that it makes itself and
forgets. All attacks lie under one root: ``/T17/before/`` is what a worker has seen, ``/T17/`` is
the lie, ``/T17/truth/`` the truth again. To HQ's clients each is an HQ of its own.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from bitstation.core.digest import digest_of
from bitstation.testing.attacks.attack import Acts, Attack, stage
from bitstation.testing.attacks.table import ATTACKS
from bitstation.testing.lies.releases import NEW, OLD
from bitstation.testing.releases import TOOL_ID
from bitstation.testing.scripted_hq import problem
from bitstation.testing.signed import SignedShelf
from bitstation.testing.web_server import Asked, Said, WebServer

_LOOK_S = 0.5
ALL = "all"


class HostileHq:
    """Plays every attack below a folder of its own; what it signs lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._acts: dict[str, Acts] = {}
        shelf = self._shelf("none")
        self.fingerprint = digest_of(shelf.place.first_root())
        self._acts["none"] = stage(ATTACKS["none"], shelf)

    def __call__(self, asked: Asked) -> Said:
        """What is sent to who asked."""
        name, _, path = asked.target.removeprefix("/").partition("/")
        if name not in ATTACKS:
            return problem(404, "not-found", "no such attack")
        acts = self._staged(ATTACKS[name])
        act, _, rest = path.partition("/")
        scripts = {"before": acts.before, "truth": acts.truth}
        script, below = (scripts[act], rest) if act in scripts else (acts.lie, path)
        return script(asked._replace(target=f"/{below}"))

    def _staged(self, attack: Attack) -> Acts:
        with self._lock:
            if attack.name not in self._acts:
                # The same keys: a worker that has joined one has joined all.
                shutil.copytree(self._folder / "none", self._folder / attack.name)
                self._acts[attack.name] = stage(attack, self._shelf(attack.name))
            return self._acts[attack.name]

    def _shelf(self, name: str) -> SignedShelf:
        shelf = SignedShelf(self._folder / name)
        shelf.publish(OLD, NEW)
        return shelf


def commands(attack: Attack, url: str, fingerprint: str) -> list[tuple[str, int]]:
    """Command lines that take a worker through an attack, and the exit code each must have."""
    here, tools = f"{url}/{attack.name}", f"--root hostile-{attack.name}"

    def update(version: str, act: str = "") -> str:
        return f"bitstation update {TOOL_ID} --version {version} --hq {here}/{act} {tools}"

    return [
        (f"bitstation join {here}/before/ --fingerprint {fingerprint} {tools}", 0),
        (update(attack.installed, "before/"), 0),
        (update(attack.asked), attack.exit_code),
        (update(NEW.version, "truth/"), 0),
    ]


def told(attack: Attack) -> str:
    """An attack in one line: its name, what it does, how it must end."""
    end = f"exit code {attack.exit_code} ({attack.code})" if attack.code else "the update succeeds"
    slow = ", after minutes" if attack.is_slow else ""
    return f"{attack.name:14} {attack.does}: {end}{slow}"


def guide(attacks: Sequence[Attack], url: str, fingerprint: str) -> str:
    """What to type, for people."""
    lines = [f"HQ that lies: {url}/NAME/", f"fingerprint of its root: {fingerprint}", ""]
    for attack in attacks if len(attacks) == 1 else ():
        lines += [told(attack), ""]
        for command, exit_code in commands(attack, url, fingerprint):
            lines += [f"must end with exit code {exit_code}:", f"  {command}"]
    if len(attacks) > 1:
        lines += [told(attack) for attack in attacks]
        lines += ["", "for the command lines of one: --attack NAME"]
    return "\n".join([*lines, "", "Ctrl+C ends it."])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def serve(hq: HostileHq, attacks: Sequence[Attack], listener: socket.socket) -> None:
    """Answer until Ctrl+C."""
    server = WebServer(listener=listener)
    host = listener.getsockname()[0]

    def forgetting(asked: Asked) -> Said:
        # Nobody looks at what was asked, and this may run for days.
        server.asked.clear()
        return hq(asked)

    server.script = forgetting
    name = f"[{host}]" if ":" in host else host
    sys.stdout.write(guide(attacks, f"http://{name}:{server.port}", hq.fingerprint) + "\n")
    sys.stdout.flush()
    never = threading.Event()
    try:
        # In pieces: Windows does not wake a wait without end for Ctrl+C.
        while not never.wait(_LOOK_S):
            pass
    except KeyboardInterrupt:
        return


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 once it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m bitstation.testing.hostile_hq")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true")
    what.add_argument("--attack", metavar="NAME", choices=[*ATTACKS, ALL])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    if given.list:
        sys.stdout.write("".join(f"{told(attack)}\n" for attack in ATTACKS.values()))
        return 0
    attacks = [*ATTACKS.values()] if given.attack == ALL else [ATTACKS[given.attack]]
    try:
        listener = listen(given.host, given.port)
    except (OSError, OverflowError) as error:
        parser.error(f"cannot listen on {given.host}, port {given.port}: {error}")
    with tempfile.TemporaryDirectory(prefix="bitstation-", ignore_cleanup_errors=True) as folder:
        serve(HostileHq(Path(folder)), attacks, listener)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
