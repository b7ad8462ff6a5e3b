"""Updates around a large model that does not change, or changes its name only; the no-op update."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import timing
import workshop
from report import Row, megabytes


def run(shop: workshop.Workshop) -> Iterator[Row]:
    """Three rows: model unchanged, model renamed, nothing to do.

    Each round publishes the next release of one chain, so each update is a real one: it stages,
    links, verifies, activates, and retires the release before the last.
    """
    size = shop.of(1_000_000_000, 200_000_000)
    tool = workshop.write_tool(shop.folder / workshop.TOOL_ID, "1.0.0")
    model = workshop.write_dense(tool / workshop.MODEL, size)
    chain = _Chain(shop, tool, model)
    with shop.hq() as hq:
        chain.begin(hq)
        kept, renamed, idle = timing.interleaved(
            2 * shop.rounds - 1, chain.unchanged, chain.renamed, lambda _round: chain.update()
        )
    for title, series, number in (("unchanged", kept, 0), ("renamed", renamed, 1)):
        payload = chain.payload(number)
        yield Row(
            f"update around a model of {size / 1e6:.0f} MB, {title}",
            f"{series.seconds()}, {series.cpu_s:.2f} s CPU",
            "",
            f"0 B of the model sent ({payload} B in all), {megabytes(series.read_bytes)} read",
            "< 0.5 s, 0 B, model not read",
            series.median_s < 0.5 and payload < 10_000 and series.read_bytes < size // 10,
        )
    yield Row(
        "update when there is nothing to do",
        f"{idle.seconds()}, {idle.cpu_s:.2f} s CPU",
        "",
        f"{megabytes(idle.read_bytes)} read",
        "< 0.4 s",
        idle.median_s < 0.4,
    )


class _Chain:
    """Releases of one tool, one after the other, and the worker that follows them."""

    def __init__(self, shop: workshop.Workshop, tool: Path, model: Path) -> None:
        self._shop = shop
        self._tool = tool
        self._model = model
        self._number = 0
        self._sent: tuple[list[int], list[int]] = ([], [])

    def begin(self, hq: workshop.Hq) -> None:
        """Publish and install the first release."""
        self._hq = hq
        hq.publish(self._tool)
        self.update()

    def unchanged(self, _round: int) -> timing.Measured:
        """The next release: a few scripts differ."""
        return self._follow(0)

    def renamed(self, _round: int) -> timing.Measured:
        """The next release: a few scripts differ, and the model has another name."""
        self._model = self._model.rename(self._model.with_name(f"model-{self._number}.bin"))
        return self._follow(1)

    def payload(self, kind: int) -> int:
        """Most bytes that an update of a kind got from HQ, by the worker's and by HQ's count."""
        return max(self._sent[kind])

    def update(self) -> timing.Measured:
        """Follow HQ."""
        words = ("update", workshop.TOOL_ID, "--allow-unsigned", "--hq", self._hq.url)
        return self._shop.bitstation(*words, "--root", self._shop.folder / "root", "-q", "--json")

    def _follow(self, kind: int) -> timing.Measured:
        self._number += 1
        workshop.next_release(self._tool, f"1.0.{self._number}")
        self._hq.publish(self._tool)
        workshop.settle()
        before = self._hq.sent_bytes()
        measured = self.update()
        sent = self._hq.sent_bytes() - before
        stats = json.loads(measured.stdout)
        manifest = (self._tool / "manifest.json").stat().st_size
        if stats["to_version"] != f"1.0.{self._number}" or stats["files_downloaded"] != 4:
            raise timing.Failed(f"not the update that was prepared: {stats}")
        # HQ counts the manifest too, which it keeps as a blob.
        self._sent[kind].append(max(stats["bytes_downloaded"], sent - manifest))
        return measured
