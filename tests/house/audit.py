"""Known vulnerabilities of what requirements/*.txt pin, as pip-audit finds them.

    python dev.py audit [args]

It asks a service on the internet; the arguments go to pip-audit. Exit 1 where anything is found,
where the service does not know a package, or where an accepted finding has had its time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from tests.house.pins import ROOT, SETS, Pin, load_pins

ACCEPTED = ROOT / "requirements/accepted.toml"
# An old cryptography, whose known faults are the price of tests under Wine 8: nothing else gets it,
# and there it verifies what the tests themselves signed.
NOT_AUDITED = {"windows-wine"}
# Strict: a package that the service does not know fails, instead of counting as sound.
ASKED = ["--require-hashes", "--disable-pip", "--strict", "--progress-spinner=off"]


def main(arguments: list[str]) -> int:
    """Run pip-audit over every pin; 1 where a run of it fails."""
    accepted = load_accepted(ACCEPTED, datetime.now(UTC).date())
    return 1 if audit(audited_pins(), accepted, arguments) else 0


def audited_pins() -> list[Pin]:
    """What is asked about."""
    return [pin for path in SETS if path.stem not in NOT_AUDITED for pin in load_pins(path)]


def load_accepted(path: Path, today: date) -> list[str]:
    """Ids that are not counted; ends this program where one has no reason or no time left."""
    ids = []
    for finding in tomllib.loads(path.read_text("utf-8")).get("finding", []):
        name, reason, until = (finding.get(field) for field in ("id", "reason", "until"))
        if not (name and reason and type(until) is date):
            sys.exit(f"audit: {path.name}: each finding needs id, reason and until: {finding}")
        if until <= today:
            sys.exit(
                f"audit: {name} was accepted until {until}: mend it, or decide anew ({reason})"
            )
        ids.append(name)
    return ids


def audit(pins: Iterable[Pin], accepted: list[str], arguments: list[str]) -> int:
    """How many runs of pip-audit failed."""
    command = [sys.executable, "-m", "pip_audit", *ASKED]
    command += [f"--ignore-vuln={name}" for name in accepted]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bitstation-audit-") as folder:
        for number, turn in enumerate(turns(pins)):
            file = Path(folder) / f"{number}.txt"
            file.write_text("".join(map(line, turn)), "utf-8")
            failed += subprocess.call([*command, "-r", str(file), *arguments]) != 0
    return failed


def turns(pins: Iterable[Pin]) -> list[list[Pin]]:
    """Each package at each of its versions once, no turn with two versions of one.

    pip-audit refuses two, and passes over whatever a marker gives to another system or Python than
    its own: so the markers stay out.
    """
    made: list[dict[str, Pin]] = []
    seen = set()
    for pin in pins:
        if (pin.name, pin.version) in seen:
            continue
        seen.add((pin.name, pin.version))
        turn = next((turn for turn in made if pin.name not in turn), None)
        if turn is None:
            made.append(turn := {})
        turn[pin.name] = pin
    return [list(turn.values()) for turn in made]


def line(pin: Pin) -> str:
    """A pin as a line of requirements, for every system."""
    hashes = "".join(f" --hash=sha256:{digest}" for digest in pin.sha256)
    return f"{pin.name}=={pin.version}{hashes}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
