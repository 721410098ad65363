"""The question of Lin et al. (TII 2020) on the paper's world: the least money within a deadline, by planner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.report.formatting import seconds
from layerlift.emulator.studies.reproduce.lin.findings import findings, kept, more, overpaid
from layerlift.emulator.studies.reproduce.lin.runs import (
    DEVICE_GHZ,
    NETWORKS,
    PLANNERS,
    PRICES_PER_GB,
    SLACKS,
    Paid,
    paid,
    world,
)
from layerlift.emulator.studies.reproduce.lin.tables import main_table, picture
from layerlift.emulator.studies.reproduce.reproduction import Done, Emulator, Reproduction, nothing, series, settled
from layerlift.models.errors import RunError, near
from layerlift.models.loading.zoo import is_known, known

PUBLICATION: Final = (
    "Lin, Huang, Zhang, Hu, Chen, Li: Cost-Driven Off-Loading for DNN-Based Applications Over Cloud, Edge, and End "
    "Devices, IEEE TII 16(8):5456, 2020, doi:10.1109/TII.2019.2961237"
)


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
            found += [paid(emulate, network, slack, slack * least[network], planner) for planner in PLANNERS]
    return _told(found, least, emulate.runs)


def check(networks: Sequence[str]) -> None:
    """Raise `RunError` for a network that the zoo does not have."""
    for name in networks:
        if not is_known(name):
            raise RunError(f"--models names {name!r}, which the zoo has not{near(name, known())}; see layerlift models")


def run_count(networks: Sequence[str], slacks: Sequence[float] = SLACKS) -> int:
    """How many runs `lin` makes of these networks."""
    return len(networks) * (1 + len(slacks) * len(PLANNERS))


def _told(found: Sequence[Paid], least: Mapping[str, float], runs: Mapping[str, str]) -> Reproduction:
    over = overpaid(found, "PSO-GA")
    missed = len([1 for each in found if not each.met and each.planner != "PSO-GA"])
    cases = len({(each.network, each.slack) for each in found})
    return Reproduction(
        name="lin",
        title="Least money within deadlines",
        publication=PUBLICATION,
        answer=(
            f"PSO-GA keeps its deadline in {kept(found, 'PSO-GA')} of {cases} cases and pays {more(over)} more than "
            f"the best plan known; of the other planners' plans {missed} miss theirs."
        ),
        setting=(
            "The servers and links of the paper's world (five edge, five cloud; the scenario paper), one device of "
            f"{DEVICE_GHZ:g} GHz, {series(list(least))}; servers hold the network already, and a lone query is "
            "emulated without executing layers.",
            "Money: busy seconds of servers at the prices of that scenario, and bytes carried at "
            f"{series([f'{price:g} ({pair})' for pair, price in PRICES_PER_GB.items()])} USD per GB (assumed, of the "
            "order of public price lists). The device costs nothing.",
            f"Deadlines: {series([f'{slack:g}' for slack in dict.fromkeys(each.slack for each in found)])} times the "
            f"least latency ({series([f'{name}: {seconds(value)}' for name, value in least.items()])}; optimal, by "
            "latency).",
            "Planners: pso with its own starts and moves, and to the letter of the publication (moves=points, "
            "start=random); ga; both with 4,000 evaluations; greedy; one_step; and optimal, exact with a bound, "
            "where it proves it.",
        ),
        findings=tuple(findings(found)),
        tables=(main_table(found),),
        caption="Money of a query by its deadline; crosses: the deadline is missed",
        picture=picture(found),
        unverified=(
            "The tables of the publication (prices, bandwidths, its servers, costs by deadline): no public copy was "
            "found; nothing here is held against a printed number of it.",
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
