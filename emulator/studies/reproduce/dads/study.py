"""DADS (INFOCOM 2019) again: the cut of least latency under light load, that of the shortest stage under heavy load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from layerlift.emulator.studies.reproduce.dads.findings import findings, gains_over, span
from layerlift.emulator.studies.reproduce.dads.runs import (
    CORES,
    LINKS_MBIT_S,
    NETWORKS,
    PLANNERS,
    SLACK,
    STREAM,
    SWEEP_MBIT_S,
    TOO_FAST,
    Measured,
    measure,
    sweep,
)
from layerlift.emulator.studies.reproduce.dads.tables import main_table, picture, piled_table
from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, published
from layerlift.emulator.studies.reproduce.reproduction import Done, Emulator, Reproduction, nothing, series
from layerlift.models.errors import RunError, near
from layerlift.models.loading.load import load

PUBLICATION: Final = (
    "Hu, Bao, Wang, Liu: Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge (DADS), INFOCOM 2019, "
    "doi:10.1109/INFOCOM.2019.8737614"
)


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
    swept = {name: sweep(emulate, name) for name in networks if not load(name).graph.is_chain}
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


def _told(
    networks: Sequence[str],
    found: Sequence[Measured],
    swept: Mapping[str, Sequence[tuple[float, float, float]]],
    runs: Mapping[str, str],
) -> Reproduction:
    light = gains_over(found, "DADS, light", lambda each: 1 / each.lone_s)
    heavy = gains_over(found, "DADS, heavy", lambda each: each.per_s)
    kept = len([each for each in found if each.keeps_up])
    return Reproduction(
        name="dads",
        title="DADS: light and heavy load",
        publication=PUBLICATION,
        answer=(
            f"Under light load DADS answers {span(light['device only'])} times as fast as the device alone and "
            f"{span(light['cloud only'])} times as fast as the cloud alone, over {series(networks)} and four links; "
            f"its plan for heavy load has {span(heavy['device only'])} and {span(heavy['cloud only'])} times their "
            "throughput."
        ),
        setting=(
            f"A board ({CLASSES['client']}; the publication had a Raspberry Pi 3B, of which no layer times are "
            f"public) and a cloud server of {CORES} cores at 2.6 GHz (the shipped reference profiles; it had 8 cores, "
            "too) that holds the network already. A piece runs on one core.",
            f"Links of {series([f'{value:g} Mbit/s ({name})' for name, value in LINKS_MBIT_S.items()])}, as printed, "
            "the same both ways (assumed), 10 ms each (assumed); the network's own input in single precision.",
            "Latency: a lone query. Throughput: one over the busiest stage of that query (device, link of either "
            f"way, server over its cores), and a stream of {STREAM} questions at that rate ({SLACK - 1:.1%} below) is "
            f"emulated: it keeps up in {kept} of {len(found)} cases, its last query being as fast as a lone one.",
            f"For the heavy load a stream that is {1 - TOO_FAST:.0%} too fast is emulated as well: it must pile up.",
            "Planners: local, all_remote, one_step, min_cut, min_cut:load=heavy, and pipeline, which finds the least "
            "period (ours, as a bound).",
        ),
        findings=tuple(findings(found, swept, light, heavy)),
        tables=(main_table(found), piled_table(found)),
        caption="Above: latency of a lone query; below: throughput of a stream; by link and planner",
        picture=picture(found),
        unverified=(
            "Its networks and the sizes of their inputs, and of which of them each end of a printed range is: only "
            "the ranges could be read.",
            "The rate of questions that it calls heavy, and how long a queue its printed latencies under heavy load "
            "hold: they are not compared.",
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
