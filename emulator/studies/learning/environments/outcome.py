"""What an episode of a crowd was worth: how long its users' queries took, as shares of what they take at home."""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.fairness.people import Person, people
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum
from layerlift.planners.problem.problem import Floats

FAILED: Final = 10.0
"""What a failed query counts as: so many times its latency at home, or more where it took longer to fail."""


def ratios(result: RunResult, world: World) -> Floats:
    """Of each user in the world's order: its queries' latencies over that at home, mean; nan without any query.

    At home is what the network takes on the user's device alone. A query that was open when the run ended counts as its
    age, at least as one at home; for failed ones see `FAILED`.
    """
    found = people(result.queries, result.run["world"])
    homes = [left_sum(world.seconds(user.model, user.client)) for user in world.users]
    return np.array([_ratio(person, home_s) for person, home_s in zip(found, homes, strict=True)])


def _ratio(person: Person, home_s: float) -> float:
    if not person.queries:
        return float("nan")
    least = {"answered": 0.0, "open": 1.0, "failed": FAILED}
    taken = [max(query.latency_s / home_s, least[query.state]) for query in person.queries]
    return left_sum(taken) / len(taken)


def mean_ratio(found: Floats) -> float:
    """The mean over users who asked anything; 1 where nobody did."""
    known = found[~np.isnan(found)].tolist()
    return left_sum(known) / len(known) if known else 1.0
