"""Preprocessing as data: what is read, what is refused, what is reported, and what a rewritten network keeps."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocess_nets import chain, fresh_folder, inception, network, weightless, whole
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.preprocess import pipeline
from layerlift.models.preprocess.report import output_error, size_of
from layerlift.models.running.network import Network

fresh = pytest.fixture(autouse=True, scope="module")(fresh_folder)


def both(old: Network, new: Network) -> None:
    inputs = old.sample_inputs(0)
    for a, b in zip(whole(old, inputs), whole(new, inputs), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()


def test_steps_are_read_from_a_scenario_and_from_the_command_line() -> None:
    written = yaml.safe_load("[merge, tile: {rows: [1, 2], columns: 2}, {prune: {keep: 0.5, layers: [fc*]}}, split: ]")
    same = ["merge", "tile:rows=1+2,columns=2", "prune:keep=0.5,layers=fc*", "split"]
    yaml_texts = ["merge", "tile: {rows: [1, 2], columns: 2}", "{prune: {keep: 0.5, layers: [fc*]}}", "split"]
    expected = pipeline.parse(written)
    assert [str(step) for step in expected] == ["merge", "tile:rows=1+2,columns=2", *same[2:]]
    for other in (same, yaml_texts, [str(step) for step in expected]):
        assert [(s.kind, dict(s.options)) for s in pipeline.parse(other)] == [
            (s.kind, dict(s.options)) for s in expected
        ]
    assert pipeline.parse(None) == ()
    assert [str(step) for step in pipeline.parse("sparse-low-rank:rank=8")] == ["sparse_low_rank:rank=8"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("tle", "no step 'tle'; did you mean tile"),
        ("tile:row=2", "tile has no option 'row'; did you mean rows"),
        ("tile:rows=two", "rows of tile is 'two'"),
        ("tile:rows", "'rows' in the step 'tile:rows' is not an option"),
        ("prune", "prune needs keep"),
        ("merge:rule=other", "rule of merge is 'other'"),
        ("merge:max_layers=1.5", "max_layers of merge is 1.5"),
        ({"tile": 3}, "tile has the options 3"),
        ({"tile": {}, "merge": {}}, "expected a name such as merge"),
        (7, "the step 7 was given"),
        ({"collapse": {"x": 1}}, "collapse has no option 'x'"),
    ],
)
def test_mistakes_are_answered(step: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        pipeline.parse([step])  # type: ignore[list-item]


@pytest.mark.long
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=8), lambda s: st.lists(s, max_size=3)))
def test_no_value_of_an_option_is_a_traceback(value: object) -> None:
    for step in ({"tile": {"rows": value}}, {"merge": {"rule": value}}, {"prune": {"keep": value}}, value):
        try:
            pipeline.apply(inception(), [step])  # type: ignore[list-item]
        except ModelError:
            continue


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=20) | st.from_regex(r"(tile|merge|prune):[a-z]{1,6}=[\w.+,=]{0,6}", fullmatch=True))
def test_no_text_is_a_traceback(text: str) -> None:
    try:
        pipeline.apply(inception(), [text])
    except ModelError:
        return


@pytest.mark.long
def test_every_step_works_in_one_pipeline() -> None:
    net = models.load("squeezenet", spectrum=0.8)
    steps = ["merge", {"tile": {"rows": 2}}, "separate:rank=24", "tucker:energy=0.99", "patterns", "split", "collapse"]
    made = pipeline.apply(net, steps)
    assert made.graph.upload_bytes(range(len(made.graph))) < net.graph.upload_bytes(range(len(net.graph)))
    inputs = net.sample_inputs(0)
    assert all(np.isfinite(array).all() for array in whole(made, inputs))
    one_by_one = net
    for step in steps:
        one_by_one = pipeline.apply(one_by_one, [step])
    assert one_by_one.digest == made.digest


@pytest.mark.long
def test_reports_are_sizes_before_and_after_and_errors() -> None:
    net = models.load("squeezenet")
    _, reports = pipeline.reported(net, ["collapse", "tile:rows=2", "patterns", "low_rank:rank=8"], samples=1)
    merged, tiled, pruned, nothing = reports
    assert (merged.before, merged.error, merged.changed) == (size_of(net), None, True)
    assert merged.after.layers < merged.before.layers
    assert merged.after.flops == merged.before.flops
    assert tiled.lossless
    assert tiled.error is not None
    assert tiled.error.worst < 1e-5
    assert tiled.after.flops > tiled.before.flops
    assert pruned.before == tiled.after
    assert pruned.after.upload_bytes < pruned.before.upload_bytes
    assert pruned.after.held_bytes == pruned.before.held_bytes
    assert pruned.error is not None
    assert pruned.error.synthetic
    assert pruned.error.relative > 0.01
    assert (nothing.changed, nothing.error, nothing.before) == (False, None, nothing.after)
    _, silent = pipeline.reported(net, "patterns", samples=0)
    assert silent[0].error is None


def test_the_error_is_the_change_of_the_output() -> None:
    weight = np.eye(4, dtype=np.float32)
    nodes = [node("MatMul", ["x", "w"], ["y"], name="fc")]
    net = chain(nodes, {"w": weight}, 1, 4)
    halved = chain(nodes, {"w": weight * 0.5}, 1, 4)
    error = output_error(net, halved, samples=3)
    assert error.relative == pytest.approx(0.5, rel=1e-6)
    assert error.worst == pytest.approx(0.5, rel=1e-6)
    assert (error.samples, error.synthetic) == (3, False)
    assert output_error(net, net).relative == 0.0


def test_a_step_names_the_network_it_makes() -> None:
    net = weightless(models.load("alexnet"))
    digests = [
        pipeline.apply(net, steps).digest
        for steps in ([], ["prune:keep=0.5"], ["prune:keep=0.25"], ["low_rank:rank=8"], ["low_rank:rank=9"], ["tile"])
    ]
    assert len(set(digests)) == len(digests)
    assert pipeline.apply(net, ["tile"]).digest == pipeline.apply(net, ["tile"]).digest
    other = weightless(models.load("alexnet", seed=1))
    assert pipeline.apply(other, ["tile"]).digest != pipeline.apply(net, ["tile"]).digest
    assert pipeline.apply(other, ["tile"]).topology == pipeline.apply(net, ["tile"]).topology


@pytest.mark.long
def test_a_rewritten_network_travels_and_keeps_what_it_was_told() -> None:
    net = models.load("squeezenet", input_bytes=12345)
    made = pipeline.apply(net, ["merge", "tile:rows=2", "separate:rank=16"])
    assert made.graph.tensors[made.graph.inputs[0]].bytes == 12345
    assert (made.name, made.synthetic) == (net.name, True)
    again: Network = pickle.loads(pickle.dumps(made))
    assert (again.digest, again.graph) == (made.digest, made.graph)
    for name, array in made.weights().items():
        assert again.weights()[name].tobytes() == array.tobytes()


@pytest.mark.long
def test_a_written_network_answers_the_same(tmp_path: Path) -> None:
    net = models.load("squeezenet")
    made = pipeline.apply(net, ["tile:rows=2,columns=2", "separate:rank=16", "patterns", "collapse"])
    path = tmp_path / "out.onnx"
    path.write_bytes(made.model().SerializeToString())
    again = models.load(path)
    inputs = net.sample_inputs(0)
    for a, b in zip(whole(made, inputs), whole(again, inputs), strict=True):
        assert a.tobytes() == b.tobytes()
    assert pipeline.apply(again, ["patterns"]).weights().keys() == made.weights().keys()


def test_several_inputs_and_outputs_are_kept() -> None:
    nodes = [
        node("Conv", ["a", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"], name="relu"),
        node("Add", ["r", "b"], ["s"], name="add"),
        node("MaxPool", ["s"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    inputs = [tensor("a", 1, 4, 12, 12), tensor("b", 1, 4, 12, 12)]
    net = network(model(nodes, inputs, ["r", "p"], {"w": normal(4, 4, 3, 3)}))
    for steps in (["separate:rank=12,grow=true"], ["merge:within=anywhere"], ["tile:first=conv,last=relu"]):
        made = pipeline.apply(net, steps)
        assert [made.graph.tensors[t].name for t in (*made.graph.inputs, *made.graph.outputs)] == ["a", "b", "r", "p"]
        both(net, made)


def test_the_catalogue_says_what_can_be_set() -> None:
    for kind in pipeline.KINDS.values():
        assert kind.summary
        assert not kind.summary.endswith(".")
        assert all(option in kind.signature() for option in kind.options)
        assert kind.lossless or not kind.bitwise
