"""Writing a network as an ONNX file, with its weights in a second file beside it where one cannot hold them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from layerlift.models.loading.disk_cache import write_bytes
from layerlift.models.onnx_files.protos import aliasable
from layerlift.models.running.network import Network

_PAGE: Final = 4096
"""Arrays begin at a page, so that they can be mapped."""


def save(network: Network, path: Path) -> tuple[Path, ...]:
    """Write `network` to `path`; the files that it took: above 2 GiB of weights PATH.data lies beside it.

    No half of it is ever there under its name. Raises `ModelError` or `OSError` when it cannot be written.
    """
    if not network.too_large_for_a_file:
        write_bytes(path, network.model().SerializeToString())
        return (path,)
    beside, unfinished = path.with_name(path.name + ".data"), path.with_name(path.name + ".data.part")
    model = onnx.ModelProto()
    model.CopyFrom(network.light)
    weights = network.weights()
    activations = [value for value in model.graph.input if value.name not in weights]
    fed = {value.name: weights[value.name] for value in model.graph.input if value.name in weights}
    del model.graph.input[:]
    model.graph.input.extend(activations)
    try:
        _write(unfinished, beside.name, fed, network, model)
        # An older model must not be left with weights that are not its own.
        path.unlink(missing_ok=True)
        os.replace(unfinished, beside)
    finally:
        unfinished.unlink(missing_ok=True)
    write_bytes(path, model.SerializeToString())
    return path, beside


def _write(path: Path, name: str, weights: Mapping[str, np.ndarray], network: Network, model: onnx.ModelProto) -> None:
    with path.open("wb") as stream:
        for weight, array in weights.items():
            if not array.size or not aliasable(array.dtype.name):
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), weight))
                continue
            stream.seek(-stream.tell() % _PAGE, os.SEEK_CUR)
            held = model.graph.initializer.add(name=weight, dims=array.shape)
            held.data_type, held.data_location = network.types[weight][0], onnx.TensorProto.EXTERNAL
            told = (("location", name), ("offset", str(stream.tell())), ("length", str(array.nbytes)))
            for key, value in told:
                held.external_data.add(key=key, value=value)
            stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
