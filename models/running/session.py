"""Running a model: one thread, no copies of weights, bit-exact on demand, timed by the thread's own clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.protos import one_line
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
    onnxruntime refuses the model.
    """

    def __init__(
        self,
        model: bytes | str | Path,
        *,
        exact: bool = False,
        optimization: Optimization = "off",
        profile_prefix: str | None = None,
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

    Raises `ModelError` when onnxruntime refuses it, or without `alias` when its weights exceed 2 GiB.
    """
    model = network.light if alias else network.model()
    watched = watched_model(model, network.logits, network)
    if profile_prefix is None:
        watched = _bordered(watched, network)
    session = Session(
        watched.SerializeToString(), exact=exact, optimization=optimization, profile_prefix=profile_prefix
    )
    return Uncut(session, network.weights() if alias else {})


def _bordered(model: onnx.ModelProto, network: Network) -> onnx.ModelProto:
    """`model` with the borders of its half-precision tensors, which its pieces have too; itself when it has none."""
    nodes = half.bordered(model.graph.node, network.types, {p.name for p in network.graph.parameters})
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
