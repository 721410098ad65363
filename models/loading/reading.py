"""What is done with a stranger's file, from its bytes to a network; `child` calls it, in a process of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading import preparing, ties
from layerlift.models.loading.dimensions import Fixed
from layerlift.models.onnx_files import external, operators, protos, untrusted
from layerlift.models.running.network import MemorySource, assemble
from layerlift.models.running.session import uncut_session
from layerlift.models.sums import int_sum

_CHUNK = 1 << 24
_INSTEAD: Final = {"bfloat16": "onnxruntime runs few operators in it on a CPU: export the model in float32 or float16"}
"""What to do about types that whole models come in."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was read and accepted."""

    path: Path
    model: onnx.ModelProto
    content: str
    """Hash of the file, its external data and what its inputs are fixed at."""
    files: tuple[Path, ...]
    """The file, then its external data."""
    prepared: preparing.Prepared
    tied: Mapping[str, str]
    """What parameters are forms of (see `ties`)."""
    graph: LayerGraph


def opened(
    path: Path,
    dims: Mapping[str, int],
    fix: Mapping[str, Fixed],
    allow: Callable[[int], None],
    outputs: Sequence[str] = (),
) -> Opened:
    """Read the ONNX file at `path`, which is to end at `outputs` if there are any, and work out its light form.

    `allow` is told the bytes of its external data, which are mapped. Raises `ModelError` for what is refused.
    """
    model = untrusted.read(path, outputs)
    files = (path, *external.files_of(model, path.parent, str(path)))
    content = _hash(files, fix)
    allow(int_sum(file.stat().st_size for file in files[1:]))
    folder, origin = path.parent, str(path)

    def payload(tensor: onnx.TensorProto) -> np.ndarray:
        return external.array_of(tensor, folder, origin)

    prepared = preparing.prepare(model, dims, payload, origin, fix)
    prepared = replace(prepared, light=operators.runnable(prepared.light, origin))
    tied = tied_in(model, prepared, payload)
    # Whoever asked builds the same graph of the same light model: what cannot be built is refused here.
    graph = assemble(path.stem, prepared.light, prepared.parameters, MemorySource({}), content, tied=tied).graph
    for tensor in graph.tensors:
        if not protos.aliasable(tensor.dtype):
            raise ModelError(
                f"{origin}: {tensor.name!r} is of type {tensor.dtype}, in which no tensor can be handed from one layer "
                f"to another; {_INSTEAD.get(tensor.dtype, 'cast it in the model')}"
            )
    return Opened(path, model, content, files, prepared, tied, graph)


def tied_in(model: onnx.ModelProto, prepared: preparing.Prepared, payload: ties.Payload) -> dict[str, str]:
    """What parameters of `model` are forms of, those that share their bytes; `payload` reads a stored tensor."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    roots = [prepared.layout.get(name, name) for name in prepared.parameters]
    return ties.tied(prepared.layout, ties.by_content(stored, payload, roots), prepared.parameters)


def parameters(found: Opened) -> dict[str, np.ndarray]:
    """Every parameter of an opened file: what it stores, and what it computes from that."""
    origin, folder, prepared = str(found.path), found.path.parent, found.prepared
    needed = set(prepared.parameters)
    if prepared.folding is not None:
        needed.update(value.name for value in prepared.folding.graph.input)
    stored = {
        tensor.name: external.array_of(tensor, folder, origin)
        for tensor in found.model.graph.initializer
        if tensor.name in needed
    }
    return computed(stored, prepared, origin)


def try_out(found: Opened, arrays: Mapping[str, np.ndarray]) -> None:
    """Run the network once without and once with graph optimisation, as those who asked are going to.

    Raises `ModelError` when it does not run, or not always alike, and `MemoryError` when it takes more than there is.
    """
    prepared = found.prepared
    network = assemble(
        found.path.stem, prepared.light, prepared.parameters, MemorySource(arrays), found.content, tied=found.tied
    )
    inputs = network.sample_inputs(0)
    try:
        exact = uncut_session(network, exact=True, alias=True)
        answers = [exact.run(inputs) for _ in range(2)]
        uncut_session(network, optimization="all").run(inputs)
    except ModelError as error:
        if protos.says_no_memory(str(error)):
            raise MemoryError from None
        raise ModelError(f"{found.path}: {error}") from None
    for name, first in answers[0].items():
        # Bits and not numbers: what is not a number is not equal to itself.
        if first.tobytes() != answers[1][name].tobytes():
            raise ModelError(
                f"{found.path} answers {name!r} differently each time it runs; export it for inference, without random "
                "operators or dropout"
            )


def computed(stored: Mapping[str, np.ndarray], prepared: preparing.Prepared, origin: str) -> dict[str, np.ndarray]:
    """All parameters: stored ones, shape constants of the light model, and those that the file computes."""
    arrays = dict(stored)
    arrays.update(prepared.constants)
    if prepared.folding is not None:
        graph = prepared.folding.graph
        feeds = {value.name: arrays[value.name] for value in graph.input}
        arrays.update(protos.run_once(prepared.folding, feeds, [value.name for value in graph.output], origin))
    return {name: arrays[name] for name in prepared.parameters}


def _hash(files: tuple[Path, ...], fix: Mapping[str, Fixed]) -> str:
    # What an input is fixed at changes the answers as a weight does.
    hasher = hashlib.sha256(json.dumps(fix, sort_keys=True).encode() if fix else b"")
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    return hasher.hexdigest()
