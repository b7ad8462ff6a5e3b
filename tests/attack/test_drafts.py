"""Group S once more, owners apart: what a draft shows, whose signatures it takes, what not."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bitstation.cli.main import main
from bitstation.errors import KeyRefused
from bitstation.hq.headquarters import Headquarters
from bitstation.trust.draft_folder import DraftFolder
from tests.attack.ceremony import FIRST, OWNERS, PASSPHRASE, SECOND, THIRD, Apart

CHANGES = {
    "rotate an owner": ("rotate", "ana", "ana-2"),
    "rotate the online key": ("rotate", "hq-online", "hq-online-2"),
    "rotate a publisher's key": ("rotate", "acme-key", "acme-2"),
    "add an owner": ("add", "fay"),
    "add a publisher": ("add", "bolt-key", "--publisher", "bolt", "--tools", "bolt-*"),
}


@pytest.mark.parametrize("words", CHANGES.values(), ids=CHANGES)
def test_s05_owners_sign_one_after_the_other(apart: Apart, words: tuple[str, ...]) -> None:
    before = apart.metadata()
    assert apart.ceremony.command(*words) == 70
    assert apart.metadata() == before
    # One is too few, here and there.
    assert apart.take_in() == 31
    assert apart.sign("ben") == 0
    assert apart.take_in() == 31
    assert apart.metadata() == before
    # His second signature is none.
    assert apart.sign("ben") == 31
    assert apart.sign("eva") == 0
    # Enough, but the place is elsewhere.
    assert apart.metadata() == before
    assert apart.update() == "1.1.0"
    assert apart.take_in() == 0
    assert not apart.draft.exists()
    apart.ceremony.publish(THIRD)
    assert apart.ceremony.update(FIRST, SECOND, THIRD) == "1.2.0"


def test_s06_an_owner_goes(apart: Apart) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    assert [apart.sign("ana"), apart.sign("ben"), apart.take_in()] == [0, 0, 0]
    assert apart.ceremony.command("revoke", "acme-key") == 2
    assert apart.ceremony.command("revoke", "eva") == 70
    # fay's key lies here, and signed at once: with ana it is enough.
    assert apart.sign("eva") == 0
    assert apart.take_in() == 31
    assert [apart.sign("ana"), apart.take_in()] == [0, 0]
    assert apart.update() == "1.1.0"


def test_s05_a_draft_says_what_changes_before_anybody_signs(
    apart: Apart, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command("rotate", "ana", "ana-2") == 70
    told = capsys.readouterr().out
    assert "root: 2 more of" in told
    assert "ben" in told
    before = DraftFolder(apart.draft).load()
    # Nobody is there to be asked, so nothing is signed.
    assert apart.sign("ben", "-q") == 2
    assert DraftFolder(apart.draft).load() == before
    shown = capsys.readouterr().err
    (old,) = [line for line in shown.splitlines() if line.startswith("  - root: 2 of ana (")]
    (new,) = [line for line in shown.splitlines() if line.startswith("  + root: 2 of ben (")]
    assert "ana-2 (" in new
    assert "ana-2 (" not in old
    assert "    acme: 1 of acme-key (" in shown
    assert apart.sign("ben", "--yes", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["waits"][0]["missing"] == 1


def test_s05_a_draft_says_until_when_a_new_publisher_may_sign(
    apart: Apart, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apart.ceremony.command(*CHANGES["add a publisher"]) == 70
    assert apart.sign("ben", "-q") == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if "+ bolt: 1 of" in row]
    year = datetime.now(UTC).year
    assert any(f"; until {year + more}-" in line for more in (4, 5))


def test_s05_a_change_that_waits_is_not_written_over(apart: Apart) -> None:
    assert apart.ceremony.command("add", "fay") == 70
    draft = DraftFolder(apart.draft).load()
    assert apart.ceremony.command("add", "gus") == 2
    assert DraftFolder(apart.draft).load() == draft
    shutil.rmtree(apart.draft)
    assert apart.ceremony.command("add", "gus") == 70


def test_s01_a_place_of_owners_who_never_had_their_keys_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSTATION_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    apart = Apart(tmp_path)
    given = []
    for name in (*OWNERS, "acme-key"):
        assert main(["keys", "new", name, "--keys", str(tmp_path / name)]) == 0
        given += ["--public", f"{name}={tmp_path / name / name}.pub"]
    words = ("init", "--owners", ",".join(OWNERS), "--publisher", "acme", *given)
    assert apart.ceremony.command(*words) == 70
    assert not (apart.ceremony.keys / "metadata").exists()
    # An HQ that made keys of its own here would be another place, and so would a second ceremony.
    with pytest.raises(KeyRefused):
        Headquarters(tmp_path / "data", apart.ceremony.keys)
    assert apart.ceremony.command(*words) == 2
    assert [apart.sign("ana"), apart.sign("eva"), apart.take_in()] == [0, 0, 31]
    assert [apart.sign("acme-key"), apart.take_in()] == [0, 0]
    assert sorted(path.stem for path in apart.ceremony.keys.glob("*.pem")) == ["hq-online"]
    assert apart.ceremony.join() == 0
    shutil.copy(tmp_path / "acme-key" / "acme-key.pem", apart.ceremony.keys)
    apart.ceremony.publish(FIRST)
    assert apart.ceremony.update(FIRST) == "1.0.0"
