"""Layers too cheap for events: equal ones are one group, and what a call costs is nobody's."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.timing import cheap, measuring
from layerlift.models.timing.profile import Profile


def tiny(count: int = 4) -> models.Network:
    names = ["x", *(f"t{at}" for at in range(count - 1)), "z"]
    nodes = [node("Relu", [a], [b]) for a, b in pairwise(names)]
    nodes.append(node("MatMul", ["z", "w"], ["y"]))
    return models.from_model(model(nodes, [tensor("x", 1, 8)], ["y"], {"w": normal(8, 8)}), "tiny")


def test_equal_layers_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    costs = {cheap.FEW: 10e-6, cheap.MANY: 10e-6 + 32 * 3e-6}

    def copies(network: models.Network, layer: int, count: int) -> float:
        asked.append(layer)
        return costs[count]

    monkeypatch.setattr(cheap, "_copies", copies)
    monkeypatch.setattr(cheap, "_least", lambda spent, values, runs: spent)
    found = cheap.grouped(tiny(), range(5), 3)
    assert asked == [0, 0, 4, 4], "four equal layers and one other"
    assert found.seconds == pytest.approx(dict.fromkeys(range(5), 3e-6))
    assert found.call_s == pytest.approx(10e-6 - 2 * 3e-6)


def test_copies_run_with_what_the_layer_reads() -> None:
    network = tiny()
    values = cheap._values(network, range(5))
    session = cheap._copies(network, 4, 3)(values)
    (made,) = session.run(values).values()
    assert made.tolist() == (values["z"] @ network.weights()["w"]).tolist()


def test_a_tiny_network_is_explained_with_the_call_of_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "timed", lambda *_: [30e-6])
    monkeypatch.setattr(
        measuring, "_events", lambda network, runs, tick: {x.name: [9e-6] for x in network.graph.layers}
    )
    groups = cheap.Groups(dict.fromkeys(range(5), 2e-6), 20e-6)
    monkeypatch.setattr(measuring, "grouped", lambda *_: groups)
    found = measuring.measure(tiny(), 3, ghz=1.0)
    assert found.coverage == 1.0
    assert found.trusted
    assert found.seconds == pytest.approx([6e-6] * 5), "the call is shared"


def test_the_cost_of_batches_is_kept_and_read(tmp_path: Path) -> None:
    batches = measuring.measure_batches(tiny(), (4, 1, 2), 3)
    assert [size for size, _ in batches] == [2, 4]
    profile = replace(measuring.measure(tiny(), 3, ghz=1.0), batches=batches)
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == profile


def test_batches_between_and_beyond_what_was_measured() -> None:
    profile = replace(
        measuring.measure(tiny(1), 3, ghz=1.0), seconds=(1.0, 2.0), batches=((2, (1.5, 3.0)), (4, (2.5, 3.0)))
    )
    assert profile.batch_seconds(1) == (1.0, 2.0)
    assert profile.batch_seconds(3) == (2.0, 3.0)
    assert profile.batch_seconds(8) == (4.5, 3.0)
    with pytest.raises(ModelError, match="--batch"):
        replace(profile, batches=()).batch_seconds(2)
    with pytest.raises(ModelError, match="batch of 0"):
        profile.batch_seconds(0)


def test_layers_that_mix_queries_have_no_batches() -> None:
    network = models.from_model(model([node("Softmax", ["x"], ["y"], axis=0)], [tensor("x", 1, 4)], ["y"], {}), "mix")
    with pytest.raises(ModelError, match="mix queries"):
        measuring.measure_batches(network, (2,), 3)
