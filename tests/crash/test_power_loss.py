"""C, models (a) to (d): at each named moment the power goes, and what may be left is laid down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from bitstation.testing.crash_points import POINTS
from bitstation.testing.crashes import (
    Campaign,
    judge,
    lay_down,
    main,
    quick_folder,
    record,
    tell,
)
from bitstation.testing.disk_tree import Tree, content
from bitstation.testing.power_loss import MODELS, Loss, Names, survivors
from bitstation.testing.recording_disk import (
    Named,
    Record,
    RecordingDisk,
    Renamed,
    Written,
)
from bitstation.testing.scenes import ALL_SCENES
from bitstation.testing.stage import Stage
from tests.crash.naming import existing_points

SEEDS = 3


class Played(NamedTuple):
    stage: Stage
    made: Record


class Plays(dict[str, Played]):
    """Scenes by name, each recorded when it is first needed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> Played:
        folder = self._folder / str(len(self))
        folder.mkdir()
        stage = Stage(folder, ALL_SCENES[name])
        self[name] = Played(stage, record(stage))
        return self[name]


@pytest.fixture(scope="module")
def plays() -> Iterator[Plays]:
    with quick_folder() as folder:
        yield Plays(folder)


def hold(played: Played, end: int, loss: Loss, seed: object) -> None:
    """What is left of a crash after ``end`` changes holds."""
    stage, made = played
    try:
        lay_down(stage, survivors(made, end, loss, Random(f"{seed}")))
        judge(stage)
    except BaseException as error:
        error.add_note(f"{tell(made, end)}, {loss}, seed {seed}")
        raise


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("point", existing_points())
def test_c_without_power(point: str, model: str, plays: Plays) -> None:
    played = plays[POINTS[point].scene]
    moments = POINTS[point].moments(played.made.calls)
    assert moments, "the scene does not come by it"
    for seed in range(SEEDS):
        random = Random(f"{point} {model} {seed}")
        moment = moments[seed * (len(moments) - 1) // (SEEDS - 1)]
        hold(played, played.made.end_of(moment), MODELS[model](random), seed)


@pytest.mark.parametrize("scene", ALL_SCENES)
def test_the_record_of_a_scene_is_true(scene: str, quick_path: Path) -> None:
    stage = Stage(quick_path, ALL_SCENES[scene])
    made = record(stage)
    at_the_end = content(Tree.of(quick_path))
    left = survivors(made, len(made.changes), Loss(), Random(1))
    assert content(left.tree) == at_the_end
    lay_down(stage, left)
    assert content(Tree.of(quick_path)) == at_the_end


# --- what was found so, and mended ----------------------------------------------------------------


def after_kill(quick_path: Path, scene: str, call: str, path: str) -> Played:
    """The record of a run that was killed after a call, and of the next run."""
    (quick_path / "looked at").mkdir()
    calls = record(Stage(quick_path / "looked at", ALL_SCENES[scene])).calls
    wanted = [each for each in calls if each.name == call and each.paths[-1].endswith(path)]
    (quick_path / "played").mkdir()
    stage = Stage(quick_path / "played", ALL_SCENES[scene])
    return Played(stage, record(stage, [calls.index(wanted[0]) + 1]))


def everywhere(played: Played, loss: Loss) -> None:
    """No power after any change of the last half of a record."""
    count = len(played.made.changes)
    for end in range(count // 2, count + 1):
        hold(played, end, loss, end)


def test_what_is_proved_on_resuming_is_durable(quick_path: Path) -> None:
    # A row of the ledger outlived the content that it spoke of: wrong bytes were activated.
    played = after_kill(quick_path, "update", "write", "src/main.py")
    everywhere(played, Loss(data=0.0, proofs=1.0))


def test_the_name_of_staging_is_durable_before_the_journal_says_so(
    plays: Plays,
) -> None:
    everywhere(plays["update"], Loss(Names.NONE, 0.0, 0.0))


def test_a_folder_is_durable_before_files_move_into_it(plays: Plays) -> None:
    played = plays["update, files moved one by one"]
    for end, change in enumerate(played.made.changes, 1):
        if isinstance(change, Renamed):
            for seed in range(4):
                hold(played, end, Loss(Names.BY_FOLDER), seed)


@pytest.mark.parametrize(
    ("scene", "moved"),
    [
        ("update", "releases/v1.1.0"),
        ("update, files moved one by one", "releases/v1.1.0/src/twin.py"),
    ],
)
def test_names_that_a_killed_run_moved_are_durable_before_the_pointer(
    scene: str, moved: str, quick_path: Path
) -> None:
    played = after_kill(quick_path, scene, "replace", moved)
    everywhere(played, Loss(Names.NONE, 0.0, 0.0))


@pytest.mark.parametrize("scene", ["update in place", "update that retires a release"])
def test_what_a_killed_run_set_aside_is_there_for_good(scene: str, quick_path: Path) -> None:
    played = after_kill(quick_path, scene, "replace", "src/notes.txt")
    for end in range(len(played.made.changes)):
        hold(played, end, Loss(Names.NONE, 0.0, 0.0), end)


def test_a_given_up_release_is_gone_for_good_before_its_bytes_change(
    plays: Plays,
) -> None:
    played = plays["update in place"]
    ends = [
        end
        for end, change in enumerate(played.made.changes, 1)
        if isinstance(change, Written) and len(change.data) == 10_000
    ]
    assert ends
    for end in ends:
        for seed in range(8):
            hold(played, end, Loss(Names.IN_ORDER), f"{end} {seed}")


def test_what_a_killed_run_moved_out_is_durable_once_remade(quick_path: Path) -> None:
    # It was still read-only, and so taken for durable: wrong bytes were activated.
    played = after_kill(quick_path, "update in place", "replace", "models/a.gguf")
    everywhere(played, Loss(data=0.0))


def test_a_retired_release_that_came_back_with_the_journal_gone_is_removed(plays: Plays) -> None:
    stage, made = plays["update that retires a release"]
    lay_down(stage, survivors(made, len(made.changes), Loss(), Random(1)))
    back = stage.updater().tree.retired("1.0.0")
    (back / "src").mkdir(parents=True)
    (back / "src" / "main.py").write_bytes(b"of old")
    judge(stage)


def test_a_release_is_retired_for_good_before_its_files_are_removed(quick_path: Path) -> None:
    # A run was killed right after the rename; the next removed files, and the rename was lost.
    played = after_kill(quick_path, "uninstall", "replace", "releases/.retired-v1.0.0")
    for end in range(len(played.made.changes)):
        for seed in range(4):
            hold(played, end, Loss(Names.BY_FOLDER), f"{end} {seed}")


def test_a_release_that_was_only_begun_hides_no_blocks(plays: Plays) -> None:
    stage, made = plays["update in place"]
    begun = next(
        end
        for end, change in enumerate(made.changes, 1)
        if isinstance(change, Named) and change.name == "main.py"
    )
    # The atlas of the new release is there, its staging is not.
    lay_down(stage, survivors(made, begun, Loss(Names.NONE, 0.0, 0.0), Random(1)))
    assert list(stage.updater().tree.atlases.iterdir())
    stage.source.asked.clear()
    stage.act_again()
    asked = sum(each.length or 0 for each in stage.source.asked)
    assert asked < stage.scene.goal.manifest.total_bytes / 2, "most of it is here"


# --- by the thousand ----------------------------------------------------------------------------


def test_states_of_a_seed_hold(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    assert main(["--states", "200", "--seed", "20261125", "--json", str(told)]) == 0
    counts = json.loads(told.read_text("utf-8"))
    assert (counts["seed"], counts["held"], counts["violation"]) == (20261125, 200, None)
    assert counts["models"].keys() == MODELS.keys()
    assert sum(counts["models"].values()) == sum(counts["scenes"].values()) == 200


def test_a_state_is_the_same_whichever_others_are_looked_at() -> None:
    campaign = Campaign(3, [ALL_SCENES["rollback"]])
    campaign.run([7])
    campaign.run(range(6, 9))
    assert campaign.counts["rollback"] == 4


@pytest.mark.parametrize("call", ["sync_file", "sync_path", "sync_dir"])
def test_an_engine_that_does_not_sync_is_caught(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RecordingDisk, call, lambda *_given: None)
    told = tmp_path / "told.json"
    command = ["--states", "500", "--seed", "1", "--scene", "update", "--json", str(told)]
    assert main(command) == 1
    assert "VIOLATION" in capsys.readouterr().out
    counts = json.loads(told.read_text("utf-8"))
    assert counts["held"] < 500
    assert "of seed 1" in counts["violation"]
