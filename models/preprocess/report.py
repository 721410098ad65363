"""What a preprocessing step did: sizes before and after, and how far a lossy one moved the outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.running.network import Network
from layerlift.models.running.session import uncut_session


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """What a network costs to hold, to upload and to run."""

    layers: int
    held_bytes: int
    upload_bytes: int
    flops: int


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far outputs (before a final softmax) moved, over seeded inputs: never an accuracy."""

    relative: float
    """Norm of the difference over the norm of the outputs before."""
    worst: float
    """Largest difference over the largest output before."""
    samples: int
    synthetic: bool
    """The weights are seeded, not trained: they have no structure to exploit, and the error says little."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of a pipeline."""

    step: str
    lossless: bool
    changed: bool
    before: NetworkSize
    after: NetworkSize
    error: OutputError | None = None


def size_of(network: Network) -> NetworkSize:
    """The size of `network`, without its weights."""
    graph = network.graph
    everything = range(len(graph))
    return NetworkSize(
        len(graph),
        graph.held_bytes(everything),
        graph.upload_bytes(everything),
        sum(layer.flops for layer in graph.layers),
    )


def output_error(before: Network, after: Network, samples: int = 2) -> OutputError:
    """Run both networks on `samples` equal inputs and compare their logits. Fetches both networks' weights.

    Raises `ModelError` when onnxruntime refuses one of them.
    """
    pairs = list(zip(_compared(before), _compared(after), strict=True))
    moved = held = 0.0
    worst = largest = 0.0
    sessions = uncut_session(before, alias=True), uncut_session(after, alias=True)
    for number in range(samples):
        inputs = before.sample_inputs(number)
        old, new = (session.run(inputs) for session in sessions)
        for was, now in pairs:
            reference = old[was].astype(np.float64)
            change = new[now].astype(np.float64) - reference
            moved += float(np.square(change).sum())
            held += float(np.square(reference).sum())
            worst = max(worst, float(np.abs(change).max(initial=0.0)))
            largest = max(largest, float(np.abs(reference).max(initial=0.0)))
    return OutputError(_share(moved, held) ** 0.5, _share(worst, largest), samples, before.synthetic)


def _compared(network: Network) -> tuple[str, ...]:
    return network.logits


def _share(part: float, whole: float) -> float:
    if whole == 0:
        return 0.0 if part == 0 else float("inf")
    return part / whole
