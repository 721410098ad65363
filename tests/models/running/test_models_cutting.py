"""Law 3: however a network is cut, its answer is the uncut network's, bit for bit."""

from __future__ import annotations

import random

import numpy as np
import onnx
import pytest
from cut_runs import long_runs, run_cut
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiers import quick_one

from layerlift import models
from layerlift.models import Session
from layerlift.models.errors import ModelError


@pytest.mark.parametrize("name", quick_one())
def test_any_cut_is_bit_equal_on_logits_and_outputs(name: str) -> None:
    network = models.load(name)
    inputs = network.sample_inputs(7)
    whole = models.uncut_session(network, exact=True, alias=name in ("vgg19", "zfnet512")).run(inputs)
    rng = random.Random(name)
    for stay in (0.95, 0.8):
        seen = run_cut(network, long_runs(network, rng, stay), inputs, exact=True)
        for tensor in (*network.logits, *(network.graph.tensors[t].name for t in network.graph.outputs)):
            assert np.array_equal(seen[tensor], whole[tensor]), tensor
    spread = float(np.std(whole[network.logits[0]]))
    assert spread > 0.1, "logits that are all alike would hide a wrong split"


@pytest.mark.long
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_cut_of_a_branching_network(data: st.DataObject) -> None:
    network = models.load(data.draw(st.sampled_from(("squeezenet", "shufflenet"))))
    inputs = network.sample_inputs(data.draw(st.integers(0, 99)))
    placement = data.draw(st.lists(st.integers(0, 2), min_size=len(network.graph), max_size=len(network.graph)))
    seen = run_cut(network, placement, inputs, exact=True)
    whole = models.uncut_session(network, exact=True).run(inputs)
    assert all(np.array_equal(seen[name], whole[name]) for name in network.logits)


@pytest.mark.long
@pytest.mark.parametrize("name", ["alexnet", "resnet50", "shufflenet"])
def test_with_optimisation_on_the_error_is_small_against_the_scale(name: str) -> None:
    network = models.load(name)
    inputs = network.sample_inputs(3)
    whole = models.uncut_session(network, optimization="all").run(inputs)
    seen = run_cut(network, long_runs(network, random.Random(1), 0.9), inputs, optimization="all")
    for tensor in network.logits:
        assert np.max(np.abs(seen[tensor] - whole[tensor])) <= 1e-5 * np.max(np.abs(whole[tensor]))


def test_the_uncut_network_is_not_made_by_the_cutter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx.helper, "make_graph", None)
    network = models.load("squeezenet")
    assert models.uncut_session(network).run(network.sample_inputs(0))


@pytest.mark.long
def test_big_weights_are_fed_by_reference_and_may_be_read_only() -> None:
    network = models.load("alexnet")
    piece = models.subgraph(network, 0, len(network.graph) - 1)
    fed = sum(network.weights()[name].nbytes for name in piece.big)
    total = network.graph.held_bytes(range(len(network.graph)))
    assert len(piece.model) < 100_000
    assert total - fed < 100_000
    assert not any(network.weights()[name].flags.writeable for name in piece.big)
    session = Session(piece.model, exact=True)
    weights = {name: network.weights()[name].copy() for name in piece.big}
    inputs = network.sample_inputs(0)
    before = session.run({**inputs, **weights})[network.logits[0]]
    weights[piece.big[-1]] *= 2
    after = session.run({**inputs, **weights})[network.logits[0]]
    assert not np.array_equal(before, after), "the session must not hold a copy of the weights"


def test_small_limit_embeds_everything() -> None:
    network = models.load("squeezenet")
    piece = models.subgraph(network, 3, 12, big_bytes=1 << 40)
    assert piece.big == ()
    assert piece.key == (network.digest, 3, 12)
    onnx.checker.check_model(onnx.load_from_string(piece.model), full_check=True)


@pytest.mark.parametrize("run", [(-1, 3), (5, 4), (0, 66)])
def test_a_run_outside_the_network_is_refused(run: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match=r"squeezenet, which has layers 0\.\.65"):
        models.subgraph(models.load("squeezenet"), *run)


def test_a_session_says_what_is_missing() -> None:
    network = models.load("squeezenet")
    piece = models.subgraph(network, 3, 5)
    with pytest.raises(ModelError, match=piece.inputs[0]):
        Session(piece.model).run({})
    with pytest.raises(ModelError, match="exact session"):
        Session(piece.model, exact=True, optimization="all")
    with pytest.raises(ModelError, match="refuses the model"):
        Session(b"not a model")
