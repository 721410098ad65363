"""What cutting costs: thread CPU time of a cut network against the uncut one, `python -m benchmarks.pieces`.

Interleaved runs of the same inputs in one process, at the settings that the emulation runs with (exact: graph
optimisation and prepacking off). The pieces are run once with their weights inside and once with aliased weights.
"""

from __future__ import annotations

import statistics
import sys
from itertools import pairwise

from layerlift.models import Network, Session, load, subgraph, uncut_session

PIECES = 4
ROUNDS = 9


def cuts(network: Network) -> list[tuple[int, int]]:
    """The network in four runs of layers of about equal number."""
    edges = [len(network.graph) * k // PIECES for k in range(PIECES + 1)]
    return [(first, end - 1) for first, end in pairwise(edges)]


def compare(name: str) -> None:
    """Print the ratios of one network."""
    network = load(name)
    weights, inputs = network.weights(), network.sample_inputs(0)
    whole = uncut_session(network, exact=True)
    inside = [subgraph(network, first, last, big_bytes=1 << 62) for first, last in cuts(network)]
    aliased = [subgraph(network, first, last) for first, last in cuts(network)]
    plain = [Session(piece.model, exact=True) for piece in inside]
    sharing = [Session(piece.model, exact=True) for piece in aliased]
    times: dict[str, list[float]] = {"uncut": [], "inside": [], "aliased": []}
    for _ in range(ROUNDS):
        times["uncut"].append(whole.timed_run(inputs)[1])
        for kind, sessions in (("inside", plain), ("aliased", sharing)):
            tensors, total = dict(inputs), 0.0
            for session in sessions:
                made, seconds = session.timed_run({**tensors, **weights})
                tensors.update(made)
                total += seconds
            times[kind].append(total)
    uncut = times["uncut"]
    ratios = {kind: statistics.median(b / a for a, b in zip(uncut, times[kind], strict=True)) for kind in times}
    print(
        f"{name}: uncut {statistics.median(uncut) * 1e3:.1f} ms of thread CPU time; in {PIECES} pieces "
        f"{ratios['inside']:.3f} of it, with aliased weights {ratios['aliased']:.3f}"
    )


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ("alexnet", "vgg19"):
        compare(chosen)
