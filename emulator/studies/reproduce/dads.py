"""DADS (INFOCOM 2019) again: the cut of least latency under light load, that of the shortest stage under heavy load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.report.formatting import rate, seconds
from layerlift.emulator.studies.reproduce.ionn_rows import CLASSES, published
from layerlift.emulator.studies.reproduce.reproduction import (
    Done,
    Emulator,
    Finding,
    Outcome,
    Reproduction,
    Table,
    answered,
    nothing,
    settled,
)
from layerlift.models.errors import RunError, near
from layerlift.models.loading.load import load

PUBLICATION: Final = (
    "Hu, Bao, Wang, Liu: Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge (DADS), INFOCOM 2019, "
    "doi:10.1109/INFOCOM.2019.8737614"
)
LINKS_MBIT_S: Final = {"CAT1": 0.13, "3G": 1.1, "4G": 5.85, "Wi-Fi": 18.88}
"""Its uplinks."""
NETWORKS: Final = ("alexnet", "googlenet", "resnet50")
"""A chain and two that branch; all of the published rows."""
PLANNERS: Final = {
    "device only": "local",
    "cloud only": "all_remote",
    "Neurosurgeon": "one_step",
    "DADS, light": "min_cut",
    "DADS, heavy": "min_cut:load=heavy",
    "least period": "pipeline",
}
CORES: Final = 8
"""Of its cloud server."""
SWEEP_MBIT_S: Final = tuple(float(f"{0.5 * 60 ** (step / 12):.4g}") for step in range(13))
"""Where DADS and Neurosurgeon are compared on networks that branch: from 0.5 to 30."""
STREAM: Final = 40
"""Queries of a stream."""
_SLACK: Final = 1.001
"""A stream that keeps up is asked at so many periods' distance, so that rounding piles nothing up."""
_TOO_FAST: Final = 0.95
_WHY_LATENCY: Final = (
    "Never worse than either, which is what its cut promises; by how much depends on the machines and on the input. "
    "On the "
    f"slowest link ({LINKS_MBIT_S['CAT1']:g} Mbit/s) nothing is worth sending in single precision, so that our "
    "ranges begin "
    "at 1, and the cloud alone is far behind."
)
_WHY_THROUGHPUT: Final = (
    "The cut of least latency was not chosen for it; where it lies at an end its throughput is that end's. The board "
    "is a "
    "slower device, next to its cloud, than a Raspberry Pi was beside that of the publication, so that the range is "
    "wider."
)
_WHY_HEAVY: Final = (
    "Where an end is the best for the busiest stage, too, light and heavy load have one plan. What a network that "
    "branches "
    "could gain inside needs several tensors sent, which a link that is the busiest stage does not bear."
)
_PILED: Final = 1.05
"""A latency so many times a lone query's says that the stream piled up."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One planner on one link."""

    network: str
    link: str
    planner: str
    mbit_s: float
    lone_s: float
    """Latency of a query alone."""
    period_s: float
    """Its busiest stage: the device's, the link's of either way, or the server's over its cores."""
    stage: str
    remote: int
    """Layers on the server."""
    last_s: float
    """Latency of the last query of a stream that is asked once a period."""
    rushed_s: float | None
    """The same, asked 5 % faster; None: not run."""

    @property
    def keeps_up(self) -> bool:
        """Whether the stream of one query a period was answered without piling up."""
        return self.last_s <= _PILED * self.lone_s

    @property
    def per_s(self) -> float:
        """Throughput."""
        return 1.0 / self.period_s


def world(network: str, planner: str, mbit_s: float, every_s: float, queries: int) -> dict[str, Any]:
    """A board and a cloud server that holds the network already; a question every so many seconds."""
    user = {
        "device": {"ghz": 2.0, "profile": CLASSES["client"], "discipline": "fifo"},
        "model": "network",
        "planner": planner,
        "queries": queries,
        "in_flight": queries,
        "asks": {"every_ms": 1e3 * every_s, "start_s": 1000.0},
        "profile_runs": 0,
    }
    cloud = {"tier": "cloud", "name": "cloud", "ghz_per_core": 2.6, "cores": CORES, "discipline": "fifo"}
    return {
        "nodes": [cloud],
        "links": {"client-cloud": {"bandwidth_mbit_s": mbit_s, "latency_ms": 10}},
        "models": {"network": {"source": network, "parameters_mb": 1e-6}},
        "users": [user],
    }


def dads(networks: Sequence[str] = NETWORKS, done: Done = nothing) -> Reproduction:
    """Reproduce it for some of the networks whose rows can be mapped; `done` is called after every run.

    Raises `RunError` for another network, and what a run raises.
    """
    check(networks)
    emulate = Emulator(done)
    found = [
        measure(emulate, network, link, mbit_s, planner)
        for network in networks
        for link, mbit_s in LINKS_MBIT_S.items()
        for planner in PLANNERS
    ]
    swept = {name: _sweep(emulate, name) for name in networks if not load(name).graph.is_chain}
    return _told(networks, found, swept, emulate.runs)


def check(networks: Sequence[str]) -> None:
    """Raise `RunError` for a network whose rows were not published."""
    known = published()["networks"]
    for name in networks:
        if name not in known:
            raise RunError(f"--models names {name!r}, whose rows were not published for a board{near(name, known)}")


def run_count(networks: Sequence[str]) -> int:
    """How many runs `dads` makes of these networks."""
    branching = len([name for name in networks if not load(name).graph.is_chain])
    return (2 * len(PLANNERS) + 1) * len(LINKS_MBIT_S) * len(networks) + 2 * len(SWEEP_MBIT_S) * branching


def measure(emulate: Emulator, network: str, link: str, mbit_s: float, planner: str) -> Measured:
    """A lone query, and a stream of one a period; for DADS's heavy load one that is 5 % too fast, too."""
    known = PLANNERS[planner]
    label = f"{network}, {link}, {known}"
    row = settled(emulate(f"{label}, alone", world(network, known, mbit_s, 1.0, 1)))
    stages = _stages(row, mbit_s)
    stage = max(stages, key=lambda name: stages[name])
    period_s = stages[stage]
    stream = emulate(f"{label}, stream", world(network, known, mbit_s, _SLACK * period_s, STREAM))
    rushed_s = None
    if planner == "DADS, heavy":
        fast = emulate(f"{label}, too fast", world(network, known, mbit_s, _TOO_FAST * period_s, STREAM))
        rushed_s = _last_s(answered(fast))
    return Measured(
        network, link, planner, mbit_s, row["latency_s"], period_s, stage, row["remote_layers"],
        _last_s(answered(stream)), rushed_s,
    )  # fmt: skip


def _stages(row: Mapping[str, Any], mbit_s: float) -> dict[str, float]:
    """Seconds for which a query keeps each resource busy."""
    byte_s = 8 / (mbit_s * 1e6)
    return {
        "device": row["client_work_s"],
        "uplink": row["sent_bytes"] * byte_s,
        "downlink": row["received_bytes"] * byte_s,
        "cloud": row["server_work_s"] / CORES,
    }


def _last_s(rows: Sequence[Mapping[str, Any]]) -> float:
    """The latency of the last question."""
    return float(max(rows, key=lambda row: row["query"])["latency_s"])


def _sweep(emulate: Emulator, network: str) -> list[tuple[float, float, float]]:
    """Bandwidths (Mbit/s), and a lone query's latency under Neurosurgeon and DADS."""
    made = []
    for mbit_s in SWEEP_MBIT_S:
        both = [
            settled(emulate(f"{network}, {mbit_s:g} Mbit/s, {name}, sweep", world(network, name, mbit_s, 1.0, 1)))
            for name in ("one_step", "min_cut")
        ]
        made.append((mbit_s, both[0]["latency_s"], both[1]["latency_s"]))
    return made


def _told(
    networks: Sequence[str],
    found: Sequence[Measured],
    swept: Mapping[str, Sequence[tuple[float, float, float]]],
    runs: Mapping[str, str],
) -> Reproduction:
    light = _ratios(found, "DADS, light", lambda each: 1 / each.lone_s)
    heavy = _ratios(found, "DADS, heavy", lambda each: each.per_s)
    kept = len([each for each in found if each.keeps_up])
    return Reproduction(
        name="dads",
        title="DADS: light and heavy load",
        publication=PUBLICATION,
        answer=(
            f"Under light load DADS answers {_span(light['device only'])} times as fast as the device alone and "
            f"{_span(light['cloud only'])} times as fast as the cloud alone, over {_words(networks)} and four links; "
            "its plan "
            f"for heavy load has {_span(heavy['device only'])} and {_span(heavy['cloud only'])} times their throughput."
        ),
        setting=(
            f"A board ({CLASSES['client']}; the publication had a Raspberry Pi 3B, of which no layer times are "
            "public) and a "
            f"cloud server of {CORES} cores at 2.6 GHz (the shipped reference profiles; it had 8 cores, too) that "
            "holds the "
            "network already. A piece runs on one core.",
            f"Links of {_words([f'{value:g} Mbit/s ({name})' for name, value in LINKS_MBIT_S.items()])}, as printed, "
            "the same "
            "both ways (assumed), 10 ms each (assumed); the network's own input in single precision.",
            "Latency: a lone query. Throughput: one over the busiest stage of that query (device, link of either "
            "way, server "
            f"over its cores), and a stream of {STREAM} questions at that rate ({_SLACK - 1:.1%} below) is emulated: "
            "it keeps up "
            f"in {kept} of {len(found)} cases, its last query being as fast as a lone one.",
            f"For the heavy load a stream that is {1 - _TOO_FAST:.0%} too fast is emulated as well: it must pile up.",
            "Planners: local, all_remote, one_step, min_cut, min_cut:load=heavy, and pipeline, which finds the least "
            "period "
            "(ours, as a bound).",
        ),
        findings=tuple(_findings(found, swept, light, heavy)),
        tables=(_table(found), _piled(found)),
        caption="Above: latency of a lone query; below: throughput of a stream; by link and planner",
        picture=picture(found),
        unverified=(
            "Its networks and the sizes of their inputs, and of which of them each end of a printed range is: only "
            "the ranges "
            "could be read.",
            "The rate of questions that it calls heavy, and how long a queue its printed latencies under heavy load "
            "hold: they "
            "are not compared.",
        ),
        numbers=tuple(
            {name: getattr(each, name) for name in Measured.__dataclass_fields__} for each in found
        )
        + tuple(
            {"network": name, "mbit_s": mbit_s, "one_step_s": one_s, "min_cut_s": cut_s}
            for name, some in swept.items()
            for mbit_s, one_s, cut_s in some
        ),
        runs=runs,
    )  # fmt: skip


def _words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}"


def _ratios(found: Sequence[Measured], planner: str, good: Any) -> dict[str, list[float]]:
    """How many times better a planner is than the device and the cloud alone, case by case."""
    by = {(each.network, each.link, each.planner): each for each in found}
    cases = dict.fromkeys((each.network, each.link) for each in found)
    return {
        other: [good(by[*case, planner]) / good(by[*case, other]) for case in cases]
        for other in ("device only", "cloud only")
    }


def _findings(
    found: Sequence[Measured],
    swept: Mapping[str, Sequence[tuple[float, float, float]]],
    light: Mapping[str, Sequence[float]],
    heavy: Mapping[str, Sequence[float]],
) -> Iterator[Finding]:
    through = _ratios(found, "DADS, light", lambda each: each.per_s)
    for about, printed, ratios, why in (
        ("Light load, latency", ("1.91 to 6.45", "1.35 to 8.08"), light, _WHY_LATENCY),
        ("Light load, throughput", ("3.45 to 8.31", "1.46 to 11.13"), through, _WHY_THROUGHPUT),
        ("Heavy load, throughput", ("4.34 to 9.14", "1.46 to 14.10"), heavy, _WHY_HEAVY),
    ):
        gains = [value for other in ratios.values() for value in other]
        yield Finding(
            about,
            f"{printed[0]} times better than the device alone, {printed[1]} than the cloud alone",
            "the text",
            f"{_span(ratios['device only'])} and {_span(ratios['cloud only'])}",
            "in part" if max(gains) > 1.0 and min(gains) >= 1.0 - 1e-9 else "not seen",
            why,
        )
    yield _against_chain(found)
    if swept:
        yield _against_branches(swept)
    yield _two_loads(found)


def _against_chain(found: Sequence[Measured]) -> Finding:
    chains = [name for name in dict.fromkeys(each.network for each in found) if load(name).graph.is_chain]
    pairs = [
        (one.lone_s, two.lone_s) for one, two in _pairs(found, "Neurosurgeon", "DADS, light") if one.network in chains
    ]
    same = [pair for pair in pairs if abs(pair[0] - pair[1]) <= 1e-9 * pair[0]]
    outcome: Outcome = "not comparable" if not pairs else "seen" if len(same) == len(pairs) else "not seen"
    return Finding(
        "Against Neurosurgeon on chains",
        "equal",
        "the text",
        f"equal on {len(same)} of {len(pairs)} links ({_words(chains)})" if chains else "no chain was asked for",
        outcome,
        "A minimum cut of a chain is a single cut, and one_step looks at all of these.",
    )


def _against_branches(swept: Mapping[str, Sequence[tuple[float, float, float]]]) -> Finding:
    gains = {name: max(1 - cut_s / one_s for _, one_s, cut_s in some) for name, some in swept.items()}
    best = max(gains.values())
    return Finding(
        "Against Neurosurgeon on networks that branch",
        "66 to 86 % faster",
        "the text",
        "; ".join(f"{name}: {gain:.1%} at most over {len(SWEEP_MBIT_S)} bandwidths" for name, gain in gains.items()),
        "in part" if best > 0.001 else "not seen",
        "There Neurosurgeon cuts chains only. Here one_step cuts a branching network anywhere in its order of "
        "execution, with all "
        f"tensors that cross (from {SWEEP_MBIT_S[0]:g} to {SWEEP_MBIT_S[-1]:g} Mbit/s); and with an input in single "
        "precision the "
        "best cut of these networks is mostly at an end, which both find.",
    )


def _two_loads(found: Sequence[Measured]) -> Finding:
    gains = [
        (heavy.per_s / light.per_s, heavy.lone_s / light.lone_s, heavy)
        for light, heavy in _pairs(found, "DADS, light", "DADS, heavy")
    ]
    more, slower, where = max(gains, key=lambda gain: gain[0])
    bound = [heavy.per_s / least.per_s for heavy, least in _pairs(found, "DADS, heavy", "least period")]
    return Finding(
        "Heavy load wants another cut than light load",
        "the largest stage is minimised instead of the sum, within 3 times the optimum",
        "the text",
        f"at most {more:.3g} times the throughput of the light cut ({where.network}, {where.link}), a lone query "
        "then taking "
        f"{slower:.3g} times as long; {min(bound):.1%} of the least period's throughput at worst",
        "seen" if more > 1.001 and min(bound) >= 1 / 3 else "in part" if min(bound) >= 1 / 3 else "not seen",
        "The bound is exact among pipelines (planner pipeline), and the approximation is well within its guarantee "
        "here.",
    )


def _pairs(found: Sequence[Measured], one: str, other: str) -> list[tuple[Measured, Measured]]:
    by = {(each.network, each.link, each.planner): each for each in found}
    return [(each, by[each.network, each.link, other]) for each in found if each.planner == one]


def _table(found: Sequence[Measured]) -> Table:
    return Table(
        "Latency and throughput",
        ("network", "link", "planner", "on the cloud", "latency alone", "queries/s", "busiest", "keeps up"),
        tuple(
            (
                each.network if number % (len(PLANNERS) * len(LINKS_MBIT_S)) == 0 else "",
                f"{each.link}, {each.mbit_s:g}" if number % len(PLANNERS) == 0 else "",
                each.planner,
                str(each.remote),
                seconds(each.lone_s),
                rate(each.per_s),
                each.stage,
                "yes" if each.keeps_up else "no",
            )
            for number, each in enumerate(found)
        ),
        "On the cloud: layers. Busiest: the stage that bounds the throughput. Keeps up: the last query of a stream "
        "at that rate "
        "took at most 5 % longer than a lone one.",
    )


def _piled(found: Sequence[Measured]) -> Table:
    return Table(
        f"A stream that is {1 - _TOO_FAST:.0%} too fast, under DADS's plan for heavy load",
        ("network", "link", "latency alone", "last of the stream", "5 % faster"),
        tuple(
            (each.network, each.link, seconds(each.lone_s), seconds(each.last_s), seconds(each.rushed_s))
            for each in found
            if each.rushed_s is not None
        ),
        "The busiest stage is where it piles up: the last query waits for what came before.",
    )


def picture(found: Sequence[Measured]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a column for each network."""
    import altair

    alt: Any = altair
    colours = ["#7f7f7f", "#1f77b4", "#2a9d3f", "#ff9f1c", "#c1121f", "#222222"]
    colour = alt.Color(
        "planner:N", title=None, sort=list(PLANNERS), scale=alt.Scale(domain=list(PLANNERS), range=colours)
    )
    rows = []
    for key, title in (("latency", "latency alone (s)"), ("per_s", "queries a second")):
        panels = []
        for network in dict.fromkeys(each.network for each in found):
            data = [
                {
                    "link": each.link,
                    "planner": each.planner,
                    "latency": float(f"{each.lone_s:.6g}"),
                    "per_s": float(f"{each.per_s:.6g}"),
                }
                for each in found
                if each.network == network
            ]
            drawn = alt.Chart(alt.Data(values=data)).mark_line(point=True, strokeWidth=1.5).encode(
                x=alt.X("link:N", title=None, sort=list(LINKS_MBIT_S)),
                y=alt.Y(f"{key}:Q", title=title, scale=alt.Scale(type="log")),
                color=colour,
            )  # fmt: skip
            panels.append(drawn.properties(width=230, height=210, title=network))
        rows.append(alt.hconcat(*panels))
    made: dict[str, Any] = alt.vconcat(*rows).to_dict()
    return made
