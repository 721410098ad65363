"""Neurosurgeon (ASPLOS 2017) again: the best single cut by bandwidth, its crossing points, and both emulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isinf, sqrt
from typing import Any, Final

from layerlift.emulator.report.formatting import seconds, size
from layerlift.emulator.studies.reproduce.cuts import Line, Stretch, best, lines, stretches
from layerlift.emulator.studies.reproduce.ionn_rows import CLASSES, mapped, rows
from layerlift.emulator.studies.reproduce.reproduction import (
    Done,
    Emulator,
    Finding,
    Reproduction,
    Table,
    nothing,
    settled,
)
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading.load import load
from layerlift.models.sums import int_sum, left_sum

PUBLICATION: Final = (
    "Kang, Hauswald, Gao, Rovinski, Mudge, Mars, Tang: Neurosurgeon, Collaborative Intelligence Between the Cloud and "
    "Mobile Edge, ASPLOS 2017, doi:10.1145/3037697.3037698"
)
NETWORK: Final = "alexnet"
"""The only chain whose rows are published."""
NAMED_MBIT_S: Final = {"3G": 1.1, "4G": 5.85, "Wi-Fi": 18.88}
"""Typical uplinks, as JointDNN's Table 3 prints them of Huang et al. (MobiSys 2012)."""
LATENCY_S: Final = 1e-3
NEAR_A_CROSSING: Final = 1e-3
"""How far from a crossing point, relatively, both sides of it are emulated."""
_MBIT: Final = 1e6
_AGREES: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Input:
    """What a query's input weighs."""

    name: str
    graph: LayerGraph
    bytes: int | None
    """None: the network's own, single precision."""
    cuts: tuple[Line, ...]
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One bandwidth, emulated."""

    input: str
    place: str
    """3G, 4G, Wi-Fi; or where in a stretch."""
    mbit_s: float
    layers: int
    """On the device, as the planner chose."""
    latency_s: float
    server_s: float
    """CPU seconds of the query on the server."""
    foretold: Line
    """The best of all cuts, by looking at each."""

    @property
    def agrees(self) -> bool:
        """Whether planner and emulation agree with the arithmetic."""
        told_s = self.foretold.at(self.mbit_s * _MBIT)
        return self.layers == self.foretold.layers and abs(self.latency_s - told_s) <= _AGREES * told_s


def world(mbit_s: float, planner: str, input_bytes: int | None) -> dict[str, Any]:
    """A board and a server that has the network already: its parameters are charged next to nothing."""
    model: dict[str, Any] = {"source": NETWORK, "parameters_mb": 1e-6}
    if input_bytes is not None:
        model["input_bytes"] = input_bytes
    user = {
        "device": {"ghz": 2.0, "profile": CLASSES["client"]},
        "model": "network",
        "planner": planner,
        "queries": 2,
        "asks": {"every_ms": 1_000_000},
        "profile_runs": 0,
    }
    return {
        "nodes": [{"tier": "edge", "name": "server", "ghz": 1.0, "profile": CLASSES["server"]}],
        "links": {"client-edge": {"bandwidth_mbit_s": mbit_s, "latency_ms": 1e3 * LATENCY_S}},
        "models": {"network": model},
        "users": [user],
    }


def inputs() -> list[Input]:
    """The network's own input, and one byte for each of its numbers, as an image without compression has."""
    network = load(NETWORK)
    told = mapped(network).seconds
    whole = network.graph.tensors[network.graph.inputs[0]].bytes
    made = []
    for name, sent in (("floats", None), ("bytes", whole // 4)):
        graph = network.graph if sent is None else network.graph.with_input_bytes(sent)
        cuts = lines(graph, told["client"], told["server"], LATENCY_S)
        made.append(Input(name, graph, sent, tuple(cuts), tuple(stretches(cuts))))
    return made


def places(given: Input) -> Iterator[tuple[str, float]]:
    """Bandwidths to emulate (Mbit/s): the named ones, the middle of every stretch, both sides of every crossing."""
    yield from NAMED_MBIT_S.items()
    for stretch in given.stretches:
        low, high = stretch.above / _MBIT, stretch.up_to / _MBIT
        middle = high / 2 if low == 0 else 2 * low if isinf(high) else sqrt(low * high)
        yield "middle", middle
    for stretch in given.stretches[1:]:
        yield "below", stretch.above / _MBIT * (1 - NEAR_A_CROSSING)
        yield "above", stretch.above / _MBIT * (1 + NEAR_A_CROSSING)


def run_count() -> int:
    """How many runs `neurosurgeon` makes."""
    return int_sum([len(list(places(each))) + len(NAMED_MBIT_S) for each in inputs()])


def neurosurgeon(done: Done = nothing) -> Reproduction:
    """Reproduce it; `done` is called after every run. Raises what a run raises."""
    emulate, given = Emulator(done), inputs()
    points = [_point(emulate, each, place, mbit_s) for each in given for place, mbit_s in places(each)]
    cloud = {
        (each.name, place): settled(
            emulate(f"all_remote, {each.name}, {mbit_s:.6g} Mbit/s", world(mbit_s, "all_remote", each.bytes))
        )
        for each in given
        for place, mbit_s in NAMED_MBIT_S.items()
    }
    return _told(given, points, cloud, emulate.runs)


def _point(emulate: Emulator, given: Input, place: str, mbit_s: float) -> Point:
    result = emulate(f"one_step, {given.name}, {mbit_s:.9g} Mbit/s", world(mbit_s, "one_step", given.bytes))
    row = settled(result)
    count = len(given.graph)
    return Point(
        given.name,
        place,
        mbit_s,
        count - row["remote_layers"],
        row["latency_s"],
        row["server_work_s"],
        best(given.cuts, mbit_s * _MBIT),
    )


def _told(
    given: Sequence[Input],
    points: Sequence[Point],
    cloud: Mapping[tuple[str, str], Mapping[str, Any]],
    runs: Mapping[str, str],
) -> Reproduction:
    agreed = len([each for each in points if each.agrees])
    floats = given[0]
    crossings = [stretch.above / _MBIT for stretch in floats.stretches[1:]]
    return Reproduction(
        name="neurosurgeon",
        title="Neurosurgeon: the best cut by bandwidth",
        publication=PUBLICATION,
        answer=(
            f"The best cut of AlexNet goes from the device alone over {_walk(floats)} as links become faster, and "
            "changes at "
            f"{_series([f'{each:.3g}' for each in crossings])} Mbit/s; the planner chose the best of all cuts, and the "
            f"emulation took what the arithmetic says, at {agreed} of {len(points)} bandwidths."
        ),
        setting=(
            f"A board ({CLASSES['client']}, from the rows that IONN's authors published) and a server "
            f"({CLASSES['server']}) that holds the network already; one link of the bandwidth in question, both ways, "
            f"{1e3 * LATENCY_S:g} ms each; a lone query, emulated without executing layers.",
            "Cuts lie between any two layers of the chain; planner: one_step, which compares all of them.",
            f"Input: floats is the network's own ({size(floats.graph.tensors[floats.graph.inputs[0]].bytes)}); bytes "
            "has one "
            f"byte a colour ({size(given[1].bytes)}), as an uncompressed image.",
            f"Emulated are the middle of every stretch, {NEAR_A_CROSSING:.1%} below and above every crossing, and "
            f"{_series([f'{name} ({rate:g} Mbit/s)' for name, rate in NAMED_MBIT_S.items()])}: uplinks as JointDNN's "
            "Table 3 "
            "prints them.",
        ),
        findings=tuple(_findings(given, points, cloud)),
        tables=(_crossings(given, points), _named(points, cloud)),
        caption="Latency of the best cut by bandwidth; dots: emulated; rules: where the best cut changes",
        picture=picture(given, points),
        unverified=(
            "Which cut was best for which of its networks and links (its figures and tables): no public text of them "
            "was "
            "found, so that cuts are not compared one by one.",
            "The layer times of its Jetson TK1 and K40: they were drawn, not printed.",
            "Its energy: no powers of its board are public in numbers; that half is not emulated.",
        ),
        numbers=tuple(_numbers(points)),
        runs=runs,
    )


def _numbers(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    for each in points:
        yield {
            "input": each.input,
            "place": each.place,
            "mbit_s": each.mbit_s,
            "device_layers": each.layers,
            "latency_s": each.latency_s,
            "best_of_all_layers": each.foretold.layers,
            "best_of_all_s": each.foretold.at(each.mbit_s * _MBIT),
        }


def place_of(layers: int) -> str:
    """Where a cut is, in Caffe's names: `pool5`; at the ends `the input` (all on the server) or `the device alone`."""
    graph = load(NETWORK).graph
    names = iter(row.name for row in rows(NETWORK)[1:])
    by_layer = [layer.op_type if layer.op_type == "Reshape" else next(names) for layer in graph.layers]
    if layers == 0:
        return "the input"
    return "the device alone" if layers == len(graph) else by_layer[layers - 1]


def _walk(given: Input) -> str:
    return _series([place_of(stretch.line.layers) for stretch in given.stretches[1:]], "to")


def _series(words: Sequence[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _findings(
    given: Sequence[Input], points: Sequence[Point], cloud: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Finding]:
    named = [each for each in points if each.place in NAMED_MBIT_S]
    cut = {each.name: [f"{p.place}: {place_of(p.layers)}" for p in named if p.input == each.name] for each in given}
    inside = [p for p in named if 0 < p.layers < len(given[0].graph)]
    yield Finding(
        "The best place to cut depends on the network's state, and may lie inside",
        "computation is divided between device and datacenter at the granularity of layers, by bandwidth",
        "the abstract",
        "; ".join(f"{name}: {', '.join(found)}" for name, found in cut.items()),
        "seen" if inside else "not seen",
        "Slow links favour cuts behind the pooling layers, where little is sent; fast ones the input. The smaller "
        "the input, the "
        "fewer cuts inside are ever best: what the device computes must be worth the bytes that it saves.",
    )
    gains = [cloud[each.input, each.place]["latency_s"] / each.latency_s for each in named]
    yield Finding(
        "Latency against the cloud alone",
        "3.1 times better on average, 40.7 at most",
        "the abstract",
        f"{left_sum(gains) / len(gains):.2g} times on average over 3G, 4G and Wi-Fi and both inputs, "
        f"{max(gains):.3g} at most",
        "not comparable",
        "Eight applications on a Jetson TK1 (CPU and GPU) and a K40 there, one network on another board here. Both "
        "averages hold "
        "links on which the cloud alone is best, where the gain is 1.",
    )
    spared = [cloud[each.input, each.place]["server_work_s"] / each.server_s for each in named if each.server_s > 0]
    yield Finding(
        "Throughput of the datacenter",
        "1.5 times on average, 6.7 at most",
        "the abstract",
        f"a query takes the server {left_sum(spared) / len(spared):.2g} times less on average, {max(spared):.2g} at "
        "most"
        if spared
        else "no query of these uses the server",
        "not comparable",
        "Here it is the server's time for a query of the cloud alone over that of the best cut, on the named links; "
        "there it was "
        "a datacenter under a mix of users, some of whom stay on their device.",
    )
    yield Finding(
        "Energy of the device",
        "59.5 % less on average, 94.7 % at most",
        "the abstract",
        "not emulated",
        "not comparable",
        "No powers of its board are public in numbers. one_step:by=energy plans for it, with powers of your own.",
    )


def _crossings(given: Sequence[Input], points: Sequence[Point]) -> Table:
    made = []
    for each in given:
        held = [p for p in points if p.input == each.name and p.place not in NAMED_MBIT_S]
        for number, stretch in enumerate(each.stretches):
            inside = [p for p in held if stretch.above < p.mbit_s * _MBIT <= stretch.up_to]
            middle = next(p for p in inside if p.place == "middle")
            made.append(
                (
                    each.name if number == 0 else "",
                    place_of(stretch.line.layers),
                    str(stretch.line.layers),
                    "0" if stretch.above == 0 else f"{stretch.above / _MBIT:.4f}",
                    "any" if stretch.up_to == inf else f"{stretch.up_to / _MBIT:.4f}",
                    size(stretch.line.bits / 8),
                    f"{seconds(middle.latency_s)} at {middle.mbit_s:.3g}",
                    f"{len([p for p in inside if p.agrees])} of {len(inside)}",
                )
            )
    return Table(
        "Which cut is best where",
        (
            "input",
            "cut after",
            "layers on the device",
            "above (Mbit/s)",
            "up to",
            "sent both ways",
            "emulated",
            "agree",
        ),
        tuple(made),
        "Crossings are exact: the latency of a cut is a line in seconds per bit, and two lines cross once. Agree: "
        "emulated "
        "bandwidths of the stretch at which the planner's cut is the best of all and the latency is the line's, "
        f"within {_AGREES:g}.",
    )


def _named(points: Sequence[Point], cloud: Mapping[tuple[str, str], Mapping[str, Any]]) -> Table:
    return Table(
        "On typical links",
        ("input", "link", "Mbit/s", "cut after", "latency", "cloud alone", "gain"),
        tuple(
            (
                each.input,
                each.place,
                f"{each.mbit_s:g}",
                place_of(each.layers),
                seconds(each.latency_s),
                seconds(cloud[each.input, each.place]["latency_s"]),
                f"{cloud[each.input, each.place]['latency_s'] / each.latency_s:.2f}",
            )
            for each in points
            if each.place in NAMED_MBIT_S
        ),
    )


def picture(given: Sequence[Input], points: Sequence[Point]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a panel for each input."""
    import altair

    alt: Any = altair
    panels = []
    for each in given:
        crossings = [stretch.above / _MBIT for stretch in each.stretches[1:]]
        low, high = crossings[0] / 4, crossings[-1] * 4
        grid = sorted({low * (high / low) ** (step / 120) for step in range(121)} | set(crossings))
        ends = {"device alone": each.cuts[-1], "cloud alone": each.cuts[0]}
        curves = [
            {"cut": name, "mbit": round(rate, 5), "latency": float(f"{line.at(rate * _MBIT):.6g}")}
            for rate in grid
            for name, line in [("best cut", best(each.cuts, rate * _MBIT)), *ends.items()]
        ]
        dots = [
            {"mbit": round(p.mbit_s, 5), "latency": float(f"{p.latency_s:.6g}")}
            for p in points
            if p.input == each.name and low <= p.mbit_s <= high
        ]
        names = [
            {"mbit": round(sqrt(a * b), 5), "place": place_of(stretch.line.layers)}
            for stretch, (a, b) in zip(each.stretches, pairwise([low, *crossings, high]), strict=True)
        ]
        x = alt.X("mbit:Q", title="bandwidth (Mbit/s)", scale=alt.Scale(type="log", domain=[low, high], nice=False))
        y = alt.Y("latency:Q", title="latency (s)", scale=alt.Scale(type="log"))
        colour = alt.Color("cut:N", title=None, scale=alt.Scale(range=["#c1121f", "#1f77b4", "#7f7f7f"]), sort=None)
        drawn = alt.layer(
            alt.Chart(alt.Data(values=[{"mbit": round(at, 5)} for at in crossings]))
            .mark_rule(color="#999999", strokeDash=[2, 3])
            .encode(x=x),
            alt.Chart(alt.Data(values=curves)).mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour),
            alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=30, color="#222222").encode(x=x, y=y),
            alt.Chart(alt.Data(values=names)).mark_text(dy=-6, fontSize=11).encode(
                x=x, y=alt.value(0), text="place:N"
            ),
        )  # fmt: skip
        title = alt.Title(f"input: {each.name}", fontSize=13, offset=18)
        panels.append(drawn.properties(width=460, height=280, title=title))
    made: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return made
