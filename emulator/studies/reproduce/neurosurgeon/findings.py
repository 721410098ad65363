"""What Neurosurgeon printed, beside what is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerlift.emulator.studies.reproduce.neurosurgeon.runs import NAMED_MBIT_S, Input, Point, place_of
from layerlift.emulator.studies.reproduce.reproduction import Finding
from layerlift.models.sums import left_sum


def findings(
    given: Sequence[Input], points: Sequence[Point], cloud: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Finding]:
    """Yield each, in the order in which they are told."""
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
        "the input, the fewer cuts inside are ever best: what the device computes must be worth the bytes that it "
        "saves.",
    )
    gains = [cloud[each.input, each.place]["latency_s"] / each.latency_s for each in named]
    yield Finding(
        "Latency against the cloud alone",
        "3.1 times better on average, 40.7 at most",
        "the abstract",
        f"{left_sum(gains) / len(gains):.2g} times on average over 3G, 4G and Wi-Fi and both inputs, {max(gains):.3g} "
        "at most",
        "not comparable",
        "Eight applications on a Jetson TK1 (CPU and GPU) and a K40 there, one network on another board here. Both "
        "averages hold links on which the cloud alone is best, where the gain is 1.",
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
        "there it was a datacenter under a mix of users, some of whom stay on their device.",
    )
    yield Finding(
        "Energy of the device",
        "59.5 % less on average, 94.7 % at most",
        "the abstract",
        "not emulated",
        "not comparable",
        "No public numbers of its board's powers were found. one_step:by=energy plans for it, with powers of your own.",
    )
