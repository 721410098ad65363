"""Problems that every planner must answer: small, deterministic, and each hard in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor
from layerlift.planners.problem.crowd_news import Asking, CrowdNews
from layerlift.planners.problem.media_news import MediaNews
from layerlift.planners.problem.problem import Objective, Problem, simple_problem
from layerlift.planners.problem.shared_links import ports

MB = 2**20


@dataclass(frozen=True, slots=True)
class Sketch:
    """One layer of a hand-made graph: what it reads (layers, or `input`), and the bytes that it makes and holds."""

    name: str
    reads: tuple[str, ...]
    makes: int = 1000
    holds: int = 0
    shares: str = ""
    """Name of a parameter that several layers hold; its size is the first one's `holds`."""


def draw_graph(name: str, sketches: Sequence[Sketch], input_bytes: int = 600_000) -> LayerGraph:
    """Turn sketches into a `LayerGraph`; layers that nobody reads give the network's outputs.

    Raises `ModelError` when a layer reads what is made later, `KeyError` when it reads what does not exist.
    """
    number = {"input": 0, **{sketch.name: index + 1 for index, sketch in enumerate(sketches)}}
    readers: dict[int, list[int]] = {tensor: [] for tensor in number.values()}
    parameters: dict[str, Parameter] = {}
    layers = []
    for index, sketch in enumerate(sketches):
        for read in sketch.reads:
            readers[number[read]].append(index)
        held = sketch.shares or (f"{sketch.name}.weight" if sketch.holds else "")
        if held:
            parameters.setdefault(held, Parameter(held, sketch.holds, sketch.holds))
        layers.append(
            Layer(
                index=index,
                name=sketch.name,
                op_type="Conv" if sketch.holds else "Relu",
                inputs=tuple(number[read] for read in sketch.reads),
                outputs=(index + 1,),
                parameters=(list(parameters).index(held),) if held else (),
                nodes=(sketch.name,),
            )
        )
    sizes = [input_bytes, *(sketch.makes for sketch in sketches)]
    tensors = tuple(
        Tensor(text, sizes[at], at - 1, tuple(readers[at]), at > 0 and not readers[at]) for text, at in number.items()
    )
    outputs = tuple(index for index, tensor in enumerate(tensors) if tensor.is_output)
    return LayerGraph(name, tuple(layers), tensors, tuple(parameters.values()), (0,), outputs)


def chain_graph(makes: Iterable[int], holds: Iterable[int], name: str = "chain") -> LayerGraph:
    """A chain whose layers make and hold so many bytes."""
    sketches = [
        Sketch(f"layer{at}", (f"layer{at - 1}" if at else "input",), made, held)
        for at, (made, held) in enumerate(zip(makes, holds, strict=True))
    ]
    return draw_graph(name, sketches)


def _alexnet_like() -> LayerGraph:
    """Convolutions that shrink the data, then heavy layers with little work: AlexNet in small."""
    makes = [300_000, 300_000, 70_000, 180_000, 36_000, 16_000, 4_000]
    holds = [140_000, 0, 0, 1_200_000, 15_000_000, 7_000_000, 1_600_000]
    return chain_graph(makes, holds, "shrinking chain")


def _modules() -> LayerGraph:
    """A stem, two modules with branches, a head: GoogLeNet in small."""
    return draw_graph(
        "modules",
        [
            Sketch("stem", ("input",), 200_000, 40_000),
            Sketch("a1", ("stem",), 50_000, 20_000),
            Sketch("a2", ("stem",), 30_000, 60_000),
            Sketch("a3", ("a2",), 80_000, 200_000),
            Sketch("join", ("a1", "a3"), 130_000),
            Sketch("b1", ("join",), 60_000, 90_000),
            Sketch("add", ("b1", "join"), 60_000),
            Sketch("head", ("add",), 4_000, 4_000_000),
        ],
    )


def _awkward() -> LayerGraph:
    """A weight shared by two layers, an early answer, a tensor read far away."""
    return draw_graph(
        "awkward",
        [
            Sketch("a", ("input",), 100_000, MB, shares="tied"),
            Sketch("early", ("a",), 400),
            Sketch("b", ("a",), 100_000, MB, shares="tied"),
            Sketch("c", ("b",), 0),
            Sketch("late", ("c", "a", "input"), 4_000, 300_000),
        ],
        input_bytes=150_000,
    )


def _seconds(graph: LayerGraph, speeds: Sequence[float]) -> list[list[float]]:
    """Layers of uneven work, nodes of the given speeds (the client's first)."""
    work = [0.004 + 0.011 * ((7 * index) % 5) for index in range(len(graph))]
    return [[each / speed for speed in speeds] for each in work]


def _world(graph: LayerGraph, speeds: Sequence[float] = (1.0, 10.0, 6.0, 60.0), **changes: object) -> Problem:
    """A client, two edge servers 10 MB/s away and a cloud behind 0.5 MB/s, as in the paper's environment."""
    count = len(speeds)
    bandwidth = np.full((count, count), 10.0 * MB)
    delay = np.full((count, count), 0.002)
    if count > 3:
        bandwidth[3, :] = bandwidth[:, 3] = 0.5 * MB
        delay[3, :] = delay[:, 3] = 0.03
    problem = simple_problem(graph, _seconds(graph, speeds), bandwidth_bytes_s=bandwidth, latency_s=delay)
    priced = replace(
        problem,
        price_per_s=np.array([0.0, *(0.001 * speed for speed in speeds[1:])]),
        price_per_byte=np.where(np.isinf(problem.bandwidth_bytes_s), 0.0, 1e-10),
        busy_w=np.array([7.239, *(10.0 * speed for speed in speeds[1:])]),
    )
    return replace(priced, **changes)  # type: ignore[arg-type]


def told_of_crowd(problem: Problem, user: int = 0, per_s: float | None = 2.0, media: bool = False) -> Problem:
    """The problem, told what others do: the first server is in use, the second idle, the last has said nothing.

    With `media` all servers are behind one uplink, users of odd numbers in a cell, and half of both is in use.
    """
    count = len(problem.nodes)
    first = np.where(np.arange(count) == 1, 1.0, 0.0)
    news = CrowdNews(
        user=user,
        asking=Asking(per_s, think_s=0.5),
        uplink_bytes_s=np.full(count, 20.0 * MB),
        downlink_bytes_s=np.full(count, 12.0 * MB),
        age_s=np.where(np.arange(count) == max(count - 1, 2), np.inf, 0.5 * np.sign(np.arange(count))),
        users=5.0 * first,
        promised_bytes=40.0 * MB * first,
        plans=2.0 * first,
        asks_per_s=10.0 * first,
        work=0.6 * first,
        received_bytes_s=8.0 * MB * first,
        sent_bytes_s=0.5 * MB * first,
        media=_site(count, user) if media else None,
    )
    return replace(problem, crowd=news)


def _site(count: int, user: int) -> MediaNews:
    crosses = np.zeros((2, count, count), dtype=np.bool_)
    crosses[0, 0, 1:] = True
    crosses[1, 0, 1:] = user % 2 == 1
    rates = np.array([20.0 * MB, 15.0 * MB])
    return MediaNews(("site down", "cell up"), rates, 0.5 * rates, crosses)


def battery() -> dict[str, Problem]:
    """The problems, by a name that says what is hard about each."""
    chain, modules, awkward = _alexnet_like(), _modules(), _awkward()
    pinned = np.ones((len(modules), 4), dtype=np.bool_)
    pinned[0, 1:] = pinned[4, 1] = pinned[5:7, 2:] = False
    nowhere = np.zeros((len(chain), 4), dtype=np.bool_)
    nowhere[:, 0] = True
    small = np.array([np.inf, 2.0 * MB, 1.0 * MB, 18.0 * MB])
    memory = np.array([np.inf, 0.5 * MB, 0.2 * MB, 4.0 * MB])
    return {
        "chain": _world(chain),
        "chain, one server": _world(chain, (1.0, 10.0)),
        "chain, no server": _world(chain, (1.0,)),
        "chain, slow servers": _world(chain, (1.0, 0.5, 0.1, 0.2)),
        "chain, little memory": _world(chain, memory_bytes=small),
        "chain, nothing allowed": _world(chain, allowed=nowhere),
        "chain without parameters": _world(chain_graph([50_000, 20_000, 400], [0, 0, 0])),
        "chain, serial queries": _world(chain, query="serial", header_bytes=64),
        "chain, loaded servers": _world(chain, load=np.array([0.0, 20.0, 0.0, 1.0]), share=np.array([1, 1, 0.25, 0.5])),
        "chain, servers that wait for company": _world(chain, company_s=np.array([0.0, 0.05, 0.0, 0.004])),
        "chain, energy": _world(chain, objective=Objective(latency=0.0, energy=1.0)),
        "chain, money and latency": _world(chain, objective=Objective(latency=1.0, money=0.5)),
        "chain, deadline": _world(chain, objective=Objective(latency=0.0, money=1.0, deadline_s=0.1)),
        "chain, budget": _world(chain, objective=Objective(budget=1e-4)),
        "chain, told of the crowd": told_of_crowd(_world(chain)),
        "modules, told of a crowd that thinks": told_of_crowd(_world(modules), user=3, per_s=None, media=True),
        "one layer": _world(chain_graph([4_000], [500_000])),
        "modules": _world(modules),
        "modules, one server": _world(modules, (1.0, 10.0), uploads_at_once="per_server"),
        "modules, pinned layers": _world(modules, allowed=pinned),
        "modules, little memory": _world(modules, memory_bytes=memory),
        "modules, balanced": _world(modules, objective=Objective(latency=1.0, energy=0.2, money=0.2, balance=0.5)),
        "modules, coordinated": _world(modules, objective=Objective(latency=0.5, energy=0.5, coordination=1.0)),
        "chain, coordination": _world(chain, objective=Objective(latency=0.0, coordination=1.0)),
        "chain, period": _world(chain, objective=Objective(latency=0.0, period=1.0), cores=np.array([1, 1, 4, 2])),
        "chain, period within ports": _world(
            chain,
            objective=Objective(latency=0.0, period=1.0),
            shared=ports(np.array([4.0, np.inf, 2.0, 9.0]) * MB, np.array([np.inf, 1.0, 3.0, 9.0]) * MB),
        ),
        "modules, period and latency": _world(modules, objective=Objective(latency=1.0, period=2.0)),
        "modules, period and a deadline": _world(
            modules, objective=Objective(money=0.1, period=1.0, deadline_s=0.1), memory_bytes=memory
        ),
        "shared weight, two answers": _world(awkward),
        "shared weight, little memory": _world(awkward, memory_bytes=memory),
    }
