"""Running a model: one thread, no copies of weights, bit-exact on demand, timed by the thread's own clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.protos import aliasable, one_line
from layerlift.models.onnx_files.runtime import ort
from layerlift.models.running import half
from layerlift.models.running.denormals import flushed
from layerlift.models.running.network import Network

Optimization = Literal["off", "all"]
_LEVELS = {
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class Session:
    """An onnxruntime session with one thread.

    With `exact`, graph optimisation and prepacking are off, so that a network gives the same bits however it is cut and
    whether its weights are inside or fed. Denormal numbers count as zero (see `denormals`). Raises `ModelError` when
    onnxruntime refuses the model. `weights` are initializers that the model says lie outside it (see `inside_session`).
    """

    def __init__(
        self,
        model: bytes | str | Path,
        *,
        exact: bool = False,
        optimization: Optimization = "off",
        profile_prefix: str | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if exact and optimization != "off":
            raise ModelError(f"optimization is {optimization!r} in an exact session; expected 'off'")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = _LEVELS[optimization]
        options.log_severity_level = 4
        # An arena keeps what a run needed for as long as the session lives, and is no faster with one query at a time.
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        if exact:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        # What a session aliases has to be there as long as the session.
        self._held = {name: _aliased(array) for name, array in (weights or {}).items()}
        if self._held:
            options.add_external_initializers(list(self._held), list(self._held.values()))
        source = model if isinstance(model, bytes) else str(model)
        try:
            with flushed():
                self._session: Any = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"onnxruntime refuses the model: {one_line(error)}") from None
        self.inputs: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name. `feeds` may hold more than the inputs; arrays may be read-only and are not copied.

        Raises `ModelError` when an input is missing or does not fit.
        """
        return self.timed_run(feeds)[0]

    def timed_run(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
        """All outputs by name, and the CPU seconds that this thread spent in onnxruntime."""
        values = {name: self._value(feeds, name) for name in self.inputs}
        try:
            with flushed():
                start = time.thread_time()
                found = self._session.run_with_ort_values(list(self.outputs), values)
                spent = time.thread_time() - start
        except Exception as error:
            raise ModelError(f"onnxruntime cannot run the model: {one_line(error)}") from None
        return {name: value.numpy() for name, value in zip(self.outputs, found, strict=True)}, spent

    def end_profiling(self) -> Path:
        """Stop profiling and return the file of events; only for a session made with `profile_prefix`."""
        return Path(str(self._session.end_profiling()))

    def _value(self, feeds: Mapping[str, np.ndarray], name: str) -> Any:
        array = feeds.get(name)
        if array is None:
            raise ModelError(f"input {name!r} was not given; expected {', '.join(self.inputs)}")
        return _aliased(array)


def _aliased(array: np.ndarray) -> Any:
    return ort.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C"))


class Uncut:
    """The whole network in one session, built from the network's own model and not by the cutter."""

    def __init__(self, session: Session, weights: Mapping[str, np.ndarray]) -> None:
        self.session = session
        self._weights = weights

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The network's outputs and logits (`Network.logits`) by name."""
        return self.timed_run(inputs)[0]

    def timed_run(self, inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
        """As `run`, with the thread's CPU seconds."""
        return self.session.timed_run({**self._weights, **inputs})


def uncut_session(
    network: Network,
    *,
    exact: bool = False,
    optimization: Optimization = "off",
    alias: bool = False,
    profile_prefix: str | None = None,
) -> Uncut:
    """The uncut network to compare pieces with; its weights inside, or fed by reference with `alias`.

    Raises `ModelError` when onnxruntime refuses it. Weights that no model can hold are inside by reference.
    """
    if not alias and network.too_large_for_a_file:
        watched = watched_model(network.light, network.logits, network)
        watched = watched if profile_prefix is not None else _bordered(watched, network)
        settings: dict[str, Any] = {"exact": exact, "optimization": optimization, "profile_prefix": profile_prefix}
        return Uncut(inside_session(watched, network.weights(), **settings), {})
    model = network.light if alias else network.model()
    watched = watched_model(model, network.logits, network)
    if profile_prefix is None:
        watched = _bordered(watched, network)
    session = Session(
        watched.SerializeToString(), exact=exact, optimization=optimization, profile_prefix=profile_prefix
    )
    return Uncut(session, network.weights() if alias else {})


def inside_session(model: onnx.ModelProto, weights: Mapping[str, np.ndarray], **how: Any) -> Session:
    """A session of `model`, those of whose inputs that `weights` names are constants of it, whatever their size.

    `how` is what `Session` takes.
    """
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    fed = [value for value in inside.graph.input if value.name in weights]
    kept = [value for value in inside.graph.input if value.name not in weights]
    del inside.graph.input[:]
    inside.graph.input.extend(kept)
    outside: dict[str, np.ndarray] = {}
    for value in fed:
        array = weights[value.name]
        if not array.size or not aliasable(array.dtype.name):
            inside.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
            continue
        held = inside.graph.initializer.add(name=value.name, dims=array.shape)
        held.data_type, held.data_location = value.type.tensor_type.elem_type, onnx.TensorProto.EXTERNAL
        # There is no such file: the session takes the array that it is given under the name.
        for key, told in (("location", "outside"), ("offset", "0"), ("length", str(array.nbytes))):
            held.external_data.add(key=key, value=told)
        outside[value.name] = array
    return Session(inside.SerializeToString(), weights=outside, **how)


def _bordered(model: onnx.ModelProto, network: Network) -> onnx.ModelProto:
    """`model` with the borders of its half-precision tensors, which its pieces have too; itself when it has none."""
    nodes = half.bordered(model.graph.node, network.types, network.graph.forms)
    if len(nodes) == len(model.graph.node):
        return model
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    return found


def watched_model(model: onnx.ModelProto, names: Sequence[str], network: Network) -> onnx.ModelProto:
    """`model` with the tensors `names` as further outputs."""
    present = {value.name for value in model.graph.output}
    extra = [name for name in dict.fromkeys(names) if name not in present]
    if not extra:
        return model
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in extra:
        dtype, shape = network.types[name]
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, dtype, list(shape)))
    return watched
