"""The words of a command line: commands, options everywhere, and what misuse of them says."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from bitstation.cli.main import COMMANDS
from bitstation.errors import UsageError
from bitstation.i18n import chosen_language, translation

_WITH_VALUE = ("--root", "--lang")


class Parser(argparse.ArgumentParser):
    """Refuses misuse with UsageError, and takes no shortened options.

    A script that shortens one would break with the next option that begins alike.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; how to use the command goes to people."""
        self.print_usage(sys.stderr)
        raise UsageError(detail=f"{self.prog}: {message}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words say. Raises UsageError; leaves with SystemExit after printing help."""
    parser = build_parser(words)
    args, left = parser.parse_known_args(list(words))
    # argparse fills a list from one run of words only, so that what follows an option is left.
    more = [word for word in left if not word.startswith("-")]
    listed = getattr(args, getattr(args, "list_of_words", ""), None)
    if more != left or (left and not listed):
        misused = " ".join(left)
        parser.error(argparse._("unrecognized arguments: %s") % misused)  # type: ignore[attr-defined]
    if left and listed:
        listed.extend(type(listed[0])(word) for word in left)
    return args


def bare(words: Sequence[str]) -> argparse.Namespace:
    """What is certain of words that make no sense as a whole: how to answer them."""
    lang = _language_among(words)
    wants_json = "--json" in words
    return argparse.Namespace(
        lang=lang, json=wants_json, jsonl=False, quiet=False, verbose=False, yes=False, root=None
    )


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Parser of all commands; only the one among ``words`` gets its own arguments."""
    _ = _argparse_speaks(_language_among(words))
    chosen = _command_among(words)
    parser = Parser(prog="bitstation", description=_("Differential releases of AI tools"))
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
                _note_list(each)
    return parser


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A command's parser and those of its verbs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from _parsers(choice)


def _note_list(parser: argparse.ArgumentParser) -> None:
    """Let a command say which of its arguments takes any number of words."""
    for action in parser._actions:
        if not action.option_strings and action.nargs in ("*", "+"):
            parser.set_defaults(list_of_words=action.dest)


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


def _command_among(words: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the value of one."""
    is_value = False
    for word in words:
        if not is_value and not word.startswith("-"):
            return word
        is_value = not is_value and word in _WITH_VALUE
    return None


def _language_among(words: Sequence[str]) -> str | None:
    for index, word in enumerate(words):
        if word == "--lang" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("--lang="):
            return word[len("--lang=") :]
    return chosen_language()
