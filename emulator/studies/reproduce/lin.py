"""The question of Lin et al. (TII 2020) on the paper's world: the least money within a deadline, by planner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

from layerlift.emulator.report.formatting import seconds, share
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.reproduce.reproduction import (
    Done,
    Emulator,
    Finding,
    Reproduction,
    Table,
    nothing,
    settled,
)
from layerlift.models.errors import RunError, near
from layerlift.models.loading.zoo import is_known, known

PUBLICATION: Final = (
    "Lin, Huang, Zhang, Hu, Chen, Li: Cost-Driven Off-Loading for DNN-Based Applications Over Cloud, Edge, and End "
    "Devices, "
    "IEEE TII 16(8):5456, 2020, doi:10.1109/TII.2019.2961237"
)
NETWORKS: Final = ("alexnet", "vgg19", "googlenet")
"""Three of the four of the group's published data; the fourth (ResNet-101) is not in the zoo."""
SLACKS: Final = (1.05, 1.5, 2.0, 3.0, 5.0, 8.0)
"""Deadlines, as multiples of the least latency that there is."""
PLANNERS: Final = {
    "PSO-GA": "pso:evaluations=4000",
    "PSO-GA, to the letter": "pso:moves=points,start=random,evaluations=4000",
    "GA": "ga:evaluations=4000",
    "greedy": "greedy",
    "best single cut": "one_step",
    "exact": "optimal",
}
PRICES_PER_GB: Final = {
    "client-edge": 0.01,
    "client-cloud": 0.09,
    "edge-cloud": 0.05,
    "edge-edge": 0.01,
    "cloud-cloud": 0.01,
}
"""USD per GB carried: assumed, of the order of public price lists."""
DEVICE_GHZ: Final = 1.7
"""The middle of the paper's range of clients."""
_MET: Final = 1 + 1e-9
_SAME: Final = 1e-6
_MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Paid:
    """One planner under one deadline."""

    network: str
    slack: float
    deadline_s: float
    planner: str
    latency_s: float
    money: float
    """USD of the query."""
    note: str

    @property
    def met(self) -> bool:
        """Whether the emulated query kept the deadline."""
        return self.latency_s <= self.deadline_s * _MET


def world(network: str, planner: str, deadline_s: float | None) -> dict[str, Any]:
    """The paper's servers, links with prices, and one device; servers hold the network already.

    Without a deadline the objective is latency alone.
    """
    paper = _paper()
    objective: dict[str, Any] = {"latency": 1.0}
    if deadline_s is not None:
        objective = {"latency": 0.0, "money": 1.0, "deadline_s": deadline_s}
    user = {
        "device": {"ghz": DEVICE_GHZ},
        "model": "network",
        "planner": planner,
        "objective": objective,
        "queries": 1,
        "asks": {"at_s": 1000},
        "profile_runs": 0,
    }
    return {
        "nodes": [group for group in paper["nodes"] if group["tier"] != "client"],
        "links": {pair: {**link, "price_per_gb": PRICES_PER_GB[pair]} for pair, link in paper["links"].items()},
        "share_links": paper["share_links"],
        "reference_ghz": paper["reference_ghz"],
        "models": {"network": {"source": network, "parameters_mb": 1e-6}},
        "users": [user],
    }


@cache
def _paper() -> dict[str, Any]:
    return Scenario.load("paper").model_dump(mode="json", exclude_unset=True)


def lin(networks: Sequence[str] = NETWORKS, slacks: Sequence[float] = SLACKS, done: Done = nothing) -> Reproduction:
    """Put the question for some networks of the zoo; `done` is called after every run.

    Raises `RunError` for a network that the zoo does not have, and what a run raises.
    """
    check(networks)
    emulate = Emulator(done)
    found, least = list[Paid](), dict[str, float]()
    for network in networks:
        least[network] = settled(emulate(f"{network}, fastest", world(network, "optimal", None)))["latency_s"]
        for slack in slacks:
            found += [_paid(emulate, network, slack, slack * least[network], planner) for planner in PLANNERS]
    return _told(found, least, emulate.runs)


def check(networks: Sequence[str]) -> None:
    """Raise `RunError` for a network that the zoo does not have."""
    for name in networks:
        if not is_known(name):
            raise RunError(f"--models names {name!r}, which the zoo has not{near(name, known())}; see layerlift models")


def run_count(networks: Sequence[str], slacks: Sequence[float] = SLACKS) -> int:
    """How many runs `lin` makes of these networks."""
    return len(networks) * (1 + len(slacks) * len(PLANNERS))


def _paid(emulate: Emulator, network: str, slack: float, deadline_s: float, planner: str) -> Paid:
    result = emulate(f"{network}, {slack:g} x, {PLANNERS[planner]}", world(network, PLANNERS[planner], deadline_s))
    row = settled(result)
    note = result.plans.to_pylist()[0]["note"]
    return Paid(network, slack, deadline_s, planner, row["latency_s"], row["money"], note)


def _told(found: Sequence[Paid], least: Mapping[str, float], runs: Mapping[str, str]) -> Reproduction:
    over, missed = _over(found, "PSO-GA"), len([each for each in found if not each.met])
    cases = len({(each.network, each.slack) for each in found})
    return Reproduction(
        name="lin",
        title="Least money within deadlines",
        publication=PUBLICATION,
        answer=(
            f"PSO-GA keeps every deadline that it is given in {_kept(found, 'PSO-GA')} of {cases} cases and pays "
            f"{_more(over)} "
            f"over the best plan known; {missed} plans of all planners miss theirs."
        ),
        setting=(
            "The servers and links of the paper's world (five edge, five cloud; the scenario paper), one device of "
            f"{DEVICE_GHZ:g} GHz, {_words(list(least))}; servers hold the network already, and a lone query is "
            "emulated "
            "without executing layers.",
            "Money: busy seconds of servers at the prices of that scenario, and bytes carried at "
            f"{_words([f'{price:g} ({pair})' for pair, price in PRICES_PER_GB.items()])} USD per GB (assumed, of the "
            "order of "
            "public price lists). The device costs nothing.",
            f"Deadlines: {_words([f'{slack:g}' for slack in dict.fromkeys(each.slack for each in found)])} times the "
            "least "
            f"latency ({_words([f'{name}: {seconds(value)}' for name, value in least.items()])}; optimal, by latency).",
            "Planners: pso with its own starts and moves, and to the letter of the publication (moves=points, "
            "start=random); ga; "
            "both with 4,000 evaluations; greedy; one_step; and optimal, exact with a bound, where it proves it.",
        ),
        findings=tuple(_findings(found)),
        tables=(_table(found),),
        caption="Money of a query by its deadline; crosses: the deadline is missed",
        picture=picture(found),
        unverified=(
            "The tables of the publication (prices, bandwidths, its servers, costs by deadline): no public copy was "
            "found; "
            "nothing here is held against a printed number of it.",
            "Its deadlines: they are commonly quoted as multiples of a schedule's length; ours are multiples of the "
            "least latency.",
            "How w adapts to a particle: planner pso says which sources its constants have.",
        ),
        numbers=tuple(_numbers(found)),
        runs=runs,
    )


def _numbers(found: Sequence[Paid]) -> Iterator[dict[str, Any]]:
    for each in found:
        yield {
            "network": each.network,
            "slack": each.slack,
            "deadline_s": each.deadline_s,
            "planner": each.planner,
            "latency_s": each.latency_s,
            "money_usd": each.money,
            "met": each.met,
            "note": each.note,
        }


def _words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _best(found: Sequence[Paid]) -> dict[tuple[str, float], float]:
    """The least money of any plan that kept the deadline, case by case."""
    made: dict[tuple[str, float], float] = {}
    for each in found:
        if each.met:
            made[each.network, each.slack] = min(each.money, made.get((each.network, each.slack), each.money))
    return made


def _over(found: Sequence[Paid], planner: str) -> list[float]:
    """By what share a planner's plans that kept their deadline cost more than the best known."""
    best = _best(found)
    made = []
    for each in found:
        if each.planner == planner and each.met:
            least = best[each.network, each.slack]
            made.append(each.money / least - 1.0 if least > 0.0 else 0.0 if each.money == 0.0 else float("inf"))
    return made


def _kept(found: Sequence[Paid], planner: str) -> int:
    return len([each for each in found if each.planner == planner and each.met])


def _more(over: Sequence[float]) -> str:
    if not over:
        return "nothing, for it keeps none,"
    if max(over) <= _SAME:
        return "nothing"
    return f"at most {share(max(over)) if max(over) < float('inf') else 'without bound'}"


def _findings(found: Sequence[Paid]) -> Iterator[Finding]:
    yield _against_benchmarks(found)
    yield _looser(found)
    yield _against_ga(found)
    yield _letter(found)


def _against_benchmarks(found: Sequence[Paid]) -> Finding:
    ours = {(each.network, each.slack): each for each in found if each.planner == "PSO-GA"}
    worse, better = 0, 0
    for each in found:
        if each.planner not in ("GA", "greedy", "best single cut"):
            continue
        own = ours[each.network, each.slack]
        if own.met and (not each.met or each.money > own.money * (1 + _SAME)):
            better += 1
        elif each.met and (not own.met or each.money < own.money * (1 - _SAME)):
            worse += 1
    return Finding(
        "PSO-GA costs less than the benchmarks",
        "it effectively reduces the cost relative to the benchmarks (no number)",
        "the abstract",
        f"cheaper than GA, greedy or the best single cut in {better} of {3 * len(ours)} comparisons, dearer in {worse}",
        "seen" if better and not worse else "in part" if better > worse else "not seen",
        "Which benchmarks it had is known by name only (GA and a greedy search among them). Greedy looks at one "
        "layer after the "
        "other and cannot see that a dear layer now spares a dearer one; a single cut cannot come back to the "
        "device, which is "
        "free.",
    )


def _looser(found: Sequence[Paid]) -> Finding:
    falls = True
    spans = []
    for network in dict.fromkeys(each.network for each in found):
        paid = [each.money for each in found if each.network == network and each.planner == "exact" and each.met]
        falls = falls and all(later <= earlier * (1 + _SAME) for earlier, later in pairwise(paid))
        spans.append(f"{network}: {paid[0] * _MICRO:.3g} to {paid[-1] * _MICRO:.3g} millionths of a USD")
    return Finding(
        "Looser deadlines cost less",
        "energy of AlexNet falls from 3951 to 3114 over five deadlines (the same group's energy version)",
        "the data of SPSO-GA, TPDS 33(3):683",
        "; ".join(spans),
        "seen" if falls else "in part",
        "With time to spare more layers stay on the device, which is free here; where all of them may, a query costs "
        "nothing.",
    )


def _against_ga(found: Sequence[Paid]) -> Finding:
    pairs = [
        (one, other)
        for one in found
        for other in found
        if (one.network, one.slack) == (other.network, other.slack) and (one.planner, other.planner) == ("PSO-GA", "GA")
    ]
    gains = [1 - one.money / other.money for one, other in pairs if one.met and other.met and other.money > 0.0]
    return Finding(
        "PSO-GA against GA",
        "27 % less energy at the tightest deadline, 14 % at the loosest (3951 against 5402, 3114 against 3623)",
        "the data of SPSO-GA, TPDS 33(3):683",
        f"{share(min(gains))} to {share(max(gains))} less money" if gains else "nothing to compare",
        "not comparable",
        "Energy there, money here. Both of ours begin with the best single cuts and move runs of layers, and 4,000 "
        "evaluations "
        "nearly close the gap to the best known for either.",
    )


def _letter(found: Sequence[Paid]) -> Finding:
    over, own = _over(found, "PSO-GA, to the letter"), _over(found, "PSO-GA")
    cases = len({(each.network, each.slack) for each in found})
    return Finding(
        "PSO-GA to the letter",
        "random starts, one layer mutated at a time",
        "the data and code of SPSO-GA",
        f"keeps {_kept(found, 'PSO-GA, to the letter')} of {cases} deadlines and pays {_more(over)} over the best "
        "known; with "
        f"our starts and moves {_kept(found, 'PSO-GA')} and {_more(own)}",
        "not comparable",
        "Most random placements of so many layers over eleven nodes send a tensor at every step and miss every "
        "deadline; a swarm "
        "that begins there spends its evaluations on finding one that does not. The publication had 1,000 rounds of "
        "100 particles.",
    )


def _table(found: Sequence[Paid]) -> Table:
    planners = list(PLANNERS)
    rows = []
    by = {(each.network, each.slack, each.planner): each for each in found}
    for network, slack in dict.fromkeys((each.network, each.slack) for each in found):
        some = [by[network, slack, planner] for planner in planners]
        proved = "not proved" not in some[-1].note
        cells = [f"{each.money * _MICRO:.4g}" if each.met else "missed" for each in some]
        cells[-1] += "" if proved else " *"
        rows.append((network if slack == found[0].slack else "", f"{slack:g}", seconds(some[0].deadline_s), *cells))
    return Table(
        "Millionths of a USD a query",
        ("network", "x least", "deadline", *planners),
        tuple(rows),
        "Missed: the emulated query took longer than its deadline. *: optimal has not proved that its plan is the "
        "cheapest.",
    )


def picture(found: Sequence[Paid]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a panel for each network."""
    import altair

    alt: Any = altair
    colours = ["#c1121f", "#ff9f1c", "#1f77b4", "#7f7f7f", "#2a9d3f", "#222222"]
    colour = alt.Color(
        "planner:N", title=None, sort=list(PLANNERS), scale=alt.Scale(domain=list(PLANNERS), range=colours)
    )
    panels = []
    for network in dict.fromkeys(each.network for each in found):
        data = [
            {
                "deadline": float(f"{each.deadline_s:.5g}"),
                "money": float(f"{each.money * _MICRO:.6g}"),
                "planner": each.planner,
                "met": "met" if each.met else "missed",
            }
            for each in found
            if each.network == network
        ]
        x = alt.X("deadline:Q", title="deadline (s)", scale=alt.Scale(type="log", nice=False))
        y = alt.Y("money:Q", title="millionths of a USD a query")
        base = alt.Chart(alt.Data(values=data)).encode(x=x, y=y, color=colour)
        lines = base.transform_filter("datum.met == 'met'").mark_line(strokeWidth=1.5)
        shape = alt.Shape("met:N", title=None, scale=alt.Scale(domain=["met", "missed"], range=["circle", "cross"]))
        dots = base.mark_point(size=46).encode(shape=shape)
        panels.append((lines + dots).properties(width=270, height=250, title=network))
    made: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return made
