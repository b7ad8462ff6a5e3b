"""The numbers of one run, folded from its events, and the report people read."""

from __future__ import annotations

import msgspec

from bitstation.core import events
from bitstation.core.events import Event

_RULE = "═" * 55


class UpdateStats(msgspec.Struct):
    """Counts of one run; sizes in bytes.

    Downloaded + unchanged = entries; verified = proved entries; deleted = paths of the base that
    the active release no longer has.
    """

    tool_id: str = ""
    from_version: str | None = None
    to_version: str = ""
    manifest_hash: str = ""
    outcome: str = ""
    activated: bool = False
    files_downloaded: int = 0
    files_verified: int = 0
    files_verified_by_hash: int = 0
    files_deleted: int = 0
    files_unchanged: int = 0
    files_carried: int = 0
    files_set_aside: int = 0
    bytes_downloaded: int = 0
    bytes_reused: int = 0
    bytes_total: int = 0
    seconds: float = 0.0
    sources: dict[str, int] = {}

    @property
    def files_skipped(self) -> int:
        """Original name of ``files_unchanged``."""
        return self.files_unchanged

    def apply(self, event: Event) -> None:
        """Fold one event in."""
        match event:
            case events.RunStarted():
                # What recovery did before it belongs to an earlier run.
                self._begin_anew()
                self.tool_id, self.from_version = event.tool_id, event.from_version
                self.to_version, self.manifest_hash = event.to_version, event.manifest_hash
            case events.BodyReceived():
                self.bytes_downloaded += event.body_bytes
                self.sources[event.source] = self.sources.get(event.source, 0) + event.body_bytes
            case events.EntryPlaced():
                self._place(event)
            case events.EntryVerified():
                self.files_verified += 1
                self.files_verified_by_hash += event.by_hash
            case events.ReleaseActivated():
                self.activated, self.files_deleted = True, event.deleted_files
            case events.FilesCarried():
                self.files_carried += event.files
            case events.ReleaseRetired():
                self.files_set_aside += event.set_aside
            case events.RunFinished():
                self.outcome, self.seconds = event.outcome, event.seconds

    def _begin_anew(self) -> None:
        fresh = UpdateStats()
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))

    def _place(self, event: events.EntryPlaced) -> None:
        self.bytes_total += event.size_bytes
        if event.source:
            self.files_downloaded += 1
            self.bytes_reused += event.reused_bytes
        else:
            self.files_unchanged += 1
            self.bytes_reused += event.size_bytes

    def as_json(self) -> dict[str, object]:
        """Object that ``update --json`` prints."""
        names = (
            "tool_id from_version to_version manifest_hash files_downloaded files_verified "
            "files_verified_by_hash files_deleted files_unchanged files_carried files_set_aside "
            "bytes_downloaded bytes_reused bytes_total seconds sources"
        )
        return {name: getattr(self, name) for name in names.split()}

    def report(self, lang: str | None = None) -> str:
        """Report box in Spanish or English (``lang``; default: environment, then locale)."""
        from bitstation.i18n import translation

        _ = translation(lang).gettext
        rows = [
            ("📥 ", _("Files downloaded:"), f"{self.files_downloaded}"),
            ("✓  ", _("Files verified:"), f"{self.files_verified}"),
            ("🗑  ", _("Files deleted:"), f"{self.files_deleted}"),
            ("⏭  ", _("Files unchanged:"), f"{self.files_unchanged}"),
            ("📊 ", _("Data downloaded:"), f"{self.bytes_downloaded / 1e6:.2f} MB"),
            ("♻  ", _("Data reused:"), f"{self.bytes_reused / 1e6:.2f} MB"),
        ]
        if self.bytes_total:
            saved = 100 * (1 - min(1, self.bytes_downloaded / self.bytes_total))
            rows.append(("💾 ", _("Saved:"), f"{saved:.1f} %"))
        if self.files_carried:
            rows.append(("📎 ", _("Files carried:"), f"{self.files_carried}"))
        if self.files_set_aside:
            rows.append(("📦 ", _("Files set aside:"), f"{self.files_set_aside}"))
        rows.append(("⏱  ", _("Time:"), f"{self.seconds:.1f} s"))
        # The signs are one or two columns wide, whatever their length: they stay out of the count.
        width = max(len(label) for _sign, label, _value in rows) + 2
        lines = [f"  {sign}{label:<{width}}{value}" for sign, label, value in rows]
        title = "  " + _("DIFFERENTIAL UPDATE REPORT")
        return "\n".join([_RULE, title, _RULE, *lines, _RULE])
