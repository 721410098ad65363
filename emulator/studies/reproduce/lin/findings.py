"""What Lin et al. say, beside what is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from layerlift.emulator.report.formatting import share
from layerlift.emulator.studies.reproduce.lin.runs import MICRO, Paid
from layerlift.emulator.studies.reproduce.reproduction import Finding

_SAME: Final = 1e-6


def _best(found: Sequence[Paid]) -> dict[tuple[str, float], float]:
    """The least money of any plan that kept the deadline, case by case."""
    made: dict[tuple[str, float], float] = {}
    for each in found:
        if each.met:
            made[each.network, each.slack] = min(each.money, made.get((each.network, each.slack), each.money))
    return made


def overpaid(found: Sequence[Paid], planner: str) -> list[float]:
    """By what share a planner's plans that kept their deadline cost more than the best known."""
    best = _best(found)
    made = []
    for each in found:
        if each.planner == planner and each.met:
            least = best[each.network, each.slack]
            made.append(each.money / least - 1.0 if least > 0.0 else 0.0 if each.money == 0.0 else float("inf"))
    return made


def kept(found: Sequence[Paid], planner: str) -> int:
    """How many plans of a planner kept their deadline."""
    return len([each for each in found if each.planner == planner and each.met])


def more(over: Sequence[float]) -> str:
    """`at most 0.2 %`, of shares."""
    if not over:
        return "nothing, for it keeps none,"
    if max(over) <= _SAME:
        return "nothing"
    return f"at most {share(max(over)) if max(over) < float('inf') else 'without bound'}"


def findings(found: Sequence[Paid]) -> Iterator[Finding]:
    """Yield each, in the order in which they are told."""
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
        "layer after the other and cannot see that a dear layer now spares a dearer one; a single cut cannot come "
        "back to the device, which is free.",
    )


def _looser(found: Sequence[Paid]) -> Finding:
    falls = True
    spans = []
    for network in dict.fromkeys(each.network for each in found):
        paid = [each.money for each in found if each.network == network and each.planner == "exact" and each.met]
        falls = falls and all(later <= earlier * (1 + _SAME) for earlier, later in pairwise(paid))
        spans.append(f"{network}: {paid[0] * MICRO:.3g} to {paid[-1] * MICRO:.3g} millionths of a USD")
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
        "evaluations leave little between them.",
    )


def _letter(found: Sequence[Paid]) -> Finding:
    over, own = overpaid(found, "PSO-GA, to the letter"), overpaid(found, "PSO-GA")
    cases = len({(each.network, each.slack) for each in found})
    return Finding(
        "PSO-GA to the letter",
        "random starts, one layer mutated at a time",
        "the data and code of SPSO-GA",
        f"keeps {kept(found, 'PSO-GA, to the letter')} of {cases} deadlines and pays {more(over)} over the best "
        f"known; with our starts and moves {kept(found, 'PSO-GA')} and {more(own)}",
        "not comparable",
        "Most random placements of so many layers over eleven nodes send a tensor at every step and miss every "
        "deadline; a swarm that begins there spends its evaluations on finding one that does not. The publication "
        "had 1,000 rounds of 100 particles.",
    )
