"""`load`: a network by zoo name or by path. `from_model`: a network from a model in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from layerlift.models.errors import ModelError, near
from layerlift.models.loading import preparing, zoo
from layerlift.models.onnx_files import external, protos, untrusted
from layerlift.models.running.network import MemorySource, Network, assemble

_CHUNK = 1 << 24


def load(
    name_or_path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    input_bytes: int | None = None,
    seed: int = 0,
    spectrum: float | None = None,
) -> Network:
    """A network of the zoo by name (or alias), or any feed-forward ONNX file by path, without reading its weights.

    `dims` fixes dynamic dimensions of a file, by symbolic name or as `"input:axis"`; `input_bytes` overrides what
    sending the first input costs; `seed` and `spectrum` choose a zoo network's weights (see
    `layerlift.models.loading.zoo.build`). Raises `ModelError` for an unknown name (with the near ones) and for files
    that are missing, corrupt or hostile.
    """
    text = str(name_or_path)
    if zoo.is_known(text):
        if dims:
            raise ModelError(f"{text} has no dynamic dimensions; dims is for ONNX files")
        return zoo.build(text, seed=seed, spectrum=spectrum, input_bytes=input_bytes)
    path = Path(name_or_path)
    if not path.suffix and not path.exists() and len(path.parts) == 1:
        raise ModelError(f"there is no network {text!r} in the zoo{near(text, zoo.known())}")
    if spectrum is not None or seed:
        raise ModelError(f"seed and spectrum choose the weights of zoo networks; {text} has its own")
    return _load_file(path, dims, input_bytes)


def from_model(
    model: onnx.ModelProto,
    name: str,
    *,
    weights_id: str | None = None,
    upload_bytes: Mapping[str, int] | None = None,
    synthetic: bool = False,
) -> Network:
    """A network from a complete ONNX model in memory (what a transform makes), its weights kept as they are.

    `weights_id` names the weights where the caller can (parent digest and transform); otherwise they are hashed.
    `upload_bytes` says what uploading a parameter costs where a compressed format is used.
    Raises `ModelError` as `load` does.
    """
    untrusted.refuse(model, name)
    prepared = preparing.prepare(model, None, onnx.numpy_helper.to_array, name)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    arrays = _computed(stored, prepared, name)
    if weights_id is None:
        hasher = hashlib.sha256()
        for parameter in prepared.parameters:
            hasher.update(np.ascontiguousarray(arrays[parameter]).reshape(-1).view(np.uint8).data)
        weights_id = hasher.hexdigest()
    return assemble(
        name,
        prepared.light,
        prepared.parameters,
        MemorySource(arrays),
        weights_id,
        upload_bytes=upload_bytes or prepared.upload_bytes,
        synthetic=synthetic,
    )


@dataclass(frozen=True, slots=True)
class FileSource:
    """The weights in an ONNX file, read again when they are first needed."""

    path: Path
    content: str
    """Hash of the file and its external data when the network was loaded."""
    dims: tuple[tuple[str, int], ...]

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Every parameter; `ModelError` when the file has changed since it was loaded."""
        origin = str(self.path)
        model = untrusted.read(self.path)
        if _content(self.path, model) != self.content:
            raise ModelError(f"{origin} has changed since it was loaded; load it again")
        folder = self.path.parent

        def payload(tensor: onnx.TensorProto) -> np.ndarray:
            return external.array_of(tensor, folder, origin)

        prepared = preparing.prepare(model, dict(self.dims), payload, origin)
        needed = set(prepared.parameters)
        if prepared.folding is not None:
            needed.update(value.name for value in prepared.folding.graph.input)
        stored = {t.name: payload(t) for t in model.graph.initializer if t.name in needed}
        return _computed(stored, prepared, origin)


def _load_file(path: Path, dims: Mapping[str, int] | None, input_bytes: int | None) -> Network:
    model = untrusted.read(path)
    content = _content(path, model)
    folder, origin = path.parent, str(path)
    prepared = preparing.prepare(model, dims, lambda tensor: external.array_of(tensor, folder, origin), origin)
    source = FileSource(path.absolute(), content, tuple(sorted((dims or {}).items())))
    return assemble(
        path.stem,
        prepared.light,
        prepared.parameters,
        source,
        content,
        input_bytes=input_bytes,
        upload_bytes=prepared.upload_bytes,
    )


def _computed(stored: Mapping[str, np.ndarray], prepared: preparing.Prepared, origin: str) -> dict[str, np.ndarray]:
    """All parameters: stored ones, shape constants of the light model, and those that the file computes."""
    arrays = dict(stored)
    arrays.update({t.name: onnx.numpy_helper.to_array(t) for t in prepared.light.graph.initializer})
    arrays.update(prepared.constants)
    if prepared.folding is not None:
        graph = prepared.folding.graph
        feeds = {value.name: arrays[value.name] for value in graph.input}
        arrays.update(protos.run_once(prepared.folding, feeds, [value.name for value in graph.output], origin))
    return {name: arrays[name] for name in prepared.parameters}


def _content(path: Path, model: onnx.ModelProto) -> str:
    hasher = hashlib.sha256()
    for file in (path, *external.files_of(model, path.parent, str(path))):
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    return hasher.hexdigest()
