"""``bitstation demo``: the whole story on this machine, told by the real commands.

An HQ and two workers on loopback, a tool with a real model, an install, the next release, a
tampered file, a rollback, an edit of the model's metadata. Everything happens in a temporary folder
that is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from bitstation.cli.context import Context
from bitstation.cli.display import size_text
from bitstation.core.manifest import Manifest
from bitstation.errors import BitStationError
from bitstation.storage.tree import ToolsRoot
from bitstation.testing.local_hq import LocalHq, local_hq
from bitstation.worker.history import read_history

TOOL_ID = "z-image-turbo"
FIRST, NEXT, EDITED = "2.4.0", "2.4.1", "2.4.2"


class DemoFailed(BitStationError):
    """A step of the demo did not do what it shows."""

    code = "demo-failed"
    message = "'bitstation {command}' did not end as it should: {actual}"


class Row(NamedTuple):
    """A line of the closing table."""

    step: str
    files: int
    size_bytes: int
    release_bytes: int
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work in DIR and leave it there")


def run(args: argparse.Namespace, ctx: Context) -> int:
    """Tell the story; any step that does not end as it should ends the demo with an error."""
    started_s = time.monotonic()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        _Story(args.keep.absolute(), ctx).tell()
    else:
        with tempfile.TemporaryDirectory(prefix="bitstation-demo-") as folder:
            _Story(Path(folder), ctx).tell()
    text = ctx.gettext("The demo took {:.1f} s and leaves nothing behind.")
    if args.keep:
        text = ctx.gettext("The demo took {:.1f} s; everything is in {}.")
    ctx.print("\n" + text.format(time.monotonic() - started_s, args.keep))
    return 0


class _Story:
    """One telling in one folder."""

    def __init__(self, folder: Path, ctx: Context) -> None:
        self._folder = folder
        self._ctx = ctx
        self._ = ctx.gettext
        self._tool = folder / "tools" / TOOL_ID
        self._workers = (folder / "worker-a", folder / "worker-b")
        self._rows: list[Row] = []
        self._environment: list[str] = []

    def tell(self) -> None:
        """Every step in order."""
        # The publisher's ledger too goes when the folder goes.
        os.environ["BITSTATION_CACHE_DIR"] = str(self._folder / "publisher-cache")
        with self._hq() as hq:
            self._url, self._token = hq.url, str(hq.token_file)
            self._fingerprint = hq.fingerprint
            self._publish_first()
            self._install()
            self._publish_next()
            self._update()
            self._tamper_and_heal()
            self._refuse_forgery()
            self._roll_back()
            self._edit_model()
        self._show_rows()

    @contextmanager
    def _hq(self) -> Iterator[LocalHq]:
        self._title(self._("An HQ starts"))
        data, log = self._folder / "hq", self._folder / "hq.log"
        self._show_command(["hq", "serve", "--data", str(data), "--listen", "127.0.0.1:0"])
        try:
            with local_hq(data, log) as hq:
                self._ctx.print(self._("HQ listening on {}").format(hq.url))
                yield hq
        except RuntimeError as error:
            words = log.read_text("utf-8", "replace")
            raise DemoFailed(command="hq serve", actual=words or str(error)) from error

    def _publish_first(self) -> None:
        from bitstation.testing.sample_tool import write_sample_tool

        self._title(self._("A publisher makes a release of a tool folder with a real model"))
        sample = write_sample_tool(self._tool, FIRST)
        self._ctx.print(sample.describe())
        self._release(FIRST)

    def _publish_next(self) -> None:
        from bitstation.testing.sample_tool import next_version

        self._title(self._("The next version: a few files change, the model does not"))
        next_version(self._tool, NEXT)
        self._bitstation("diff", str(self._workers[0] / TOOL_ID / "releases" / f"v{FIRST}"),
                         str(self._tool))  # fmt: skip
        self._release(NEXT)
        self._title(self._("The workers are outdated now: no network jobs for them"))
        self._eligibility(self._workers[0], NEXT, expected=20)

    def _release(self, version: str) -> None:
        dist = str(self._folder / "dist")
        self._bitstation("pack", str(self._tool), "--out", dist)
        token = ("--hq", self._url, "--token-file", self._token)
        self._bitstation("publish", dist, *token)
        self._bitstation("hq", "require", TOOL_ID, version, *token)

    def _install(self) -> None:
        self._title(self._("Two workers install it"))
        for worker in self._workers:
            words = ("join", self._url, "--fingerprint", self._fingerprint)
            self._bitstation(*words, "--root", str(worker))
            self._run_update(worker, self._("{} installs").format(worker.name))
        self._eligibility(self._workers[0], FIRST)

    def _update(self) -> None:
        self._title(self._("They download only what changed"))
        for worker in self._workers:
            self._run_update(worker, self._("{} updates").format(worker.name))
        self._eligibility(self._workers[0], NEXT)

    def _tamper_and_heal(self) -> None:
        worker = self._workers[0]
        self._title(self._("Somebody changes a file of {}").format(worker.name))
        release = worker / TOOL_ID / "releases" / f"v{NEXT}"
        target = next(path for path in sorted(release.rglob("*.py")))
        with target.open("ab") as file:
            file.write(b"\nimport os  # not what was published\n")
        self._eligibility(worker, NEXT, expected=20)
        self._bitstation("verify", TOOL_ID, "--root", str(worker), expected=30)
        self._bitstation("repair", TOOL_ID, "--root", str(worker), "--hq", self._url, "-q")
        self._note(worker, self._("{} heals itself").format(worker.name))
        self._eligibility(worker, NEXT)

    def _refuse_forgery(self) -> None:
        """A package is changed, and its manifest made to fit: only the signature tells."""
        from bitstation.testing.forgery import write_forgery

        worker = self._workers[0]
        self._title(self._("Somebody offers a release of his own under the next version"))
        forged = write_forgery(self._tool, self._folder / "stick" / TOOL_ID, EDITED)
        words = ("update", TOOL_ID, "--root", str(worker), "--from", str(forged))
        self._bitstation(*words, expected=31)
        self._eligibility(worker, NEXT)

    def _roll_back(self) -> None:
        worker = self._workers[1]
        self._title(self._("The other worker goes back, without a byte from the network"))
        self._bitstation("rollback", TOOL_ID, "--root", str(worker))
        self._note(worker, self._("{} rolls back").format(worker.name))
        self._bitstation("status", "--root", str(worker))
        self._eligibility(worker, NEXT, expected=20)

    def _edit_model(self) -> None:
        from bitstation.testing.sample_tool import edited_version

        self._title(self._("The model's metadata is edited: every byte of its weights moves"))
        edited_version(self._tool, EDITED)
        self._release(EDITED)
        for worker in self._workers:
            self._bitstation(
                "update", TOOL_ID, "--root", str(worker), "--hq", self._url, "--dry-run"
            )
            self._run_update(worker, self._("{} takes the edit").format(worker.name))
        self._eligibility(self._workers[0], EDITED)

    def _run_update(self, worker: Path, step: str) -> None:
        self._bitstation("update", TOOL_ID, "--root", str(worker), "--hq", self._url)
        self._note(worker, step)

    def _eligibility(self, worker: Path, version: str, expected: int = 0) -> None:
        digest = self._published(version).manifest_hash
        words = ("eligibility", TOOL_ID, "--require", version, "--hash", digest)
        self._bitstation(*words, "--root", str(worker), expected=expected)

    def _published(self, version: str) -> Manifest:
        from bitstation.core.manifest import parse_manifest

        name = f"tool_{TOOL_ID}_{version}.manifest.json"
        return parse_manifest((self._folder / "dist" / name).read_bytes())

    def _bitstation(self, *words: str, expected: int = 0) -> None:
        from bitstation.cli.dispatch import EXIT_INTERRUPTED, EXIT_TERMINATED, dispatch

        self._show_command(words)
        # What the commands say is for people; of the demo's own stdout a program reads the end.
        with redirect_stdout(sys.stderr if self._ctx.wants_json else sys.stdout):
            actual = dispatch([*words, "--lang", self._ctx.lang])
        if actual in (EXIT_INTERRUPTED, EXIT_TERMINATED):
            # The command under way took the signal.
            self._ctx.stop.set()
        self._ctx.stop.check()
        if actual != expected:
            raise DemoFailed(command=words[0], actual=f"exit {actual}, not {expected}")

    def _note(self, worker: Path, step: str) -> None:
        tree = ToolsRoot(worker).tool(TOOL_ID)
        last = read_history(tree)[-1]
        release_bytes = self._published(last.to_version).total_bytes
        self._rows.append(
            Row(step, last.downloaded, last.bytes_downloaded, release_bytes, last.seconds)
        )

    def _title(self, text: str) -> None:
        self._ctx.print(f"\n=== {text}")

    def _show_command(self, words: Sequence[str]) -> None:
        shown = " ".join(words).replace(str(self._folder), "~")
        self._ctx.print(f"\n$ bitstation {shown}")
        sys.stdout.flush()

    def _show_rows(self) -> None:
        _ = self._
        self._title(_("What each step downloaded"))
        self._ctx.json({"steps": [row._asdict() for row in self._rows]})
        for row in self._rows:
            self._ctx.print(
                f"  {row.step:<28}{row.files:>5} "
                + _("files")
                + f"  {size_text(row.size_bytes):>10} "
                + _("of")
                + f" {size_text(row.release_bytes):>10}  {row.seconds:>6.2f} s"
            )
