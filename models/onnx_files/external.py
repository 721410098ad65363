"""Weights that live in files beside the model: opened only inside the model's own folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import onnx

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.protos import aliasable
from layerlift.models.onnx_files.untrusted import bits_of, check_size

MAPPED_BYTES: Final = 1 << 20
"""External tensors of this size are mapped and not read."""


def locate(tensor: onnx.TensorProto, folder: Path, origin: str) -> tuple[Path, int, int]:
    """Where the payload of an external tensor lies: (file, offset, bytes).

    Raises `ModelError` when the location is absolute, climbs out of `folder`, passes through a symlink, is not a
    regular file, or is too short. The check is on resolved paths, whatever the working directory is.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    given = entries.get("location", "")
    parts = PurePosixPath(given.replace("\\", "/")).parts
    if not parts or given.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise ModelError(f"{origin}: external data of {tensor.name!r} at {given!r} is outside the model's folder")
    root = folder.resolve()
    path = root.joinpath(*parts)
    try:
        is_link, is_file = path.resolve() != path, path.is_file()
    # A name with a NUL or of thousands of characters is none that a file could have; links may go round in a circle.
    except (OSError, ValueError, RuntimeError):
        is_link, is_file = False, False
    if is_link:
        raise ModelError(f"{origin}: external data of {tensor.name!r} at {given!r} is a link; copy the file instead")
    if not is_file:
        raise ModelError(f"{origin}: external data file {given!r} of {tensor.name!r} is missing")
    expected = check_size(tensor.name, tuple(tensor.dims), bits_of(tensor.data_type, tensor.name, origin), origin)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected)))
    except ValueError:
        raise ModelError(f"{origin}: external data of {tensor.name!r} has an offset that is not a number") from None
    size = path.stat().st_size
    if offset < 0 or length != expected or offset + length > size:
        raise ModelError(
            f"{origin}: external data of {tensor.name!r} asks for {length} bytes at {offset} of {given!r} "
            f"({size} bytes); its shape needs {expected}"
        )
    return path, offset, length


def array_of(tensor: onnx.TensorProto, folder: Path, origin: str) -> np.ndarray:
    """The values of `tensor`, from the model or from its external file (see `locate` for what is refused)."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return onnx.numpy_helper.to_array(tensor)
    path, offset, length = locate(tensor, folder, origin)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if length >= MAPPED_BYTES and aliasable(dtype.name) and offset % dtype.itemsize == 0:
        return mapped(path, offset, dtype, tuple(tensor.dims))
    with path.open("rb") as stream:
        stream.seek(offset)
        payload = stream.read(length)
    held = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=payload)
    return onnx.numpy_helper.to_array(held)


def mapped(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    """An array that lies in a file and is read as it is used; pages are shared by all processes that map it."""
    return np.memmap(path, dtype, "r", offset, shape)


def files_of(model: onnx.ModelProto, folder: Path, origin: str) -> tuple[Path, ...]:
    """The external files that `model` reads, each checked, sorted."""
    found = {
        locate(tensor, folder, origin)[0]
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    }
    return tuple(sorted(found))
