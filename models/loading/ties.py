"""Which parameters of a file are one weight: the same bytes, read in several forms.

An embedding that is used again, transposed, as the last layer is the commonest. Some exporters write `Transpose` of it,
others write its values twice; either way a server needs them once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from layerlift.models.onnx_files.protos import aliasable

LEAST_BYTES: Final = 64 * 1024
"""Smaller weights are not compared: many of them are equal by chance, such as biases of zeros."""
_LAYOUT: Final = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Each gives back the numbers that it reads, all of them and each once."""
_SAMPLES: Final = 16
"""Along each side of a matrix."""
_AT_ONCE: Final = 1 << 20

Payload = Callable[[TensorProto], np.ndarray]


def by_layout(folded: Iterable[onnx.NodeProto], parameters: Collection[str]) -> dict[str, str]:
    """Per parameter that `folded` nodes only lay out anew, the constant that it is a form of."""
    source: dict[str, str] = {}
    for node in folded:
        if node.op_type in _LAYOUT and node.domain in ("", "ai.onnx"):
            source[node.output[0]] = source.get(node.input[0], node.input[0])
    return {name: source[name] for name in parameters if name in source}


def by_content(stored: Mapping[str, TensorProto], payload: Payload, names: Iterable[str]) -> dict[str, str]:
    """Per stored tensor of `names` that an earlier one equals, as it is or transposed, that one.

    Tensors below 64 KiB and those whose sampled numbers are all the same (nobody has trained them) equal none. Only
    tensors of one type and size are looked at, a few of their numbers first.
    """
    alike: dict[tuple[int, int, int], list[str]] = {}
    for name in dict.fromkeys(names):
        kind = _kind(stored[name]) if name in stored else None
        if kind is not None:
            alike.setdefault(kind, []).append(name)
    found: dict[str, str] = {}
    for kind, group in alike.items():
        seen: dict[bytes, list[str]] = {}
        for name in group if len(group) > 1 else ():
            matrix = _matrix(payload(stored[name]), kind)
            mark = _mark(matrix)
            if mark is None:
                continue
            same = (one for one in seen.get(mark, ()) if _equal(_matrix(payload(stored[one]), kind), matrix))
            first = next(same, None)
            if first is None:
                seen.setdefault(mark, []).append(name)
            else:
                found[name] = first
    return found


def tied(layout: Mapping[str, str], content: Mapping[str, str], parameters: Iterable[str]) -> dict[str, str]:
    """Per parameter that shares its bytes with another, the name of what they are forms of."""
    roots = {name: content.get(layout.get(name, name), layout.get(name, name)) for name in parameters}
    forms: dict[str, list[str]] = {}
    for name, root in roots.items():
        forms.setdefault(root, []).append(name)
    return {name: root for root, names in forms.items() if len(names) > 1 for name in names}


def _kind(tensor: TensorProto) -> tuple[int, int, int] | None:
    """Type, and the extents of `tensor` as a matrix that lies; None for one that is not compared."""
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        return None
    shape = [extent for extent in tensor.dims if extent != 1]
    count = int(np.prod(shape, dtype=object))
    if count * dtype.itemsize < LEAST_BYTES or not aliasable(dtype.name) or dtype.name == "object":
        return None
    # Only a matrix is ever written transposed; of anything else the numbers have to be the same in the same order.
    return tensor.data_type, *(sorted(shape) if len(shape) == 2 else (1, count))


def _matrix(array: np.ndarray, kind: tuple[int, int, int]) -> np.ndarray:
    """`array` as a matrix with as many columns as rows, or more; a view of it."""
    _, rows, columns = kind
    if rows == 1:
        return array.reshape(1, columns)
    squeezed = array.squeeze()
    return squeezed if squeezed.shape == (rows, columns) else squeezed.T


def _mark(matrix: np.ndarray) -> bytes | None:
    """A few numbers, the same for a square matrix and its transpose; None when they are all one number."""
    rows, columns = (_positions(extent) for extent in matrix.shape)
    few = np.ascontiguousarray(matrix[np.ix_(rows, columns)])
    if len(np.unique(few.view(np.uint8).reshape(few.size, -1), axis=0)) == 1:
        return None
    if matrix.shape[0] != matrix.shape[1]:
        return few.tobytes()
    return min(few.tobytes(), np.ascontiguousarray(few.T).tobytes())


def _positions(extent: int) -> np.ndarray:
    return np.unique(np.linspace(0, extent - 1, _SAMPLES, dtype=np.int64))


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    square = one.shape[0] == one.shape[1]
    return _same(one, other) or (square and _same(one, other.T))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two matrices hold the same bits; some rows at a time, for they may be as large as memory."""
    if one.shape[0] == 1:
        one, other = one.reshape(-1, 1), other.reshape(-1, 1)
    # As whole numbers: what is not a number is not equal to itself, and zero is to minus zero.
    one, other = (matrix.view(f"u{matrix.itemsize}") for matrix in (one, other))
    step = max(1, _AT_ONCE // one.shape[1])
    return all(np.array_equal(one[at : at + step], other[at : at + step]) for at in range(0, one.shape[0], step))
