"""What opening a file may take, and what running it may hold at once; each can be raised by an environment variable."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from layerlift.models.errors import ModelError
from layerlift.models.graph.cuts import peak_live_bytes
from layerlift.models.graph.graph import LayerGraph

OPEN_SECONDS = "LAYERLIFT_OPEN_SECONDS"
OPEN_MEMORY = "LAYERLIFT_OPEN_MEMORY_GB"
LIVE_MEMORY = "LAYERLIFT_LIVE_MEMORY_GB"

_SECONDS, _MEMORY_GB, _LIVE_GB = 60.0, 2.0, 4.0
_BYTES_PER_SECOND = 50e6
"""A large file gets more time: a slow disk reads, hashes and parses so much of it in a second."""
COPIES = 4
"""Of a file: as read, as parsed, as arrays, and as a session's own weights."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one opening may take, from the moment it is asked for."""

    seconds: float
    """Of processor time."""
    memory_bytes: int
    """Beyond what the process held before."""


def opening(file_bytes: int) -> Limits:
    """The limits for a file of `file_bytes`, its external data included.

    `LAYERLIFT_OPEN_SECONDS` (60) and `LAYERLIFT_OPEN_MEMORY_GB` (2) say what even the smallest file may take. Raises
    `ModelError` when one of them is not a positive number.
    """
    seconds = setting(OPEN_SECONDS, _SECONDS) + file_bytes / _BYTES_PER_SECOND
    return Limits(seconds, int(setting(OPEN_MEMORY, _MEMORY_GB) * 1e9) + COPIES * file_bytes)


def held_at_once(graph: LayerGraph) -> int:
    """Bytes of tensors that one query of the uncut network holds at once, at most: its answers stay to the end."""
    return peak_live_bytes(graph) + sum(graph.tensors[t].bytes for t in graph.outputs)


def live_gb() -> float:
    """What `LAYERLIFT_LIVE_MEMORY_GB` says; `ModelError` when that is no number above 0."""
    return setting(LIVE_MEMORY, _LIVE_GB)


def check_live(graph: LayerGraph) -> None:
    """Raise `ModelError` when one query of `graph` holds more than `LAYERLIFT_LIVE_MEMORY_GB` (4) of tensors at once.

    Its weights are not among them.
    """
    most, held = live_gb(), held_at_once(graph) / 1e9
    if held > most:
        raise ModelError(
            f"{graph.name} holds {held:.2f} GB of tensors at once while it runs, more than the limit of {most:g} GB; "
            f"make its inputs smaller, run it with execution: none and a profile, or set {LIVE_MEMORY}"
        )


def setting(name: str, default: float) -> float:
    """The environment variable `name` as a positive, finite number; `ModelError` when it is anything else."""
    given = os.environ.get(name, "")
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ModelError(f"{name} is {given!r}; expected a number above 0, such as {default:g}")
    return value
