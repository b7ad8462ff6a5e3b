"""Group K where signed metadata are concerned: clocks of workers and of HQ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bitstation import BitStationError, DeltaUpdater
from bitstation.testing.releases import make_release
from bitstation.testing.signed import SignedShelf
from bitstation.trust import chain
from bitstation.trust.roles import ONLINE_LIFE, SLACK

THIRD = make_release({"a": b"3"}, "1.2.0")


def clock_shows(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(chain, "utc_now", lambda: moment)


def update(pinned: DeltaUpdater, shelf: SignedShelf) -> str:
    """Code of the error, or the version that is current then."""
    try:
        pinned.update(shelf.source())
    except BitStationError as error:
        return error.code
    return str(pinned.tree.current_version())


def test_k01_1970(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow clock keeps nobody from updates; what HQ signed later is not revived by it."""
    clock_shows(monkeypatch, datetime(1970, 1, 1, tzinfo=UTC))
    assert update(pinned, shelf) == "1.1.0"


def test_k01_1970_does_not_revive_what_has_expired(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = shelf.source()
    shelf.moment += ONLINE_LIFE + 2 * SLACK
    shelf.place.renew()
    # The signed time of the newest timestamp is learnt, though its snapshot is withheld.
    cut = shelf.source()
    del cut.metadata[f"{shelf.version('snapshot')}.snapshot.json"]
    with pytest.raises(BitStationError):
        pinned.update(cut)
    clock_shows(monkeypatch, datetime(1970, 1, 1, tzinfo=UTC))
    with pytest.raises(BitStationError) as caught:
        pinned.update(frozen)
    assert caught.value.code in ("signature-refused", "metadata-expired")


@pytest.mark.parametrize("year", [2038, 2106, 9999])
def test_k02_far_future(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    """All looks expired; the message shows this machine's clock, and nothing is lost."""
    clock_shows(monkeypatch, datetime(year, 2, 1, tzinfo=UTC))
    with pytest.raises(BitStationError) as caught:
        pinned.update(shelf.source())
    assert caught.value.code == "metadata-expired"
    assert str(year) in str(caught.value)
    assert pinned.verify().damaged == ()


@pytest.mark.parametrize("days", [1, -1], ids=["k03", "k04"])
def test_k03_k04_a_day_off(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    clock_shows(monkeypatch, datetime.now(UTC) + timedelta(days=days))
    assert update(pinned, shelf) == "1.1.0"


def test_k05_jump_during_an_update(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment is read once, when the chain begins."""
    moments = iter([datetime.now(UTC), *[datetime(2099, 1, 1, tzinfo=UTC)] * 99])
    monkeypatch.setattr(chain, "utc_now", lambda: next(moments))
    assert update(pinned, shelf) == "1.1.0"


@pytest.mark.parametrize("days", [400, -400], ids=["fast", "slow"])
def test_k06_hq_clock_wrong(pinned: DeltaUpdater, shelf: SignedShelf, days: int) -> None:
    """A slow HQ signs what has expired already; a fast one what is good for long."""
    shelf.moment += timedelta(days=days)
    shelf.publish(THIRD)
    assert update(pinned, shelf) == ("1.2.0" if days > 0 else "metadata-expired")


@pytest.mark.parametrize(
    ("late", "outcome"),
    [
        (timedelta(minutes=1), "1.1.0"),
        (SLACK - timedelta(minutes=5), "1.1.0"),
        (SLACK + timedelta(minutes=5), "metadata-expired"),
        (timedelta(days=365), "metadata-expired"),
    ],
)
def test_k07_metadata_expired(
    pinned: DeltaUpdater,
    shelf: SignedShelf,
    monkeypatch: pytest.MonkeyPatch,
    late: timedelta,
    outcome: str,
) -> None:
    """Within the slack it passes: two systems on one PC show different hours."""
    expires = shelf.loaded("timestamp").signed.expires.replace(tzinfo=UTC)
    clock_shows(monkeypatch, expires + late)
    assert update(pinned, shelf) == outcome


def test_k06_a_signed_time_ahead_is_no_excuse_for_the_dead(
    pinned: DeltaUpdater, shelf: SignedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed times only ever put a clock forward, so that nobody freezes a worker with them."""
    shelf.moment += timedelta(days=1)
    shelf.place.renew()
    frozen = shelf.source()
    clock_shows(monkeypatch, shelf.moment + ONLINE_LIFE + SLACK + timedelta(hours=1))
    with pytest.raises(BitStationError) as caught:
        pinned.update(frozen)
    assert caught.value.code == "metadata-expired"
