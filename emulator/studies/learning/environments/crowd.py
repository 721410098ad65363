"""Many users in a run of the emulator, each planned when it asks: `Layerlift/Crowd-v0`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario import families as world_families
from layerlift.emulator.studies.learning.environments.choices import Choices
from layerlift.emulator.studies.learning.environments.crowd_seen import OF_NODE, OF_USER, nothing_seen, seen
from layerlift.emulator.studies.learning.environments.drawing import Pixels, bars_picture
from layerlift.emulator.studies.learning.environments.outcome import mean_ratio, ratios
from layerlift.emulator.studies.learning.environments.placement import (
    MOST_NODES_OF_ANY,
    NODES,
    RENDERS,
    check_nodes,
    check_render,
    number_of,
)
from layerlift.emulator.studies.learning.environments.rehearsal import NAME, Rehearsal
from layerlift.emulator.studies.learning.environments.sources import (
    Named,
    asked,
    drawn_seed,
    loaded,
    names_of,
    texts_of,
)
from layerlift.emulator.studies.learning.environments.walks import Seen
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError
from layerlift.planners.problem.problem import Bools

FAMILIES: Final = ("crowd",)


class Crowd(gymnasium.Env):
    """A run of the emulator that stops whenever a user asks for a plan: a step says which server it uses, 0 none.

    Which layers go there is the best choice of a lone user (see `Choices`). Worlds are drawn from `families`, or are a
    `scenario` with another seed each time; `overrides` are `path=value`, as everywhere. `planner` is who the tables say
    has planned, for all users: with `module:Class` of an agent of your own a run that it plans has the digest of the
    episode; with `...+ionn` its uploads are ordered by `ionn`. After `most_requests` the episode is truncated. `reset`
    takes `options`: `world`, the seed of a world.

    The reward comes at the end: minus the mean over users of their queries' latencies as shares of those at home (see
    `outcome.ratios`). A server that the mask forbids means staying home, and `info` says so (`illegal`).
    Raises a `LayerliftError` for what cannot be had.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [*RENDERS], "render_fps": 10}

    def __init__(
        self,
        families: Sequence[str] | str | None = None,
        scenario: Named | None = None,
        overrides: Sequence[str] = (),
        planner: str = NAME,
        nodes: int = NODES,
        held_out: bool = False,
        most_requests: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_nodes(nodes, MOST_NODES_OF_ANY)
        check_render(render_mode)
        if scenario is not None and families is not None:
            raise RunError("a scenario was given with families, expected one of them: it is a world itself")
        if isinstance(overrides, str):
            raise RunError(f"overrides is the text {overrides!r}, expected a list such as [{overrides!r}]")
        if most_requests is not None and (not isinstance(most_requests, int) or most_requests < 1):
            raise RunError(f"most_requests is {most_requests!r:.40}, expected a whole number of at least 1, or None")
        self.render_mode = render_mode
        self.observation_space, self.action_space = seen_space(nodes), spaces.Discrete(nodes)
        self._scenario = None if scenario is None else loaded(scenario)
        names = FAMILIES if families is None else names_of(families)
        self._families = [] if scenario is not None else [world_families.load(name) for name in names]
        self._overrides, self._planner, self._nodes = texts_of("overrides", overrides), planner, nodes
        self._held_out, self._most = held_out, most_requests
        if held := [each.name for each in self._families if each.held_out and not held_out]:
            raise RunError(f"the family {held[0]!r} is held out, none is trained on it: name others, or held_out=True")
        self._run: Rehearsal | None = None
        self._choices: Choices | None = None
        self._names: tuple[str, ...] = ()
        self._counts = [0] * nodes
        self._requests = 0

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin another run, up to its first request."""
        super().reset(seed=seed)
        given = asked(options, ("world",))
        self.close()
        number = given["world"] if "world" in given else drawn_seed(self.np_random, self._held_out)
        self._counts, self._requests = [0] * self._nodes, 0
        self._run = Rehearsal(self.scenario(number))
        if self._heard() is not None:
            raise RunError("nobody asks for a plan in this world: expected users who do")
        return self._seen(), {"world": number, "users": len(self._run.world.users), **self._asks()}

    def scenario(self, seed: int) -> Scenario:
        """The scenario that an episode of this seed runs: `layerlift.run` of it is the same run."""
        if self._scenario is not None:
            made = self._scenario.changed([f"seed={seed}", *self._overrides])
        else:
            at = streams.family(seed, "learning", "crowd").random()
            made = self._families[int(at * len(self._families))].draw(seed, self._overrides)
        planners = [f"users.{number}.planner={self._planner}" for number in range(len(made.users))]
        return made.changed([*planners, "planner.plan_timeout_s=null", "execution=none"])

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Plan the user who has asked, and go on to the next request or to the end."""
        if self._run is None or self._choices is None:
            raise RunError("the episode is over, or has not begun: call reset() before step()")
        node, choices = number_of(action), self._choices
        illegal = not (0 <= node < len(choices.placements) and choices.placements[node] is not None)
        placement = choices.placements[0 if illegal else node]
        assert placement is not None
        self._counts[0 if illegal else node] += 1
        self._requests += 1
        self._run.answer(placement)
        info: dict[str, Any] = {"illegal": illegal}
        if (result := self._heard()) is not None:
            found = ratios(result, self._run.world)
            self.close()
            worth = mean_ratio(found)
            return self._seen(), -worth, True, False, info | {
                "mean_ratio": worth, "ratios": found, "digest": result.digest
            }  # fmt: skip
        if self._requests == self._most:
            self.close()
            return self._seen(), 0.0, False, True, info
        return self._seen(), 0.0, False, False, info | self._asks()

    def action_masks(self) -> Bools:
        """Which servers the user who asks may use, shape (nodes,); to stay home always."""
        made = np.zeros(self._nodes, dtype=np.bool_)
        made[0] = True
        if self._choices is not None:
            made[: len(self._choices.placements)] = self._choices.open
        return made

    def render(self) -> str | Pixels | None:
        """How many were sent to each node so far, as a line of text or as a picture with a bar for each."""
        if self.render_mode is None:
            return None
        if self.render_mode == "rgb_array":
            return bars_picture(self._counts, self.action_masks().tolist())
        told = " ".join(f"{name}:{count}" for name, count in zip(self._names, self._counts, strict=False))
        return f"{self._requests} plans so far: {told}"

    def close(self) -> None:
        """Break off the run that is under way."""
        run, self._run, self._choices = self._run, None, None
        if run is not None:
            run.close()

    def __del__(self) -> None:
        """Let no run wait for ever for an environment that is gone."""
        if "_run" in self.__dict__:
            self.close()

    def _heard(self) -> RunResult | None:
        """Go on to the next request, or to the run's result, which is answered."""
        assert self._run is not None
        try:
            heard = self._run.next()
        except BaseException:
            self.close()
            raise
        if isinstance(heard, RunResult):
            self._choices = None
            return heard
        if len(heard.nodes) > self._nodes:
            self.close()
            raise RunError(
                f"the world has {len(heard.nodes) - 1} servers, expected at most {self._nodes - 1}: "
                f"give nodes={len(heard.nodes)}"
            )
        self._choices, self._names = Choices(heard), heard.nodes
        return None

    def _seen(self) -> Seen:
        if self._run is None or self._choices is None:
            return nothing_seen(self._nodes)
        return seen(self._choices, self._requests, len(self._run.world.users), self._nodes)

    def _asks(self) -> dict[str, Any]:
        """Who asks: the user's number, -1 where the planner's problems do not say."""
        assert self._choices is not None
        crowd = self._choices.problem.crowd
        return {"user": -1 if crowd is None else crowd.user}


def seen_space(nodes: int) -> spaces.Dict:
    """What `layerlift.emulator.studies.learning.environments.crowd_seen` says."""
    return spaces.Dict(
        {
            "user": spaces.Box(0.0, 1.0, (OF_USER,), np.float32),
            "nodes": spaces.Box(0.0, 1.0, (nodes, OF_NODE), np.float32),
            "action_mask": spaces.MultiBinary(nodes),
        }
    )
