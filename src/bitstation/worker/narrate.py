"""The run told in words, line by line, as its events come."""

from __future__ import annotations

from collections.abc import Callable

from bitstation.core import events
from bitstation.core.events import Event
from bitstation.core.stats import UpdateStats
from bitstation.i18n import translation


class Narrator:
    """A listener that writes the ``[updater]`` log of the contract; ``write`` takes one line."""

    def __init__(self, write: Callable[[str], None], lang: str | None = None) -> None:
        self._write = write
        catalogue = translation(lang)
        self._ = catalogue.gettext
        self._n = catalogue.ngettext
        self._stats = UpdateStats()
        self._command = ""
        self._phase = ""
        self._hash = ""
        self._collected = False

    def __call__(self, event: Event) -> None:
        """Tell one event; most need no line of their own."""
        if not isinstance(event, events.RunStarted):
            self._stats.apply(event)
        match event:
            case events.RunStarted():
                self._start(event)
            case events.PlanReady():
                self._plan(event)
            case events.PhaseChanged():
                self._enter(event.phase)
            case events.ReleaseActivated():
                if self._phase != "activate":
                    self._enter("activate")  # a rollback goes straight to it
                self._hash = event.manifest_hash
                self._line("  ✓ " + self._("Release activated: v{}").format(event.version))
            case events.ReleaseKept():
                text = self._("Earlier release kept for rollback: v{}").format(event.version)
                self._line("  ✓ " + text)
                self._collected = True
            case events.RunFinished():
                self._finish(event)
            case _:
                self._notice(event)

    def _start(self, event: events.RunStarted) -> None:
        _ = self._
        # One narrator may tell several runs: each has its own numbers.
        self._stats, self._hash, self._collected = UpdateStats(), "", False
        self._command = event.command
        self._stats.apply(event)
        if event.command == "update":
            self._line(_("Starting differential update"))
        else:
            self._line(_("Starting: {}").format(event.command))
        self._line("Tool: " + event.tool_id)
        self._line(_("Target version: {}").format(event.to_version))
        current = f"v{event.from_version}" if event.from_version else _("none")
        self._line(_("Current version: {}").format(current))
        if event.resumed:
            self._line(_("Going on where an interrupted run left off"))

    def _plan(self, event: events.PlanReady) -> None:
        self._leave()
        _ = self._
        self._line("  " + _("Files to download: {}").format(event.download_files))
        self._line("  " + _("Files unchanged: {}").format(event.unchanged_files))
        self._line("  " + _("Files to delete: {}").format(event.delete_files))
        self._write("")

    def _enter(self, phase: str) -> None:
        _ = self._
        titles = {
            "diff": _("Computing differences..."),
            "fetch": _("PHASE 1: Download"),
            "reuse": _("PHASE 2: Reuse of unchanged files"),
            "verify": _("PHASE 3: Integrity check"),
            "activate": _("PHASE 4: Atomic activation"),
            "mend": _("PHASE 4: Mending damaged files"),
            "collect": _("PHASE 5: Cleaning up obsolete files"),
        }
        if phase in titles:
            self._leave()
            self._phase = phase
            self._line(titles[phase])

    def _leave(self) -> None:
        """Sum up the phase that ends."""
        stats, n = self._stats, self._n
        count = 0
        text = ""
        if self._phase == "fetch":
            count = stats.files_downloaded
            text = n("{} file downloaded", "{} files downloaded", count)
        elif self._phase == "reuse":
            count = stats.files_unchanged
            text = n("{} file taken from this machine", "{} files taken from this machine", count)
            if stats.from_version:
                text = n(
                    "{} file taken from the current version",
                    "{} files taken from the current version",
                    count,
                )
        elif self._phase == "verify":
            count = stats.files_verified
            text = n("{} file verified", "{} files verified", count)
        elif self._phase == "collect" and not self._collected:
            text = self._("Nothing to clean up")
        if text:
            self._line("  ✓ " + text.format(count))
        self._phase = ""

    def _notice(self, event: Event) -> None:
        _ = self._
        match event:
            case events.SignatureVerified():
                self._line(_("Signed by publisher: {}").format(event.publisher))
            case events.UnsignedAllowed():
                self._line(_("Release without signature: allowed"))
            case events.GuardLowered():
                self._line("⚠ " + _("Guard lowered by {}").format(event.switch))
            case events.FolderExposed():
                text = _("Others may write in {}, and change what runs").format(event.folder)
                self._line("⚠ " + text)
            case events.IntegrityFailed() if event.healed:
                self._line("  ⚠ " + _("Damaged, fetching again: {}").format(event.path))
            case events.IntegrityFailed():
                self._line("  ✗ " + _("Wrong content: {}").format(event.path))
            case events.SourceFailed():
                self._line("  ⚠ " + _("Source failed, trying again: {}").format(event.code))
            case events.FilesCarried():
                self._line("  ✓ " + _("Files of yours carried along: {}").format(event.files))
            case events.ReleaseRetired():
                self._retired(event)
            case events.RetireDeferred():
                text = _("Earlier release left for now: v{} ({})")
                self._line("  ⚠ " + text.format(event.version, event.why))
                self._collected = True

    def _retired(self, event: events.ReleaseRetired) -> None:
        _ = self._
        self._collected = True
        self._line("  ✓ " + _("Earlier release removed: v{}").format(event.version))
        if event.set_aside:
            text = _("Unlisted files set aside: {} in {}")
            self._line("  ✓ " + text.format(event.set_aside, event.folder))
        if event.destroyed:
            self._line("  ⚠ " + _("Unlisted files deleted: {}").format(event.destroyed))

    def _finish(self, event: events.RunFinished) -> None:
        self._leave()
        _ = self._
        self._write("")
        if event.outcome == "nothing-to-do":
            self._line("✓ " + _("Nothing to do: everything is in place and proved"))
        elif event.outcome == "done" and self._command == "update":
            self._line("✓ " + _("Update completed successfully"))
        elif event.outcome == "done":
            self._line("✓ " + _("Completed: {}").format(self._command))
        elif event.activated:
            self._line("✗ " + _("Failed after activation ({})").format(event.outcome))
        elif self._command in ("update", "rollback"):
            self._line("✗ " + _("Failed ({}): nothing was activated").format(event.outcome))
        else:
            self._line("✗ " + _("Failed ({})").format(event.outcome))
        if self._hash:
            self._line("✓ " + _("manifest_hash verified: {}...").format(self._hash[:8]))

    def _line(self, text: str) -> None:
        self._write(f"[updater] {text}")
