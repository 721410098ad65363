"""`load`: a network by zoo name or by path. `from_model`: a network from a model in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from layerlift.models.errors import ModelError, near
from layerlift.models.graph import from_onnx
from layerlift.models.loading import preparing, reading, zoo
from layerlift.models.loading.dimensions import Fixed
from layerlift.models.loading.files import Dims, Fixes, open_file
from layerlift.models.loading.opener import OPENER, answered_badly
from layerlift.models.onnx_files import external, functions, untrusted
from layerlift.models.running.network import MemorySource, Network, assemble
from layerlift.models.sums import int_sum

_UNPACKED = 8
"""Types below a byte are packed in a file, and take a byte each as arrays."""


def load(
    name_or_path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    fix: Mapping[str, Fixed] | None = None,
    outputs: Sequence[str] = (),
    input_bytes: int | None = None,
    seed: int = 0,
    spectrum: float | None = None,
) -> Network:
    """A network of the zoo by name (or alias), or any feed-forward ONNX file by path, without reading its weights.

    `dims` fixes dynamic dimensions of a file, by symbolic name or as `"input:axis"`; `fix` makes inputs of a file
    constants, each by one number for all its elements or by a list of them; `outputs` names the tensors that a file is
    to end at, in place of its own outputs; `input_bytes` overrides what sending the first input costs; `seed` and
    `spectrum` choose a zoo network's weights (see `layerlift.models.loading.zoo.build`). Raises `ModelError` for an
    unknown name (with the near ones) and for files that are missing, corrupt or hostile.
    """
    text = str(name_or_path)
    if zoo.is_known(text):
        if dims:
            raise ModelError(f"{text} has no dynamic dimensions; dims is for ONNX files")
        if fix:
            raise ModelError(f"{text} has one input, which is fed; fix is for ONNX files")
        if outputs:
            raise ModelError(f"{text} is a network of the zoo, which ends where it ends; output is for ONNX files")
        return zoo.build(text, seed=seed, spectrum=spectrum, input_bytes=input_bytes)
    path = Path(name_or_path)
    if not path.suffix and not path.exists() and len(path.parts) == 1:
        raise ModelError(f"there is no network {text!r} in the zoo{near(text, zoo.known())}")
    if spectrum is not None or seed:
        raise ModelError(f"seed and spectrum choose the weights of zoo networks; {text} has its own")
    return _load_file(path, dims, fix, tuple(dict.fromkeys(outputs)), input_bytes)


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
    model = functions.inlined(model, name)
    untrusted.refuse(model, name)
    prepared = preparing.prepare(model, None, onnx.numpy_helper.to_array, name)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    arrays = reading.computed(stored, prepared, name)
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
        tied=reading.tied_in(model, prepared, onnx.numpy_helper.to_array),
        synthetic=synthetic,
    )


@dataclass(frozen=True, slots=True)
class FileSource:
    """The weights in an ONNX file, read again when they are first needed."""

    path: Path
    content: str
    """Hash of the file and its external data when the network was loaded."""
    dims: Dims
    fix: Fixes
    outputs: tuple[str, ...]
    file_bytes: int
    """Of the file and its external data."""

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Every parameter; `ModelError` when the file has changed since it was loaded, or cannot be run."""
        types = from_onnx.types_of(light)
        most = int_sum(from_onnx.bytes_of(kind, name, str(self.path)) for name, kind in types.items())
        head, blobs = OPENER.ask(
            "weights",
            self.path,
            self.file_bytes,
            _UNPACKED * most,
            dims=dict(self.dims),
            fix=dict(self.fix),
            outputs=list(self.outputs),
            content=self.content,
        )
        if "changed" in head:
            raise ModelError(f"{self.path} has changed since it was loaded; load it again")
        try:
            sent = {name: _array(blob, *types[name]) for name, blob in zip(head["names"], blobs, strict=True)}
            lying = head["mapped"].items()
            return {**sent, **{name: self._mapped(file, offset, *types[name]) for name, (file, offset) in lying}}
        except (KeyError, TypeError, ValueError):
            raise answered_badly(self.path) from None

    def _mapped(self, file: str, offset: int, elem_type: int, shape: tuple[int, ...]) -> np.ndarray:
        """A weight that lies in a file beside the model, which was checked a moment ago."""
        path = Path(file)
        if not path.is_relative_to(self.path.parent.resolve()):
            raise answered_badly(self.path)
        try:
            return external.mapped(path, offset, onnx.helper.tensor_dtype_to_np_dtype(elem_type), shape)
        except (OSError, ValueError):
            raise ModelError(f"{self.path} has changed since it was loaded; load it again") from None


def _load_file(
    path: Path,
    dims: Mapping[str, int] | None,
    fix: Mapping[str, Fixed] | None,
    outputs: tuple[str, ...],
    input_bytes: int | None,
) -> Network:
    fixed = sorted(((name, tuple(to) if isinstance(to, Sequence) else to)) for name, to in (fix or {}).items())
    found = open_file(_absolute(path), tuple(sorted((dims or {}).items())), tuple(fixed), outputs)
    try:
        light = onnx.ModelProto.FromString(found.light)
    except DecodeError:
        raise answered_badly(found.path) from None
    source = FileSource(found.path, found.content, found.dims, found.fix, found.outputs, found.file_bytes)
    return assemble(
        path.stem,
        light,
        found.parameters,
        source,
        found.content,
        input_bytes=input_bytes,
        upload_bytes=found.upload_bytes,
        tied=found.tied,
    )


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except OSError:
        raise ModelError(f"{path} cannot be found: the working directory is gone; give the whole path") from None


def _array(blob: np.ndarray, elem_type: int, shape: tuple[int, ...]) -> np.ndarray:
    return blob.view(onnx.helper.tensor_dtype_to_np_dtype(elem_type)).reshape(shape)
