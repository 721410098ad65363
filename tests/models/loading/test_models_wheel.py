"""The onnx wheel's own models still give their stored outputs when they are cut."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from cut_runs import long_runs, run_cut
from onnx import numpy_helper, version_converter
from small_nets import saved

from layerlift import models

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
SMALL = [
    "pytorch-converted/test_AvgPool1d",
    "pytorch-converted/test_GLU",
    "pytorch-converted/test_PixelShuffle",
    "pytorch-converted/test_Softsign",
    "pytorch-operator/test_operator_basic",
    "pytorch-operator/test_operator_params",
]


def stored(path: Path) -> np.ndarray:
    return numpy_helper.to_array(onnx.load_tensor(str(path)))


@pytest.mark.long
@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "bvlc_alexnet", "inception_v1"])
def test_light_models_give_their_stored_outputs_when_cut(name: str) -> None:
    network = models.load(DATA / "light" / f"light_{name}.onnx")
    (tensor,) = network.graph.inputs
    shape = network.graph.tensors[tensor].shape
    size = int(np.prod(shape))
    inputs = {network.graph.tensors[tensor].name: (np.arange(size).reshape(shape) / size).astype(np.float32)}
    seen = run_cut(network, long_runs(network, random.Random(name), 0.9), inputs)
    output = network.graph.tensors[network.graph.outputs[0]].name
    np.testing.assert_allclose(seen[output], stored(DATA / "light" / f"light_{name}_output_0.pb"), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("folder", SMALL)
def test_small_models_give_their_stored_outputs_when_cut_anywhere(folder: str, tmp_path: Path) -> None:
    made = onnx.load(DATA / folder / "model.onnx")
    made.ir_version = max(made.ir_version, 4)
    if made.opset_import[0].version < 7:
        made = version_converter.convert_version(made, 9)
    network = models.load(saved(made, tmp_path / "m.onnx"))
    sets = DATA / folder / "test_data_set_0"
    weights = {tensor.name for tensor in made.graph.initializer}
    names = [value.name for value in made.graph.input if value.name not in weights]
    inputs = {name: stored(sets / f"input_{at}.pb") for at, name in enumerate(names)}
    count = len(network.graph)
    for placement in ([i % 2 for i in range(count)], *([0] * at + [1] * (count - at) for at in range(count))):
        seen = run_cut(network, placement, inputs, exact=True)
        for at, tensor in enumerate(network.graph.outputs):
            expected = stored(sets / f"output_{at}.pb")
            np.testing.assert_allclose(seen[network.graph.tensors[tensor].name], expected, rtol=1e-3, atol=1e-7)
