"""How far a profile can be trusted, measured on this machine: prints the tables of docs/profiles.md.

Run from the project's folder, with nothing else running: `python benchmarks/profile_trust.py [network ...]`.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import sys
from multiprocessing.synchronize import Event
from typing import Any

from numpy.typing import NDArray

from layerlift import models
from layerlift.models import Session
from layerlift.models.graph.cuts import blocks
from layerlift.models.loading import zoo
from layerlift.models.timing.profiles import reference

RUNS = 15

Feeds = dict[str, NDArray[Any]]
Least = dict[int, float]
Pieces = dict[int, tuple[Session, Feeds, str]]


def least_s(session: Session, feeds: Feeds, runs: int = 4 * RUNS) -> float:
    """The least disturbed run: comparable even when the machine is not quite idle."""
    session.run(feeds)
    return min(session.timed_run(feeds)[1] for _ in range(runs))


def fusing(names: list[str]) -> None:
    print("\n| network | layer by layer (ms) | fused in blocks (ms) | fused whole (ms) | whole / layers |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in names:
        profile = reference(models.load(name))
        block_s = math.fsum(block[2] for block in profile.blocks)
        row = (profile.uncut_s * 1e3, block_s * 1e3, profile.fused_s * 1e3, profile.fused_s / profile.uncut_s)
        print(f"| {name} | {row[0]:.1f} | {row[1]:.1f} | {row[2]:.1f} | {row[3]:.2f} |", flush=True)


def inputs(names: list[str]) -> None:
    print("\n| network | 20 inputs | one input, 20 times |")
    print("| --- | ---: | ---: |")
    for name in names:
        network = models.load(name)
        uncut = models.uncut_session(network)
        fed = [network.sample_inputs(number) for number in range(20)]
        uncut.run(fed[0])
        several = [min(uncut.timed_run(x)[1] for _ in range(7)) for x in fed]
        same = [min(uncut.timed_run(fed[0])[1] for _ in range(7)) for _ in range(20)]
        print(f"| {name} | {max(several) / min(several):.2f} | {max(same) / min(same):.2f} |", flush=True)


def cutting(names: list[str]) -> None:
    print("\n| network | pieces | cut / uncut | cut, weights fed / uncut |")
    print("| --- | ---: | ---: | ---: |")
    for name in names:
        network = models.load(name)
        uncut_s = least_s(models.uncut_session(network).session, network.sample_inputs(0))
        spans = blocks(network.graph)
        ratios = []
        for big in (1 << 62, 65536):
            held, spent = dict(network.sample_inputs(0)), 0.0
            for first, last in spans:
                piece = models.subgraph(network, first, last, big_bytes=big)
                session = Session(piece.model)
                feeds = {**held, **{weight: network.weights()[weight] for weight in piece.big}}
                held.update(session.run(feeds))
                spent += least_s(session, feeds)
            ratios.append(spent / uncut_s)
        print(f"| {name} | {len(spans)} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def neighbour(name: str, ready: Event, stop: Event) -> None:
    network = models.load(name)
    uncut = models.uncut_session(network)
    fed = network.sample_inputs(1)
    uncut.run(fed)
    ready.set()
    while not stop.is_set():
        uncut.run(fed)


def beside_a_copy(names: list[str]) -> None:
    print("\n| network | convolutions | fully connected | all |")
    print("| --- | ---: | ---: | ---: |")
    for name in names:
        network = models.load(name)
        kinds = {layer.name: layer.op_type for layer in network.graph.layers}
        pieces: Pieces = {}
        held = dict(network.sample_inputs(0))
        for first, last in blocks(network.graph):
            piece = models.subgraph(network, first, last, big_bytes=1 << 62)
            session = Session(piece.model)
            pieces[first] = (session, {n: held[n] for n in piece.inputs}, kinds[network.graph.layers[first].name])
            held.update(session.run(held))
        alone = {first: least_s(session, feeds) for first, (session, feeds, _) in pieces.items()}
        context = mp.get_context("spawn")
        ready, stop = context.Event(), context.Event()
        other = context.Process(target=neighbour, args=(name, ready, stop))
        other.start()
        ready.wait(60)
        crowded = {first: least_s(session, feeds) for first, (session, feeds, _) in pieces.items()}
        stop.set()
        other.join()

        def ratio(kind: str, before: Least = alone, after: Least = crowded, held: Pieces = pieces) -> str:
            chosen = [first for first in held if not kind or held[first][2] == kind]
            if not chosen:
                return "-"
            return f"{sum(after[f] for f in chosen) / sum(before[f] for f in chosen):.2f}"

        print(f"| {name} | {ratio('Conv')} | {ratio('Gemm')} | {ratio('')} |", flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(zoo.classics())
    fusing(chosen)
    inputs(chosen)
    cutting(chosen)
    beside_a_copy([name for name in chosen if name in ("alexnet", "vgg19", "resnet50", "squeezenet")])
