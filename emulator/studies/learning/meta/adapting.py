"""`layerlift train meta_drl --adapt`: from the start that ships to a policy for the users of one scenario."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.results.versions import versions
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.lasting import MOST_SEED, check_flags, check_whole
from layerlift.emulator.studies.learning.meta.places import Place, place_of
from layerlift.emulator.studies.learning.worlds import busied
from layerlift.emulator.world import streams
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError, quoted
from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import STEPS, policies_of, weights_of
from layerlift.planners.problem.problem import Problem

PLANNER: Final = "meta_drl"
EPISODES: Final = 64
MOST_EPISODES: Final = 100_000
MEASURED: Final = 24
"""Problems on which the policy is measured before and after; no episode is played on them."""
MOST_TRIES: Final = 50
"""For a problem in which something costs anything."""


@dataclass(frozen=True, repr=False)
class Adapted:
    """What adapting has come to. `layerlift.adapt` answers one."""

    scenario: str
    episodes: int
    policy: Weights
    before: float
    """By how much the greedy walk costs more than the least, in truth, as the policy was; the mean over problems."""
    after: float
    out: Path
    """The folder that the policy was written to."""

    @property
    def policy_path(self) -> Path:
        """Where the policy was written: what `meta_drl:policy=FILE` takes."""
        return self.out / kept.POLICY

    @property
    def sentence(self) -> str:
        """What it is worth, in words."""
        return (
            f"{PLANNER} after {count(self.episodes, 'episode')} in {self.scenario}: its walk without chance costs "
            f"{_percent(self.after)} % more than the least there is, before that {_percent(self.before)} %; "
            f"policy {self.policy.label[:12]}."
        )

    def __repr__(self) -> str:
        return f"<{self.sentence} In {self.out}>"


def _percent(share: float) -> str:
    return f"{round(100.0 * share, 2) + 0.0:.2f}"  # nothing is not less than nothing


def adapt(
    scenario: Scenario | str | Path,
    *,
    episodes: int = EPISODES,
    policy: str | Path | None = None,
    seed: int = 1,
    out: Path | str = f"trained-{PLANNER}",
    force: bool = False,
) -> Adapted:
    """Adapt the policy of meta_drl, or the one in the file `policy`, to the users of a scenario, and write it to `out`.

    `scenario` is a `Scenario`, a name or a file. Each of `episodes` (1 to 100,000) meets the problem of one of its
    users, with servers busy in another way, and pays what walks cost in truth, whatever servers predict. The same
    `seed` (0 to 40) gives the same policy. A training that is there already is replaced, all of it, with `force` alone.
    The result's `sentence` says what it is worth, and `policy_path` where the policy is. Needs torch. Raises a
    `LayerliftError`.
    """
    check_whole("episodes", episodes, 1, MOST_EPISODES)
    check_whole("seed", seed, 0, MOST_SEED)
    folder = folder_of(out, "policy")
    check_flags({"force": force})
    if policy is not None and not isinstance(policy, str | PathLike):
        raise RunError(f"policy is {quoted(policy)}, expected the file of one that layerlift train meta_drl wrote")
    kept.check(folder, None, force)
    content = policy_file.read(policy, (STEPS,)) if policy else policy_file.shipped(PLANNER)
    start = policy_file.parsed(content, (STEPS,))
    given = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    world = given.resolve()
    try:
        from layerlift.emulator.studies.learning.meta.curves import adapted
    except ImportError:
        raise RunError(
            "adapting needs torch, which is not installed: pip install 'layerlift[learn]' (plans need none)"
        ) from None
    kept.prepare(folder)
    played = list(_some(world, seed, "episodes", episodes))
    among = list(_some(world, seed, "measured", MEASURED))
    draws = np.random.default_rng(streams.family(seed, "adapting", "walks").getrandbits(64))
    network, before, after = adapted(policies_of(start)[0], played, among, draws)
    notes = dict(start.notes) | versions() | {
        "adapted_to": world.name, "episodes": str(episodes), "adapted_seed": str(seed),
        "gap_before": f"{before:.5f}", "gap_after": f"{after:.5f}",
    }  # fmt: skip
    made = weights_of([network], notes)
    kept.put(folder, kept.POLICY, policy_file.written(made))
    kept.leave(folder, kept.POLICY)  # the page and the state of a training speak of a policy that is gone
    return Adapted(world.name, episodes, made, before, after, folder)


def _some(world: World, seed: int, purpose: str, count: int) -> Iterator[Place]:
    for number in range(count):
        yield _place(world, streams.family(seed, "adapting", f"{purpose} {number}"))


def _place(world: World, rng: random.Random) -> Place:
    """A user's problem with servers as busy as may be. Raises `RunError` where nothing ever costs anything."""
    for _ in range(MOST_TRIES):
        user = int(rng.random() * len(world.users))
        told = busied(problem_of(world, user), rng)
        made = place_of(told, _in_truth(told, world, world.users[user].model))
        if made.exact > 0.0:
            return made
    raise RunError(f"in {world.name} nothing costs anything by its objective: there is nothing to adapt to")


def _in_truth(told: Problem, world: World, model: int) -> Problem:
    """The problem with the seconds that servers will really take."""
    seconds = told.seconds.copy()
    for column, server in enumerate(world.servers, start=CLIENT + 1):
        seconds[:, column] = world.seconds(model, server)
    return replace(told, seconds=seconds)
