"""What DADS printed, beside what is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.studies.reproduce.dads.runs import LINKS_MBIT_S, SWEEP_MBIT_S, Measured
from layerlift.emulator.studies.reproduce.reproduction import Finding, Outcome, series
from layerlift.models.loading.load import load

_WHY_LATENCY: Final = (
    "Never worse than either, which is what its cut promises; by how much depends on the machines and on the input. "
    f"On the slowest link ({LINKS_MBIT_S['CAT1']:g} Mbit/s) nothing is worth sending in single precision, so that our "
    "ranges begin at 1, and the cloud alone is far behind."
)
_WHY_THROUGHPUT: Final = (
    "The cut of least latency was not chosen for it; where it lies at an end its throughput is that end's. How much "
    "slower the device is than the cloud sets how wide the range is, and the machines are others."
)
_WHY_HEAVY: Final = (
    "Where an end is the best for the busiest stage, too, light and heavy load have one plan. The last row holds the "
    "plan for heavy load against the least period that there is."
)


def span(values: Sequence[float]) -> str:
    """`1.5 to 8`."""
    return f"{min(values):.3g} to {max(values):.3g}"


def gains_over(found: Sequence[Measured], planner: str, good: Any) -> dict[str, list[float]]:
    """How many times better a planner is than the device and the cloud alone, case by case."""
    by = {(each.network, each.link, each.planner): each for each in found}
    cases = dict.fromkeys((each.network, each.link) for each in found)
    return {
        other: [good(by[*case, planner]) / good(by[*case, other]) for case in cases]
        for other in ("device only", "cloud only")
    }


def findings(
    found: Sequence[Measured],
    swept: Mapping[str, Sequence[tuple[float, float, float]]],
    light: Mapping[str, Sequence[float]],
    heavy: Mapping[str, Sequence[float]],
) -> Iterator[Finding]:
    """Yield each, in the order in which they are told."""
    through = gains_over(found, "DADS, light", lambda each: each.per_s)
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
            f"{span(ratios['device only'])} and {span(ratios['cloud only'])}",
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
        f"equal on {len(same)} of {len(pairs)} links ({series(chains)})" if chains else "no chain was asked for",
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
        f"execution, with all tensors that cross (from {SWEEP_MBIT_S[0]:g} to {SWEEP_MBIT_S[-1]:g} Mbit/s); and with "
        "an input in single precision the best cut of these networks is mostly at an end, which both find.",
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
        f"at most {more:.3g} times the throughput of the light cut ({where.network}, {where.link}), a lone query then "
        f"taking {slower:.3g} times as long; {min(bound):.1%} of the least period's throughput at worst",
        "seen" if more > 1.001 and min(bound) >= 1 / 3 else "in part" if min(bound) >= 1 / 3 else "not seen",
        "The bound is exact among pipelines (planner pipeline), and the approximation is well within its guarantee "
        "here.",
    )


def _pairs(found: Sequence[Measured], one: str, other: str) -> list[tuple[Measured, Measured]]:
    by = {(each.network, each.link, each.planner): each for each in found}
    return [(each, by[each.network, each.link, other]) for each in found if each.planner == one]
