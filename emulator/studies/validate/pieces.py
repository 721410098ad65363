"""Layers in a process of a validation: sessions with their weights inside, timed by the clock and by the thread."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx

from layerlift.emulator.studies.validate.messages import Broken
from layerlift.models.running.session import inside_session
from layerlift.models.sums import int_sum

Arrays = dict[str, np.ndarray]


class Spent(NamedTuple):
    """What computing took."""

    wall_s: float
    cpu_s: float


class Described(NamedTuple):
    """An array that travels: both sides know what it is, and only its bytes cross."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Described:
        """From JSON."""
        name, dtype, shape = plain
        return cls(str(name), str(dtype), tuple(map(int, shape)))

    @property
    def bytes(self) -> int:
        """Its size."""
        size = np.dtype(self.dtype).itemsize
        for extent in self.shape:
            size *= extent
        return size

    def array(self, payload: memoryview) -> np.ndarray:
        """The array whose bytes these are. Raises `Broken` for another number of them."""
        if len(payload) != self.bytes:
            raise Broken(f"{len(payload)} bytes came of {self.name[:60]!r}, expected {self.bytes}")
        return np.frombuffer(payload, np.dtype(self.dtype)).reshape(self.shape)


def together(arrays: Sequence[np.ndarray]) -> memoryview:
    """The bytes of arrays, one behind the other."""
    flat = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays]
    joined: np.ndarray = np.concatenate(flat) if flat else np.empty(0, np.uint8)
    return joined.data


def apart(payload: memoryview, described: Sequence[Described]) -> Arrays:
    """Arrays from their bytes. Raises `Broken` for another number of them."""
    if len(payload) != int_sum(each.bytes for each in described):
        raise Broken(f"{len(payload)} bytes of weights came, expected {int_sum(each.bytes for each in described)}")
    found: Arrays = {}
    begin = 0
    for each in described:
        found[each.name] = each.array(payload[begin : begin + each.bytes])
        begin += each.bytes
    return found


class Piece:
    """A run of layers, ready: as it was profiled, weights inside, one thread, graph optimisation off."""

    def __init__(self, model: bytes, weights: Arrays, inputs: Sequence[Described]) -> None:
        self._session = inside_session(onnx.ModelProto.FromString(model), weights, optimization="off")
        # What a first run sets up is a part of building: the first query shall find it done.
        self._session.run({each.name: np.zeros(each.shape, np.dtype(each.dtype)) for each in inputs})

    def run(self, tensors: Mapping[str, np.ndarray]) -> tuple[Arrays, Spent]:
        """What it makes of `tensors`, which may be more than it reads."""
        began_s, cpu_s = time.perf_counter(), time.thread_time()
        made = self._session.run(tensors)
        return made, Spent(time.perf_counter() - began_s, time.thread_time() - cpu_s)
