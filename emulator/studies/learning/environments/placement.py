"""One user's network, placed unit by unit: `Layerlift/Placement-v0`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from layerlift.emulator.studies.learning.environments.drawing import Pixels, walk_picture
from layerlift.emulator.studies.learning.environments.sources import Named, asked, drawn_seed, problems_from
from layerlift.emulator.studies.learning.environments.walks import OF_PLACE, OF_UNIT, Course, Seen, Walks, course_of
from layerlift.models.errors import RunError
from layerlift.planners.learned.priced import MOST_NODES
from layerlift.planners.problem.problem import Bools, Problem

NODES: Final = 16
"""What observations are padded to, unless told otherwise."""
RENDERS: Final = ("ansi", "rgb_array")
MOST_NODES_OF_ANY: Final = 1024
"""What observations of any environment can be padded to."""


class Placement(gymnasium.Env):
    """The units of one network, one after the other: a step says where the next one runs, 0 the client.

    Problems are drawn from `families` (None: those that policies are trained on) with `networks` of the zoo (none:
    the classics but for those held out), or are those of the users of a `scenario`. `nodes` is what observations are
    padded to: of more servers, those with the cheapest single cuts can be had. With `held_out`, worlds are drawn from
    the seeds on which planners are judged. `reset` takes `options`: `world`, the seed of a world, or a `problem`.

    Rewards add up to minus what the placement costs, as a share of staying local, and what it misses a deadline or a
    budget by. A unit for which a node is chosen that the mask forbids runs at home, and `info` says so (`illegal`).
    Raises a `LayerliftError` for what cannot be had.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [*RENDERS], "render_fps": 4}

    def __init__(
        self,
        families: Sequence[str] | str | None = None,
        networks: Sequence[str] = (),
        scenario: Named | None = None,
        nodes: int = NODES,
        held_out: bool = False,
        render_mode: str | None = None,
    ) -> None:
        check_nodes(nodes, MOST_NODES)
        check_render(render_mode)
        self.render_mode = render_mode
        self.observation_space, self.action_space = seen_space(nodes), spaces.Discrete(nodes)
        self._draws = Draws(families, networks, scenario, nodes, held_out)
        self._walks = Walks(1, nodes)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin with the next problem, or the one that `options` name."""
        super().reset(seed=seed)
        if seed is not None:
            self._draws.forget()
        course, info = self._draws.next(self.np_random, options)
        self._walks.begin(0, course)
        return self._seen(), info

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Run the next unit on a node."""
        if bool(self._walks.over[0]):
            raise RunError("the episode is over, or has not begun: call reset() before step()")
        rewards, illegal = self._walks.take(np.array([number_of(action)]))
        over = bool(self._walks.over[0])
        info: dict[str, Any] = {"illegal": bool(illegal[0])}
        if over:
            info |= {"cost": self._walks.cost(0), "placement": self._walks.placement(0)}
        return self._seen(), float(rewards[0]), over, False, info

    def action_masks(self) -> Bools:
        """Where the next unit may run, shape (nodes,); the client always."""
        masks: Bools = self._walks.masks[0]
        return masks

    @property
    def problem(self) -> Problem:
        """The problem that is being placed, as a planner gets it."""
        return self._walks.course(0).sums.problem

    def render(self) -> str | Pixels | None:
        """The units so far, as a line of text or as a picture with a row for each node."""
        if self.render_mode is None or self._walks.courses[0] is None:
            return None
        nodes = self._walks.course(0).costs.nodes
        way, units = self._walks.way(0).tolist(), int(self._walks.length[0])
        if self.render_mode == "rgb_array":
            return walk_picture(way, self.action_masks()[: len(nodes)].tolist(), units)
        names = [self._walks.course(0).sums.problem.nodes[node] for node in nodes.tolist()]
        spent = -float(self._walks.spent[0])
        runs = " ".join(f"{names[node]}:{first}-{last}" for node, first, last in runs_of(way))
        return f"{len(way)} of {units} units, {spent:.3f} of staying local so far: {runs or 'none yet'}"

    def _seen(self) -> Seen:
        return {name: table[0] for name, table in self._walks.seen().items()}


class Draws:
    """The problems of one environment, in the order of its own chance: those of a world come one after the other."""

    def __init__(
        self,
        families: Sequence[str] | str | None,
        networks: Sequence[str],
        scenario: Named | None,
        nodes: int,
        held_out: bool,
    ) -> None:
        self._from = problems_from(families, networks, scenario, held_out)
        self._nodes, self._held_out = nodes, held_out
        self._seed, self._waiting = -1, iter(())

    _waiting: Iterator[Problem]

    def forget(self) -> None:
        """Begin with another world, whatever has been drawn."""
        self._waiting = iter(())

    def next(self, rng: np.random.Generator, options: Mapping[str, Any] | None = None) -> tuple[Course, dict[str, Any]]:
        """The next course, and what `reset` says of it. Raises `RunError` for options that cannot be."""
        given = asked(options)
        if "problem" in given:
            problem = given["problem"]
            if not isinstance(problem, Problem):
                raise RunError(f"problem is a {type(problem).__name__}, expected a Problem, as planners get it")
            return course_of(problem, self._nodes), {"world": -1, "network": problem.graph.name}
        found = None if "world" in given else next(self._waiting, None)
        if found is None:
            self._seed = given["world"] if "world" in given else drawn_seed(rng, self._held_out)
            self._waiting = self._from.problems(self._seed)
            found = next(self._waiting)
        return course_of(found, self._nodes), {"world": self._seed, "network": found.graph.name}


def seen_space(nodes: int) -> spaces.Dict:
    """What `Walks.seen` says of one walker."""
    return spaces.Dict(
        {
            "unit": spaces.Box(0.0, 1.0, (OF_UNIT,), np.float32),
            "nodes": spaces.Box(0.0, 1.0, (nodes, OF_PLACE), np.float32),
            "action_mask": spaces.MultiBinary(nodes),
        }
    )


def check_nodes(nodes: int, most: int) -> None:
    """Raise `RunError` for a number of nodes that observations cannot be padded to."""
    if isinstance(nodes, bool) or not isinstance(nodes, int) or not 2 <= nodes <= most:
        raise RunError(f"nodes is {nodes!r}, expected a whole number from 2 (the client and a server) to {most}")


def check_render(mode: str | None) -> None:
    """Raise `RunError` for a way of rendering that there is not."""
    if mode is not None and mode not in RENDERS:
        raise RunError(f"render_mode is {mode!r}, expected {' or '.join(RENDERS)}, or None")


def number_of(action: Any) -> int:
    """An action as a number; what is none is -1, which is no legal action."""
    try:
        number = int(action)
    except (TypeError, ValueError, OverflowError):
        return -1
    return number if 0 <= number <= MOST_NODES_OF_ANY else -1


def runs_of(way: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Runs of units on one node: the node, the first and the last unit."""
    first = 0
    for unit, node in enumerate(way):
        if unit + 1 == len(way) or way[unit + 1] != node:
            yield node, first, unit
            first = unit + 1
