"""Inputs that a user gives: a file `.npz` with an array for each input, or a folder of `.npy` files named like them.

Such a file may be a stranger's: nothing in it is code, and each array is measured by its header before it is read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from layerlift.models.errors import ModelError, near, sentence
from layerlift.models.files import read_regular
from layerlift.models.graph.graph import Tensor
from layerlift.models.running.network import Network

_MOST_BYTES: Final = 1 << 30
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_REMEDY: Final = "save it with numpy.savez, an array for each input"


def with_inputs(network: Network, path: str | Path) -> Network:
    """`network`, which is fed what the file or folder at `path` holds instead of made-up inputs.

    An array has the type and shape of its input, or one axis more in front: then it holds a sample at each position
    there. Raises `ModelError` for what is missing, too large, or does not fit.
    """
    place = Path(path)
    wanted = {network.graph.tensors[t].name: network.graph.tensors[t] for t in network.graph.inputs}
    folder = place.is_dir()
    names = _files(place) if folder else {}
    archive = None if folder else _archive(place)
    if archive is not None:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
    for name in names:
        if name not in wanted:
            raise ModelError(
                sentence(f"{place} has an array {name!r}, which is no input of {network.name}{near(name, wanted)}")
            )
    found: dict[str, np.ndarray] = {}
    for name, tensor in wanted.items():
        if name not in names:
            raise ModelError(
                sentence(f"{place} has no array {name!r}: expected one for each input ({', '.join(wanted)})")
            )
        found[name] = _read(place, _opener(place, archive, names[name]), tensor)
    base = None if network.base is None else replace(network.base, given=found)
    return replace(network, given=found, base=base)


def _files(folder: Path) -> dict[str, str]:
    try:
        return {file.stem: file.name for file in sorted(folder.iterdir()) if file.suffix == ".npy"}
    except OSError as error:
        raise ModelError(sentence(f"{folder} cannot be read: {error.strerror or error}")) from None


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(read_regular(path, _MOST_BYTES)))
    except OSError as error:
        raise ModelError(sentence(f"the inputs {path} cannot be read: {error.strerror or error}")) from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise ModelError(sentence(f"{path} is no .npz file; {_REMEDY}, or name a folder of .npy files")) from None


def _opener(place: Path, archive: zipfile.ZipFile | None, name: str) -> Callable[[], BinaryIO]:
    if archive is None:
        return lambda: io.BytesIO(read_regular(place / name, _MOST_BYTES))
    held: Mapping[str, zipfile.ZipInfo] = {info.filename: info for info in archive.infolist()}
    return lambda: archive.open(held[name])  # type: ignore[return-value]


def _read(place: Path, open_it: Callable[[], BinaryIO], tensor: Tensor) -> np.ndarray:
    """The samples of one input, one axis more than the input has. Its header is believed only as far as it fits."""
    try:
        with open_it() as stream:
            header = _HEADERS[np.lib.format.read_magic(stream)]
            shape, fortran, dtype = header(stream)
            count = _samples(place, tensor, tuple(shape), dtype)
            size = count * int(np.prod(tensor.shape, dtype=np.int64)) * dtype.itemsize
            body = stream.read(size)
    except OSError as error:
        raise ModelError(sentence(f"{place}: {tensor.name!r} cannot be read: {error.strerror or error}")) from None
    except (ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        raise ModelError(sentence(f"{place}: {tensor.name!r} is no array of numbers; {_REMEDY}")) from None
    if len(body) != size:
        raise ModelError(sentence(f"{place}: the array {tensor.name!r} ends early; {_REMEDY}"))
    made = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(made.reshape(count, *tensor.shape), dtype.newbyteorder("="))


def _samples(place: Path, tensor: Tensor, shape: tuple[int, ...], dtype: np.dtype) -> int:
    if dtype.newbyteorder("=").name != tensor.dtype:
        raise ModelError(
            sentence(
                f"{place}: {tensor.name!r} is of type {dtype.name}, expected {tensor.dtype}; convert it with astype"
            )
        )
    several = len(shape) == len(tensor.shape) + 1 and shape[1:] == tensor.shape and shape[0] > 0
    if shape != tensor.shape and not several:
        raise ModelError(
            sentence(
                f"{place}: {tensor.name!r} has the shape {list(shape)}, expected {list(tensor.shape)}, or with samples "
                "along one more axis in front; give it so, or set dims"
            )
        )
    count = shape[0] if several else 1
    if count * int(np.prod(tensor.shape, dtype=np.int64)) * dtype.itemsize > _MOST_BYTES:
        raise ModelError(
            sentence(f"{place}: {tensor.name!r} is larger than {_MOST_BYTES >> 20} MiB; give fewer samples")
        )
    return count
