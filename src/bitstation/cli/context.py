"""What every command is given: where to print, how to speak, which machine it works on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bitstation.core.events import Event, Listener
from bitstation.errors import BitStationError, UsageError
from bitstation.i18n import chosen_language, translation
from bitstation.storage.hashing import Stop
from bitstation.storage.tree import ToolsRoot

if TYPE_CHECKING:
    from bitstation.cli.display import Display
    from bitstation.transport.hq import HqClient, TokenProvider
    from bitstation.transport.pacing import Pacer
    from bitstation.transport.source import Source
    from bitstation.worker.run import Options
    from bitstation.worker.updater import DeltaUpdater

T = TypeVar("T", bound="Source | HqClient")

# What others name (an HQ, a file) may hold signs that steer a terminal.
_VISIBLE = {sign: f"\\x{sign:02x}" for sign in (*range(9), *range(11, 32), *range(127, 160))}


class Context:
    """Output, language and machine of one command. stdout is data, stderr is for people."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.lang = chosen_language(args.lang)
        catalogue = translation(self.lang)
        self.gettext: Callable[[str], str] = catalogue.gettext
        self.ngettext: Callable[[str, str, int], str] = catalogue.ngettext
        self.wants_json: bool = args.json
        self.wants_jsonl: bool = args.jsonl
        self.quiet: bool = args.quiet
        self.verbose: bool = args.verbose
        self.yes: bool = args.yes
        self.stop = Stop()
        self._display: Display | None = None
        self._has_answered = False
        self._abortable: list[Source | HqClient] = []
        self._pacer: Pacer | None = None

    @property
    def root(self) -> ToolsRoot:
        """Tools root: --root, else BITSTATION_ROOT, else the platform's place."""
        named = self.args.root or os.environ.get("BITSTATION_ROOT")
        if named:
            if Path(named).exists() and not Path(named).is_dir():
                raise UsageError(detail=self.gettext("{} is no folder").format(named))
            return ToolsRoot(Path(named))
        from platformdirs import user_data_path

        return ToolsRoot(user_data_path("bitstation", appauthor=False) / "tools")

    def print(self, text: str) -> None:
        """Print a result for people; nothing when a program reads stdout."""
        if not (self.wants_json or self.wants_jsonl):
            print(text.translate(_VISIBLE))

    def say(self, text: str) -> None:
        """Talk to people, above a running progress bar."""
        text = text.translate(_VISIBLE)
        if self._display is not None:
            self._display.line(text)
        else:
            print(text, file=sys.stderr)

    def note(self, text: str) -> None:
        """Talk to people who did not ask for quiet."""
        if not self.quiet:
            self.say(text)

    def json(self, value: object) -> None:
        """Print the one object of ``--json``: the first is the answer. Nothing without it."""
        if self.wants_json and not self._has_answered:
            self._has_answered = True
            print(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))

    def listeners(self) -> tuple[Listener, ...]:
        """What shows a run of the engine: log, progress, event lines."""
        from bitstation.cli.display import Display
        from bitstation.worker.narrate import Narrator

        found: list[Listener] = []
        if not self.quiet:
            self._display = self._display or Display(self.gettext)
            found = [Narrator(self._display.line, self.lang), self._display]
        if self.wants_jsonl:
            found.append(_print_event)
        return tuple(found)

    def progress(self, title: str, total_bytes: int) -> Callable[[int], None]:
        """Progress of work outside the engine; call the answer with each count of bytes done."""
        from bitstation.cli.display import Display

        if self.quiet:
            return lambda _count: None
        self._display = self._display or Display(self.gettext)
        return self._display.begin(title, total_bytes)

    def close(self) -> None:
        """End the progress display."""
        if self._display is not None:
            self._display.close()
            self._display = None

    def updater(self, tool_id: str, options: Options | None = None) -> DeltaUpdater:
        """Engine for one tool of this machine, shown as this command shows things."""
        from bitstation.worker.run import Options
        from bitstation.worker.updater import DeltaUpdater

        tree = self.root.tool(tool_id)
        return DeltaUpdater(
            tree.path,
            listeners=self.listeners(),
            options=options or Options(yes=self.yes),
            stop=self.stop,
        )

    def interrupt(self) -> None:
        """Ask the command to stop; called by a signal handler, and by a thread beside it."""
        self.stop.set()
        for each in self._abortable:
            each.abort()

    def _watch(self, source: T) -> T:
        self._abortable.append(source)
        if self.stop.is_set():
            source.abort()
        return source

    def source(self) -> Source:
        """Source that the arguments name, else HQ of BITSTATION_HQ. Raises UsageError."""
        from bitstation.transport.open import open_source

        args = self.args
        channel = getattr(args, "channel", None) or "stable"
        names = (getattr(args, name, None) for name in ("from_zip", "from_bundle", "from_"))
        named = next(filter(None, names), None)
        opened = open_source(named or self.hq_url(), channel=channel)
        if mirrors := getattr(args, "mirror", None):
            from bitstation.transport.failover import FailoverSource

            more = [open_source(each, channel=channel) for each in mirrors]
            opened = FailoverSource([opened, *more])
        return self._watch(opened)

    def pacer(self) -> Pacer | None:
        """What holds downloads to --limit, else to BITSTATION_LIMIT; one for all of a command."""
        wishes = getattr(self.args, "limit", None) or os.environ.get("BITSTATION_LIMIT", "").split()
        if wishes and self._pacer is None:
            from bitstation.core.pacing import parse_limits
            from bitstation.transport.pacing import Pacer

            self._pacer = Pacer(parse_limits(wishes))
        return self._pacer

    def hq_client(self, token: TokenProvider = lambda: None) -> HqClient:
        """Client of the HQ that the arguments or the environment name."""
        from bitstation.transport.hq import HqClient

        return self._watch(HqClient(self.hq_url(), token))

    def hq_url(self) -> str:
        """Address of HQ: --hq, else BITSTATION_HQ. Raises UsageError."""
        url = getattr(self.args, "hq", None) or os.environ.get("BITSTATION_HQ")
        if not url:
            raise UsageError(detail=self.gettext("no HQ is named: give --hq URL or BITSTATION_HQ"))
        return str(url) if "://" in url else f"http://{url}"

    def confirm(self, question: str) -> bool:
        """Ask a person; --yes answers, and where nobody can be asked the answer is no."""
        if self.yes:
            return True
        if not sys.stdin.isatty():
            return False
        print(question, self.gettext("[y/N]"), end=" ", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes", "s", "si", "sí")


def error_facts(error: BitStationError) -> dict[str, str]:
    """An error as ``--json`` shows it: ``code`` is stable, the words are not."""
    return {"code": error.code, "message": str(error), "hint": error.advice()}


def _print_event(event: Event) -> None:
    print(msgspec.json.encode(event).decode(), flush=True)


def add_source(
    parser: argparse.ArgumentParser, *, local: bool = True, mirrors: bool = False
) -> None:
    """Arguments that name a source, and others that serve when it does not."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--hq", metavar="URL", help="HQ's address (BITSTATION_HQ)")
    if local:
        group.add_argument("--from-zip", metavar="ZIP", help="a package, or its first part")
        group.add_argument("--from-bundle", metavar="FILE", help="a bundle, or its first part")
        group.add_argument(
            "--from",
            dest="from_",
            metavar="WHERE",
            help="a mirror (folder or address), release folder, package or bundle",
        )
    if mirrors:
        parser.add_argument(
            "--mirror",
            action="append",
            default=[],
            metavar="WHERE",
            help="another source of the same bytes, asked when the first fails; may be given again",
        )
    parser.add_argument("--channel", default="stable", help=argparse.SUPPRESS)
