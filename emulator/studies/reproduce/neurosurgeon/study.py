"""Neurosurgeon (ASPLOS 2017) again: the best single cut by bandwidth, its crossing points, and both emulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.report.formatting import size
from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES
from layerlift.emulator.studies.reproduce.neurosurgeon.findings import findings
from layerlift.emulator.studies.reproduce.neurosurgeon.runs import (
    LATENCY_S,
    MBIT,
    NAMED_MBIT_S,
    NEAR_A_CROSSING,
    Input,
    Point,
    inputs,
    place_of,
    places,
    point,
    world,
)
from layerlift.emulator.studies.reproduce.neurosurgeon.tables import crossing_table, named_table, picture
from layerlift.emulator.studies.reproduce.reproduction import Done, Emulator, Reproduction, nothing, series, settled
from layerlift.models.sums import int_sum

PUBLICATION: Final = (
    "Kang, Hauswald, Gao, Rovinski, Mudge, Mars, Tang: Neurosurgeon, Collaborative Intelligence Between the Cloud "
    "and Mobile Edge, ASPLOS 2017, doi:10.1145/3037697.3037698"
)


def run_count() -> int:
    """How many runs `neurosurgeon` makes."""
    return int_sum([len(list(places(each))) + len(NAMED_MBIT_S) for each in inputs()])


def neurosurgeon(done: Done = nothing) -> Reproduction:
    """Reproduce it; `done` is called after every run. Raises what a run raises."""
    emulate, given = Emulator(done), inputs()
    points = [point(emulate, each, place, mbit_s) for each in given for place, mbit_s in places(each)]
    cloud = {
        (each.name, place): settled(
            emulate(f"all_remote, {each.name}, {mbit_s:.6g} Mbit/s", world(mbit_s, "all_remote", each.bytes))
        )
        for each in given
        for place, mbit_s in NAMED_MBIT_S.items()
    }
    return _told(given, points, cloud, emulate.runs)


def _told(
    given: Sequence[Input],
    points: Sequence[Point],
    cloud: Mapping[tuple[str, str], Mapping[str, Any]],
    runs: Mapping[str, str],
) -> Reproduction:
    agreed = len([each for each in points if each.agrees])
    floats = given[0]
    crossings = [stretch.above / MBIT for stretch in floats.stretches[1:]]
    return Reproduction(
        name="neurosurgeon",
        title="Neurosurgeon: the best cut by bandwidth",
        publication=PUBLICATION,
        answer=(
            f"The best cut of AlexNet goes from the device alone over {_walk(floats)} as links become faster, and "
            f"changes at {series([f'{each:.3g}' for each in crossings])} Mbit/s; the planner chose the best of all "
            f"cuts, and the emulation took what the arithmetic says, at {agreed} of {len(points)} bandwidths."
        ),
        setting=(
            f"A board ({CLASSES['client']}, from the rows that IONN's authors published) and a server "
            f"({CLASSES['server']}) that holds the network already; one link of the bandwidth in question, both ways, "
            f"{1e3 * LATENCY_S:g} ms each; a lone query, emulated without executing layers.",
            "Cuts lie between any two layers of the chain; planner: one_step, which compares all of them.",
            f"Input: floats is the network's own ({size(floats.graph.tensors[floats.graph.inputs[0]].bytes)}); bytes "
            f"has one byte a colour ({size(given[1].bytes)}), as an uncompressed image.",
            f"Emulated are the middle of every stretch, {100 * NEAR_A_CROSSING:.1f} % below and above every crossing, "
            f"and {series([f'{name} ({rate:g} Mbit/s)' for name, rate in NAMED_MBIT_S.items()])}: uplinks as "
            "JointDNN's Table 3 prints them.",
        ),
        findings=tuple(findings(given, points, cloud)),
        tables=(crossing_table(given, points), named_table(points, cloud)),
        caption="Latency of the best cut by bandwidth; dots: emulated; rules: where the best cut changes",
        picture=picture(given, points),
        unverified=(
            "Which cut was best for which of its networks and links (its figures and tables): no public text of them "
            "was found, so that cuts are not compared one by one.",
            "The layer times of its Jetson TK1 and K40: no public numbers of them were found.",
            "Its energy: no public numbers of its board's powers were found; that half is not emulated.",
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
            "best_of_all_s": each.foretold.at(each.mbit_s * MBIT),
        }


def _walk(given: Input) -> str:
    return series([place_of(stretch.line.layers) for stretch in given.stretches[1:]], "to")
