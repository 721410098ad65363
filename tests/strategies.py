"""Hypothesis strategies that several test rooms share."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor

OPERATORS = ("Conv", "Gemm", "Relu", "MaxPool", "Concat", "Add")


def _sizes(zero: bool) -> SearchStrategy[int]:
    small = st.integers(1, 4000)
    large = st.integers(100_000, 40_000_000)
    return st.one_of(st.just(0), small, large) if zero else st.one_of(small, large)


@st.composite
def layer_graphs(draw: DrawFn, max_layers: int = 8, chain: bool | None = None) -> LayerGraph:
    """Small random networks: chains (`chain=True`), proper DAGs (`False`) or either (`None`).

    DAGs have several inputs and outputs, layers with two outputs, tensors read by many layers, and unused
    outputs; both kinds have shared parameters, zero-byte tensors and layers without parameters. `max_layers >= 2`
    is needed for a DAG.
    """
    as_chain = draw(st.booleans()) if chain is None else chain
    count = draw(st.integers(1 if as_chain else 2, max_layers))
    parameters = tuple(
        Parameter(f"w{i}", size, draw(st.sampled_from((size, size // 2))))
        for i, size in enumerate(draw(st.lists(_sizes(zero=False), max_size=count + 1)))
    )
    inputs_count = 1 if as_chain else draw(st.integers(1, 2))
    reads: list[tuple[int, ...]] = []
    makes: list[tuple[int, ...]] = []
    total = inputs_count
    for index in range(count):
        if as_chain:
            reads.append((total - 1,))
            width = 1
        else:
            wanted = draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=3, unique=True))
            reads.append(tuple(wanted) if index else tuple(range(inputs_count)))
            width = draw(st.sampled_from((1, 1, 1, 2)))
        makes.append(tuple(range(total, total + width)))
        total += width
    consumers: dict[int, list[int]] = {tensor: [] for tensor in range(total)}
    for index, wanted_by in enumerate(reads):
        for tensor in wanted_by:
            consumers[tensor].append(index)
    outputs = set(makes[-1]) | {t for made in makes for t in made[:1] if not consumers[t]}
    if not as_chain:
        outputs |= set(draw(st.lists(st.integers(inputs_count, total - 1), max_size=1)))
    producer = {tensor: index for index, made in enumerate(makes) for tensor in made}
    tensors = tuple(
        Tensor(f"t{t}", draw(_sizes(zero=True)), producer.get(t, -1), tuple(consumers[t]), t in outputs)
        for t in range(total)
    )
    owned = st.lists(st.integers(0, len(parameters) - 1), max_size=2, unique=True) if parameters else st.just([])
    layers = tuple(
        Layer(
            index,
            f"layer{index}",
            draw(st.sampled_from(OPERATORS)),
            reads[index],
            makes[index],
            tuple(draw(owned)),
            flops=draw(st.integers(0, 10**9)),
            run_bytes=sum(tensors[t].bytes for t in {*reads[index], *makes[index]}),
            nodes=(f"layer{index}",),
        )
        for index in range(count)
    )
    name = "chain" if as_chain else "dag"
    return LayerGraph(name, layers, tensors, parameters, tuple(range(inputs_count)), tuple(sorted(outputs)))


@st.composite
def placements(draw: DrawFn, graph: LayerGraph, nodes: int = 4) -> tuple[int, ...]:
    """A placement of `graph` over node indices `0..nodes-1`, biased towards long runs on one node."""
    chosen: list[int] = []
    for _ in graph.layers:
        stay = bool(chosen) and draw(st.booleans())
        chosen.append(chosen[-1] if stay else draw(st.integers(0, nodes - 1)))
    return tuple(chosen)
