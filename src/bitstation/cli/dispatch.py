"""From words to a command: the parser, the signals and the one place that catches errors."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bitstation.cli.context import Context
from bitstation.cli.main import COMMANDS
from bitstation.errors import BitStationError, UpdateCancelled
from bitstation.i18n import chosen_language, translation

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def dispatch(words: Sequence[str]) -> int:
    """Parse the words, run the command, and return the exit code of the contract."""
    _speak_utf8()
    parser = build_parser(words)
    args = parser.parse_args(list(words))
    if args.command is None:
        parser.print_help()
        return 0
    ctx = Context(args)
    module = importlib.import_module(f"bitstation.cli.{COMMANDS[args.command][0]}")
    terminated: list[int] = []
    with _signals(ctx, terminated):
        try:
            code = module.run(args, ctx)
            sys.stdout.flush()
            return int(code)
        except BitStationError as error:
            ctx.close()
            _explain(error, ctx)
            cancelled = isinstance(error, UpdateCancelled)
            return EXIT_TERMINATED if cancelled and terminated else error.exit_code
        except KeyboardInterrupt:
            ctx.close()
            ctx.say(ctx.gettext("Interrupted"))
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # Whoever read our output went away; say nothing more on it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:  # noqa: BLE001 - the border of the command
            ctx.close()
            _explain_unexpected(error, ctx)
            return 1
        finally:
            ctx.close()


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Parser of all commands; only the one among ``words`` gets its own arguments."""
    _ = _argparse_speaks(_language_among(words))
    chosen = next((word for word in words if word in COMMANDS), None)
    parser = argparse.ArgumentParser(
        prog="bitstation", description=_("Differential releases of AI tools")
    )
    parser.add_argument("-V", "--version", action="store_true", help=_("show the version"))
    _add_common(parser, _, top=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title=_("commands"))
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=_(summary), description=_(summary))
        if name == chosen:
            module = importlib.import_module(f"bitstation.cli.{module_name}")
            module.add_arguments(command)
            _translate_help(command, _)
            for each in _parsers(command):
                _add_common(each, _, top=False)
    return parser


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A command's parser and those of its verbs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from _parsers(choice)


def _argparse_speaks(lang: str | None) -> Callable[[str], str]:
    """Translate argparse's own words, which it takes from a name of its module; our gettext."""
    catalogue = translation(lang)
    argparse._ = catalogue.gettext  # type: ignore[attr-defined]
    argparse.ngettext = catalogue.ngettext  # type: ignore[attr-defined]
    return catalogue.gettext


def _translate_help(parser: argparse.ArgumentParser, say: Callable[[str], str]) -> None:
    """Translate the help of every argument, so that commands declare them in English only."""
    for action in parser._actions:
        verbs = action if isinstance(action, argparse._SubParsersAction) else None
        for told in (action, *(verbs._choices_actions if verbs else ())):
            if told.help and told.help != argparse.SUPPRESS:
                told.help = say(told.help)
        for verb in verbs.choices.values() if verbs else ():
            _translate_help(verb, say)


def _add_common(parser: argparse.ArgumentParser, _: Callable[[str], str], *, top: bool) -> None:
    """Options that every command takes, before or after its name."""
    group = parser.add_argument_group(_("everywhere"))
    kept: dict[str, Any] = {} if top else {"default": argparse.SUPPRESS}
    group.add_argument("--root", metavar="DIR", help=_("tools root (BITSTATION_ROOT)"), **kept)
    group.add_argument("--json", action="store_true", help=_("one JSON object"), **kept)
    group.add_argument("--jsonl", action="store_true", help=_("events as JSON lines"), **kept)
    group.add_argument("--lang", choices=("es", "en"), help=_("language"), **kept)
    group.add_argument("-q", "--quiet", action="store_true", help=_("say less"), **kept)
    group.add_argument("-v", "--verbose", action="store_true", help=_("say more"), **kept)
    group.add_argument("--yes", action="store_true", help=_("answer yes"), **kept)


def _language_among(words: Sequence[str]) -> str | None:
    for index, word in enumerate(words):
        if word == "--lang" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("--lang="):
            return word[len("--lang=") :]
    return chosen_language()


@contextlib.contextmanager
def _signals(ctx: Context, terminated: list[int]) -> Iterator[None]:
    """First signal: stop at the next block, keeping what is done. Second: stop at once."""

    def stop(number: int, _frame: object) -> None:
        if ctx.stop.is_set():
            raise KeyboardInterrupt
        if number == signal.SIGTERM:
            terminated.append(number)
        ctx.stop.set()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _explain(error: BitStationError, ctx: Context) -> None:
    if ctx.wants_json:
        ctx.json({"error": {"code": error.code, "message": str(error), "hint": error.advice()}})
    ctx.say("✗ " + error.text(ctx.gettext))
    if advice := error.advice(ctx.gettext):
        ctx.say("  " + ctx.gettext("What to do: {}").format(advice))
    if ctx.verbose:
        ctx.say("".join(traceback.format_exception(error)))


def _explain_unexpected(error: Exception, ctx: Context) -> None:
    if ctx.wants_json:
        ctx.json({"error": {"code": "unexpected", "message": str(error), "hint": ""}})
    ctx.say("✗ " + ctx.gettext("Unexpected error: {}").format(f"{type(error).__name__}: {error}"))
    if ctx.verbose:
        ctx.say("".join(traceback.format_exception(error)))
    else:
        ctx.say("  " + ctx.gettext("-v shows where it happened"))


def _speak_utf8() -> None:
    """Windows consoles and pipes may have another encoding, which lacks the report's signs."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure and (stream.encoding or "").lower().replace("-", "") != "utf8":
            reconfigure(encoding="utf-8", errors="replace")
