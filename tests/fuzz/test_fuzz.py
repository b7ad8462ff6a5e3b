"""Every parser against its corpus and against blind changes of it; atheris goes on from there."""

from __future__ import annotations

import importlib.util
import json
import sys
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import run
from tests.fuzz.blind import changed
from tests.fuzz.inputs import TARGETS, Check, corpus, load
from tests.fuzz.sow import seeds

MOST_BYTES = 32 * 1024 * 1024


def needed(target: str) -> Check:
    if target == "http_request" and importlib.util.find_spec("starlette") is None:
        pytest.skip("not under Wine: the packages of an HQ are not installed there")
    return load(target)


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_taken_or_refused_in_little_memory(target: str) -> None:
    check, inputs = needed(target), corpus(target)
    taken = set()
    for name, data in inputs.items():
        tracemalloc.start()
        try:
            taken |= {name} if check(data) else set()
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, name
        finally:
            tracemalloc.stop()
    assert taken, "nothing in the corpus gets past the first check"


@pytest.mark.parametrize("target", TARGETS)
def test_changed_inputs_are_taken_or_refused(target: str) -> None:
    check, known = needed(target), list(corpus(target).values())

    @settings(max_examples=250)
    @given(st.randoms(use_true_random=False))
    def tried(chance: Random) -> None:
        check(changed(known, chance))

    tried()


def test_the_corpus_holds_the_seeds() -> None:
    # zlib and zstd of other versions may pack otherwise.
    for target, inputs in seeds().items():
        assert inputs.keys() <= corpus(target).keys(), target
    assert seeds().keys() == set(TARGETS)


@pytest.mark.skipif(
    sys.platform == "win32" and importlib.util.find_spec("rfc8785") is None,
    reason="not under Wine: these packages are not installed there",
)
def test_the_references_that_targets_lean_on_are_here() -> None:
    canonical = importlib.import_module("tests.fuzz.targets.canonical")
    safetensors = importlib.import_module("tests.fuzz.targets.safetensors")
    assert canonical.rfc8785
    assert safetensors.deserialize


def test_what_leaves_a_target_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(data: bytes) -> bool:
        raise KeyError(len(data))

    monkeypatch.setattr(run, "FINDINGS", tmp_path)
    monkeypatch.setattr(run, "load", lambda _target: check)
    monkeypatch.setattr(run, "led", run.blind)
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["fuzz", "ranges", "--seed", "7", "--json", str(out)])
    assert run.main() == 1
    named = [path for path in (tmp_path / "ranges").iterdir() if path.suffix != ".txt"]
    assert len(named) == 1
    assert "KeyError" in named[0].with_name(named[0].name + ".txt").read_text("utf-8")
    assert str(named[0]) in capsys.readouterr().out
    (outcome,) = json.loads(out.read_text("utf-8"))["targets"]
    assert (outcome["executions"], outcome["seed"]) == (1, 7)
