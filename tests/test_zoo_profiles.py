"""How profiles of the networks that are built by code are scaled to the host of the nine."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from house import ROOT
from made_profile import made_profile

from layerlift import models
from layerlift.models.timing.profile import Profile

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

zoo_profiles = importlib.import_module("benchmarks.zoo_profiles")
FAST = "shufflenet"


def of(uncut_s: float) -> Profile:
    return replace(made_profile(models.load(FAST)), uncut_s=uncut_s, fused_s=uncut_s / 2, blocks=((0, 5, 0.25),))


def test_the_scale_is_the_geometric_mean_of_what_the_networks_differ_by() -> None:
    scale = zoo_profiles.scale_of([of(0.1), of(0.4)], [0.2, 0.2])
    assert scale.ratio == pytest.approx(1.0)
    assert scale.spread == pytest.approx(2.0)
    assert zoo_profiles.scale_of([of(0.1)] * 2, [0.2, 0.2]).spread == pytest.approx(1.0)


def test_everything_of_a_profile_is_scaled_and_both_hosts_are_named() -> None:
    here = replace(of(0.2), ghz=3.1, host="here", spread_s=(0.5,) * len(models.load(FAST).graph))
    scale = zoo_profiles.scale_of([replace(of(0.1), ghz=2.6, host="there")], [0.2])
    made = zoo_profiles.scaled(here, scale)
    assert (made.ghz, made.uncut_s, made.fused_s, made.blocks) == (2.6, 0.1, 0.05, ((0, 5, 0.125),))
    assert set(made.seconds) == {0.0005}
    assert set(made.spread_s) == {0.25}
    assert made.host == "there at 2.6 GHz; scaled from here at 3.1 GHz"
    assert "x 0.5000" in made.method
    assert made.coverage == here.coverage


@pytest.mark.parametrize(("coverage", "words", "code"), [(1.0, [], 0), (0.5, [], 1), (0.5, ["--accept"], 0)])
def test_a_doubted_profile_is_written_only_when_accepted(
    coverage: float, words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo_profiles, "measured_scale", lambda runs: zoo_profiles.scale_of([of(0.1)], [0.2]))
    monkeypatch.setattr(zoo_profiles, "measured", lambda network, runs: made_profile(network, coverage=coverage))
    assert zoo_profiles.main(["stories15m", "--out", str(tmp_path), *words]) == code
    assert [path.name for path in tmp_path.iterdir()] == ([] if code else ["stories15m.json"])
    if not code:
        assert Profile.load(tmp_path / "stories15m.json").fits(models.load("stories15m"))


def test_layers_are_timed_alone_where_events_explain_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = models.load(FAST)
    busy = made_profile(network, coverage=3.0)
    monkeypatch.setattr(zoo_profiles, "measure", lambda network, runs: busy)
    monkeypatch.setattr(zoo_profiles, "alone", lambda network, runs: [[0.003, 0.002]] * len(network.graph))
    made = zoo_profiles.measured(network, 3)
    assert made.coverage == 2.0
    assert made.total_s == pytest.approx(busy.uncut_s)
    monkeypatch.setattr(zoo_profiles, "measure", lambda network, runs: replace(busy, coverage=1.0))
    assert zoo_profiles.measured(network, 3).coverage == 1.0


@pytest.mark.long
def test_every_layer_runs_alone_on_what_came_before() -> None:
    network = models.load(FAST)
    spent = zoo_profiles.alone(network, 2)
    assert [len(runs) for runs in spent] == [2] * len(network.graph)
    assert min(min(runs) for runs in spent) > 0
