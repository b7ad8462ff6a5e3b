"""From words to a command: the signals and the one place that catches errors."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from bitstation import __version__
from bitstation.cli.context import Context, error_facts
from bitstation.cli.main import COMMANDS
from bitstation.cli.parser import bare, build_parser, parse
from bitstation.errors import BitStationError, SourceError, UpdateCancelled, UsageError
from bitstation.shown import without_secrets

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def dispatch(words: Sequence[str]) -> int:
    """Parse the words, run the command, and return the exit code of the contract."""
    _speak_utf8()
    try:
        args = parse(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except UsageError as error:
        _explain(error, Context(bare(words)))
        return error.exit_code
    ctx = Context(args)
    if args.command is None:
        return _without_command(args, words, ctx)
    signals: list[int] = []
    with _signals(ctx, signals):
        try:
            if ctx.wants_json and ctx.wants_jsonl:
                raise UsageError(detail=ctx.gettext("--json and --jsonl exclude each other"))
            module = importlib.import_module(f"bitstation.cli.{COMMANDS[args.command][0]}")
            code = module.run(args, ctx)
            sys.stdout.flush()
            return int(code)
        except BitStationError as error:
            ctx.close()
            # Once asked to stop, we end transfers ourselves: that is no fault of the source.
            if signals and isinstance(error, UpdateCancelled | SourceError):
                _explain(UpdateCancelled(), ctx)
                return _signalled(signals)
            _explain(error, ctx)
            return error.exit_code
        except KeyboardInterrupt:
            ctx.close()
            ctx.json({"error": {"code": UpdateCancelled.code, "message": "", "hint": ""}})
            ctx.say(ctx.gettext("Interrupted"))
            return _signalled(signals)
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


def _without_command(args: argparse.Namespace, words: Sequence[str], ctx: Context) -> int:
    if args.version:
        ctx.json({"version": __version__})
        ctx.print(f"bitstation {__version__}")
    else:
        build_parser(words).print_help()
    return 0


def _signalled(signals: Sequence[int]) -> int:
    return EXIT_TERMINATED if signal.SIGTERM in signals else EXIT_INTERRUPTED


@contextlib.contextmanager
def _signals(ctx: Context, received: list[int]) -> Iterator[None]:
    """First signal: stop at the next block, keeping what is done. Second: stop at once."""

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        ctx.interrupt()

    with _watched(ctx):
        earlier = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _watched(ctx: Context) -> Iterator[None]:
    """Let a thread take note of signals as well.

    The handler runs in the main thread only, which may have begun to wait for other threads just
    as the signal came (or on Windows at any time before), and then would hear of it no sooner
    than the download is over.
    """
    read_fd, write_fd = os.pipe()
    if sys.platform != "win32":
        os.set_blocking(write_fd, False)

    def watch() -> None:
        while numbers := os.read(read_fd, 64):
            if {signal.SIGINT, signal.SIGTERM} & set(numbers):
                ctx.interrupt()

    watcher = threading.Thread(target=watch, name="bitstation-signals", daemon=True)
    watcher.start()
    earlier = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        os.close(write_fd)
        watcher.join()
        os.close(read_fd)


def _explain(error: BitStationError, ctx: Context) -> None:
    ctx.json({"error": error_facts(error)})
    ctx.say("✗ " + error.text(ctx.gettext))
    if advice := error.advice(ctx.gettext):
        ctx.say("  " + ctx.gettext("What to do: {}").format(advice))
    if ctx.verbose:
        ctx.say(_trace(error))


def _explain_unexpected(error: Exception, ctx: Context) -> None:
    said = without_secrets(str(error))
    ctx.json({"error": {"code": BitStationError.code, "message": said, "hint": ""}})
    ctx.say("✗ " + ctx.gettext("Unexpected error: {}").format(f"{type(error).__name__}: {said}"))
    if ctx.verbose:
        ctx.say(_trace(error))
    else:
        ctx.say("  " + ctx.gettext("-v shows where it happened"))


def _trace(error: Exception) -> str:
    """Where it happened, and what caused it: others' errors may repeat an address."""
    return without_secrets("".join(traceback.format_exception(error)))


def _speak_utf8() -> None:
    """Windows consoles and pipes may have another encoding, which lacks the report's signs.

    Names of files that are no UTF-8 are shown as well as can be.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace")
