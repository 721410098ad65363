"""How the process that opens files and the one that asks speak: a line of JSON of known length, then bare bytes.

Nothing in a frame is code, and whoever reads one says beforehand how much it takes at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layerlift.models.errors import ModelError
from layerlift.models.sums import int_sum

MOST_HEAD_BYTES = 1 << 28
_MAGIC = b"LLFRAME1"
_SIZES = "sizes"

Reads = Callable[[memoryview], int]
"""Fills some of a buffer and says how much; 0 at the end of the stream."""


class FrameError(ModelError):
    """What came is not a frame."""


def pack(head: Mapping[str, Any], sizes: Sequence[int] = ()) -> bytes:
    """The beginning of a frame; blobs of `sizes` bytes have to follow."""
    body = json.dumps({**head, _SIZES: list(sizes)}).encode()
    return _MAGIC + len(body).to_bytes(8, "big") + body


def unpack(read: Reads, most_bytes: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The next frame: its head, and its blobs as arrays of bytes.

    Raises `FrameError` when what comes is no frame, holds more than `most_bytes` in its blobs, or ends early, and
    `EOFError` when the stream ends before it begins.
    """
    start = _exactly(read, len(_MAGIC) + 8, begins=True).tobytes()
    length = int.from_bytes(start[len(_MAGIC) :], "big")
    if not start.startswith(_MAGIC) or length > MOST_HEAD_BYTES:
        raise FrameError("what it answered is not an answer")
    try:
        head = json.loads(_exactly(read, length).tobytes())
        sizes = head.pop(_SIZES)
        fits = all(type(size) is int and size >= 0 for size in sizes) and int_sum(sizes) <= most_bytes
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FrameError("what it answered is not an answer") from None
    if not fits:
        raise FrameError(f"what it answered is larger than {most_bytes} bytes")
    return head, list(_blobs(read, sizes))


def _blobs(read: Reads, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    for size in sizes:
        yield _exactly(read, size)


def _exactly(read: Reads, size: int, *, begins: bool = False) -> np.ndarray:
    held = np.empty(size, np.uint8)
    view, done = held.data, 0
    while done < size:
        count = read(view[done:])
        if not count:
            if begins and not done:
                raise EOFError
            raise FrameError("its answer ends early")
        done += count
    return held
