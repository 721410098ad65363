"""What can be trained, and how: what worlds teach, and what learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from layerlift.emulator.studies.learning import examples
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.gaps import WALKS
from layerlift.emulator.studies.learning.meta import places
from layerlift.emulator.studies.learning.proposals import shown
from layerlift.emulator.studies.learning.reinforced import episodes, routes
from layerlift.models.errors import PlanError, RunError, near
from layerlift.planners.learned.ddlo import Ddlo
from layerlift.planners.learned.dil import Dil
from layerlift.planners.learned.policy_file import Weights


class Training(Protocol):
    """A policy on its way. What it does depends on the seed and on what it was taught, round by round."""

    rounds: int
    """That it has had."""

    def round(self, material: Any) -> float:
        """One round on what a lesson taught; its loss."""

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a planner's policy is trained."""

    taught: Callable[[Lesson], Any]
    """What the worlds of a lesson teach; asked of workers, so that it needs no torch and is found by its name."""
    joined: Callable[[Sequence[Any]], Any]
    """What the parts of a lesson taught, in their order, as one."""
    training: str
    """Where its training is made of a seed: `module:name`, imported when it is asked for."""
    walks: int = WALKS
    """Ways among which its planner chooses."""

    def begun(self, seed: int) -> Training:
        """Its training. Raises `RunError` where torch is not installed."""
        module, name = self.training.split(":")
        try:
            made: Training = vars(import_module(module))[name](seed)
        except ImportError:
            raise RunError(
                "training needs torch, which is not installed: pip install 'layerlift[learn]' (plans need none)"
            ) from None
        return made


_HERE: Final = "layerlift.emulator.studies.learning"
METHODS: Final[Mapping[str, Method]] = {
    "dil": Method(examples.taught, examples.joined, f"{_HERE}.training:Training"),
    "ddlo": Method(shown.taught, shown.joined, f"{_HERE}.proposals.training:Training"),
    "drl": Method(episodes.taught, episodes.joined, f"{_HERE}.reinforced.reinforcement:Reinforcement"),
    "meta_drl": Method(places.taught, places.joined, f"{_HERE}.meta.training:Reptile"),
    "meta_drl_plain": Method(places.taught, places.joined, f"{_HERE}.meta.training:Plain"),
    "ddpqn": Method(episodes.taught, episodes.joined, f"{_HERE}.reinforced.prioritised:Prioritised"),
}
LITERAL: Final[Mapping[str, Method]] = {
    "dil": Method(shown.taught, shown.joined, f"{_HERE}.letters.dil:Training", walks=Dil.LITERAL_WALKS),
    "ddlo": Method(shown.taught, shown.joined, f"{_HERE}.letters.ddlo:Training", walks=Ddlo.LITERAL_WALKS),
    "drl": Method(routes.taught, episodes.joined, f"{_HERE}.reinforced.idrqn:Idrqn", walks=1),
    "meta_drl": Method(places.taught, places.joined, f"{_HERE}.meta.mrlco:Mrlco", walks=1),
    "ddpqn": Method(routes.taught, episodes.joined, f"{_HERE}.reinforced.ddpqn:LiteralDdpqn", walks=1),
}
"""Those of the publications."""


def method(planner: str, literal: bool = False) -> Method:
    """How a planner's policy is trained. Raises `PlanError` for one that cannot be."""
    known = LITERAL if literal else METHODS
    if planner not in known:
        what = " to the letter" if literal and planner in METHODS else ""
        others = known if literal else [*known, "crowd"]
        raise PlanError(
            f"planner {planner!r:.60} cannot be trained{what}, expected one that can{near(planner, others)}"
        )
    return known[planner]
