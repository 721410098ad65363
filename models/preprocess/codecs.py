"""Upload formats of weights with many zeros: stated sizes, exact values.

All formats are little-endian and begin with 16 bytes: `LLSP`, version (1), format (1: bitmap, 2: indices, 3: rows,
4: patterns), two zero bytes, and the number of values that follow (8 bytes). Shape and type are not sent: the receiver
has the network's graph. A codec's size depends on the shape alone, so that planning needs no weights.
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerlift.models.errors import ModelError
from layerlift.models.graph.features import Shape

HEADER = struct.Struct("<4sBB2xQ")
_MAGIC, _VERSION = b"LLSP", 1
_BITMAP, _INDICES, _ROWS, _PATTERNS = 1, 2, 3, 4


class Codec(Protocol):
    """A format that restores an array to the last bit, so long as it has the zeros that the codec counts on."""

    def size(self, shape: Shape, dtype: str) -> int:
        """Bytes of what `encode` gives for any array of `shape`."""

    def encode(self, array: np.ndarray) -> bytes:
        """`array` in this format. Raises `ModelError` when it has too few zeros or has them elsewhere."""

    def decode(self, data: bytes, shape: Shape, dtype: str) -> np.ndarray:
        """The array that was encoded. Raises `ModelError` for data of another size or format."""


@dataclass(frozen=True, slots=True, order=True)
class Sparse:
    """At most `values` numbers that are not zero, anywhere: a bitmap, or 4-byte indices where that is smaller."""

    values: int

    def size(self, shape: Shape, dtype: str) -> int:
        """See `Codec`: 16 + the smaller of ceil(n / 8) and 4 x values + values x bytes each."""
        places = min(_bitmap_bytes(math.prod(shape)), 4 * self.values)
        return HEADER.size + places + self.values * np.dtype(dtype).itemsize

    def encode(self, array: np.ndarray) -> bytes:
        """See `Codec`."""
        flat = np.ascontiguousarray(array).reshape(-1)
        chosen = _exactly(_nonzero(flat), self.values, "values that are not zero")
        if self._as_bitmap(flat.size):
            return _joined(_BITMAP, self.values, np.packbits(chosen, bitorder="little"), flat[chosen])
        return _joined(_INDICES, self.values, np.flatnonzero(chosen).astype("<u4"), flat[chosen])

    def decode(self, data: bytes, shape: Shape, dtype: str) -> np.ndarray:
        """See `Codec`."""
        count = math.prod(shape)
        form = _BITMAP if self._as_bitmap(count) else _INDICES
        body = _body(data, form, self.values, self.size(shape, dtype))
        flat = np.zeros(count, dtype)
        if form == _BITMAP:
            split = _bitmap_bytes(count)
            at = np.flatnonzero(np.unpackbits(body[:split], count=count, bitorder="little"))
        else:
            split = 4 * self.values
            at = body[:split].view("<u4").astype(np.int64)
        if len(at) != self.values or (len(at) and int(at.max()) >= count):
            raise ModelError(f"a sparse upload has {len(at)} values for {count} places; expected {self.values} of them")
        flat[at] = body[split:].view(dtype)
        return flat.reshape(shape)

    def _as_bitmap(self, count: int) -> bool:
        return _bitmap_bytes(count) <= 4 * self.values


@dataclass(frozen=True, slots=True, order=True)
class ShortRows:
    """A matrix, `short` of whose rows (columns with `axis=1`) are zero after their first `kept` numbers."""

    short: int
    kept: int
    axis: int = 0

    def size(self, shape: Shape, dtype: str) -> int:
        """See `Codec`: 16 + ceil(rows / 8) + the numbers that remain."""
        return HEADER.size + _bitmap_bytes(shape[self.axis]) + self._values(shape) * np.dtype(dtype).itemsize

    def encode(self, array: np.ndarray) -> bytes:
        """See `Codec`."""
        rows = np.ascontiguousarray(array if self.axis == 0 else array.T)
        tails = _any(_nonzero(rows[:, self.kept :]))
        full = _exactly(tails, len(rows) - self.short, "full rows")
        bits = np.packbits(full, bitorder="little")
        return _joined(_ROWS, self._values(array.shape), bits, rows[full], rows[~full][:, : self.kept])

    def decode(self, data: bytes, shape: Shape, dtype: str) -> np.ndarray:
        """See `Codec`."""
        count, width = shape[self.axis], shape[1 - self.axis]
        body = _body(data, _ROWS, self._values(shape), self.size(shape, dtype))
        split = _bitmap_bytes(count)
        full = np.unpackbits(body[:split], count=count, bitorder="little").astype(bool)
        if int(full.sum()) != count - self.short:
            raise ModelError(f"a row upload has {full.sum()} full rows, expected {count - self.short}; send it again")
        values = body[split:].view(dtype)
        rows = np.zeros((count, width), dtype)
        rows[full] = values[: full.sum() * width].reshape(-1, width)
        rows[~full, : self.kept] = values[full.sum() * width :].reshape(self.short, self.kept)
        return rows if self.axis == 0 else np.ascontiguousarray(rows.T)

    def _values(self, shape: Shape) -> int:
        return (shape[self.axis] - self.short) * shape[1 - self.axis] + self.short * self.kept


NATURAL = np.array([sorted((4, *rest)) for rest in itertools.combinations((0, 1, 2, 3, 5, 6, 7, 8), 3)])
"""The 56 natural patterns of a 3x3 kernel (PatDNN): the centre and three of its neighbours, positions 0..8."""


@dataclass(frozen=True, slots=True, order=True)
class Patterns:
    """3x3 kernels, at most `kernels` of which are not zero, each inside one natural pattern of four places."""

    kernels: int

    def size(self, shape: Shape, dtype: str) -> int:
        """See `Codec`: 16 + 6 bits per kernel (0 absent, 1 to 56 its pattern) + four numbers per kernel that stays."""
        return HEADER.size + self._code_bytes(shape) + 4 * self.kernels * np.dtype(dtype).itemsize

    def encode(self, array: np.ndarray) -> bytes:
        """See `Codec`."""
        kernels = np.ascontiguousarray(array).reshape(-1, 9)
        used = _nonzero(kernels)
        there = _exactly(_any(used), self.kernels, "kernels that are not zero")
        inside = np.stack([~np.delete(used, pattern, axis=1).any(axis=1) for pattern in NATURAL])
        if not inside.any(axis=0).all():
            raise ModelError("a 3x3 kernel has values outside every pattern of four places; prune it with patterns")
        number = inside.argmax(axis=0)
        codes = np.where(there, number + 1, 0).astype(np.uint8)
        bits = np.unpackbits(codes[:, None], axis=1, bitorder="little")[:, :6]
        values = np.take_along_axis(kernels, NATURAL[number], axis=1)[there]
        return _joined(_PATTERNS, 4 * self.kernels, np.packbits(bits.reshape(-1), bitorder="little"), values)

    def decode(self, data: bytes, shape: Shape, dtype: str) -> np.ndarray:
        """See `Codec`."""
        body = _body(data, _PATTERNS, 4 * self.kernels, self.size(shape, dtype))
        split, count = self._code_bytes(shape), math.prod(shape) // 9
        bits = np.unpackbits(body[:split], count=6 * count, bitorder="little").reshape(count, 6)
        codes = np.packbits(bits, axis=1, bitorder="little")[:, 0].astype(np.int64)
        there = codes > 0
        if int(there.sum()) != self.kernels or int(codes.max(initial=0)) > len(NATURAL):
            raise ModelError(f"a pattern upload has {there.sum()} kernels, expected {self.kernels}; send it again")
        kernels = np.zeros((count, 9), dtype)
        rows = np.flatnonzero(there)
        kernels[rows[:, None], NATURAL[codes[there] - 1]] = body[split:].view(dtype).reshape(-1, 4)
        return kernels.reshape(shape)

    def _code_bytes(self, shape: Shape) -> int:
        return (6 * (math.prod(shape) // 9) + 7) // 8


def _joined(form: int, values: int, *parts: np.ndarray) -> bytes:
    return b"".join((HEADER.pack(_MAGIC, _VERSION, form, values), *(bytes(part.tobytes()) for part in parts)))


def _body(data: bytes, form: int, values: int, size: int) -> np.ndarray:
    if len(data) != size or HEADER.unpack_from(data) != (_MAGIC, _VERSION, form, values):
        raise ModelError(f"an upload of {len(data)} bytes is not in its format, expected {size} bytes; send it again")
    return np.frombuffer(data, np.uint8, offset=HEADER.size)


def _bitmap_bytes(count: int) -> int:
    return (count + 7) // 8


def _nonzero(array: np.ndarray) -> np.ndarray:
    """Which numbers have a bit set: minus zero counts, so that it is restored."""
    return np.asarray(array.view(np.dtype(f"u{array.dtype.itemsize}")) != 0)


def _any(flags: np.ndarray) -> np.ndarray:
    """Per row, whether a flag is set."""
    return np.asarray(flags.any(axis=1))


def _exactly(chosen: np.ndarray, count: int, what: str) -> np.ndarray:
    """`chosen` with the first unchosen places added until there are `count`."""
    missing = count - int(chosen.sum())
    if missing < 0:
        raise ModelError(f"an array has {chosen.sum()} {what}, more than the {count} of its upload format")
    if missing:
        chosen = chosen.copy()
        chosen[np.flatnonzero(~chosen)[:missing]] = True
    return chosen
