"""Policies in files: they come back as they were, and a stranger's is refused in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from some_policies import some_features, some_weights

from layerlift.models.errors import PlanError
from layerlift.models.onnx_files.runtime import ort
from layerlift.planners import make
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import VERSION
from layerlift.planners.learned.policy import exact_scores
from layerlift.planners.learned.steps import STEPS, policies_of

ONE = np.ones((1, 1), dtype=np.float32)


def test_a_policy_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    policy = some_weights(5, 8, wide=7, narrow=3)
    path = tmp_path / "policy.onnx"
    path.write_bytes(policy_file.written(policy))
    back = policy_file.parsed(policy_file.read(path, (STEPS,)), (STEPS,))
    assert back.notes == policy.notes
    for name, table in policy.tables.items():
        assert np.array_equal(back.tables[name], table)
    assert policy_file.written(back) == path.read_bytes()
    assert back.label == replace(policy, notes={}).label != some_weights(6, 8, wide=7, narrow=3).label
    onnx.checker.check_model(str(path), full_check=True)


def tampered(change: object) -> bytes:
    model = policy_file.model_of(some_weights(0))
    change(model)  # type: ignore[operator]
    return model.SerializeToString()


def set_notes(**notes: str) -> object:
    return lambda model: onnx.helper.set_model_props(model, notes)


def weight(name: str, value: float) -> object:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(each for each in model.graph.initializer if each.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[0] = value
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Flatten"


def scale(model: onnx.ModelProto) -> None:
    weight("scale_1", 0.5)(model)  # type: ignore[operator]


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")


def loop(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("RandomNormal", [], ["x"], shape=[9]))


def announced(model: onnx.ModelProto) -> None:
    """A signalling NaN, which numpy announces when it is converted."""
    tensor = model.graph.initializer[0]
    tensor.raw_data = b"\x01\x00\x80\x7f" + tensor.raw_data[4:]


WRITTEN = policy_file.written(some_weights(0))
STRANGE = {
    "nothing": b"",
    "a name that is no text": WRITTEN.replace(b"piece", b"p\xffece"),
    "an operator that is no text": WRITTEN.replace(b"MatMul", b"M\xfftMul"),
    "a note that is no text": WRITTEN.replace(b"layerlift_kind", b"layerlift\xffkind"),
    "a number that announces itself": tampered(announced),
    "noise": bytes(range(256)) * 9,
    "cut short": WRITTEN[:3000],
    "other features": tampered(set_notes(layerlift_kind="steps", layerlift_features=str(VERSION + 1))),
    "no features": tampered(set_notes(layerlift_kind="steps", worlds="x")),
    "another kind": tampered(set_notes(layerlift_kind="stops", layerlift_features=str(VERSION))),
    "no kind": tampered(set_notes(layerlift_features=str(VERSION))),
    "long notes": tampered(set_notes(layerlift_kind="steps", layerlift_features=str(VERSION), worlds="x" * 5000)),
    "odd notes": tampered(
        set_notes(**{"layerlift_kind": "steps", "layerlift_features": str(VERSION), "\x1b[31m": "x"})
    ),
    "no whole number": tampered(weight("inner", 0.5)),
    "no number": tampered(weight("inner", float("nan"))),
    "infinite": tampered(weight("outer", float("inf"))),
    "too large": tampered(weight("piece", float(2**30))),
    "sums too large": tampered(weight("piece", float(2**20))),
    "another operator": tampered(operator),
    "another scale": tampered(scale),
    "external data": tampered(external),
    "a random operator": tampered(loop),
    "one table less": tampered(lambda model: model.graph.initializer.pop(0)),
    "one table more": tampered(lambda model: model.graph.initializer.append(numpy_helper.from_array(ONE, "piece_2"))),
    "tables in another order": tampered(lambda model: model.graph.initializer.reverse()),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_policy_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(STRANGE[name])
    with pytest.raises(PlanError) as refused:
        make(f"dil:policy={path}")
    told_of = str(refused.value)
    assert len(told_of) <= 300
    assert "\n" not in told_of
    assert "strange.onnx" in told_of


def test_an_empty_file_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(PlanError, match=r"empty\.onnx is no ONNX model .*: it holds no operators; train"):
        make(f"crowd:policy={tmp_path / 'empty.onnx'}")


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_a_policy_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        make(f"dil:policy={tmp_path / name}")


def test_a_policy_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.onnx"
    path.write_bytes(bytes(policy_file.MOST_BYTES + 1))
    with pytest.raises(PlanError, match="cannot be read"):
        policy_file.read(path, (STEPS,))


def test_what_runs_is_what_was_written(tmp_path: Path) -> None:
    # The file is an ONNX model in its own right: whoever runs it gets the same scores.
    policy = some_weights(9)
    seen = some_features(np.random.default_rng(9))
    session = ort.InferenceSession(policy_file.written(policy), providers=["CPUExecutionProvider"])
    feeds = {"of_piece": seen.piece, "of_node": seen.node, "of_step": seen.step}
    assert np.array_equal(session.run(["scores"], feeds)[0], exact_scores(policies_of(policy)[0], seen))
