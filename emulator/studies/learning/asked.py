"""`train`: what a program calls, and what `layerlift train` calls for it, whatever the planner learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

from layerlift.emulator.results.places import folder_of
from layerlift.emulator.studies.learning.crowd.course import Goal
from layerlift.emulator.studies.learning.crowd.rollouts import CROWDS
from layerlift.emulator.studies.learning.crowd.study import MINUTES as CROWD_MINUTES
from layerlift.emulator.studies.learning.crowd.study import train_crowd
from layerlift.emulator.studies.learning.lasting import check_flags
from layerlift.emulator.studies.learning.result import Progress, Trained
from layerlift.emulator.studies.learning.study import MINUTES
from layerlift.emulator.studies.learning.study import train as train_walker
from layerlift.emulator.studies.learning.worlds import FAMILIES, HOLD_OUT
from layerlift.models.errors import RunError, quoted

CROWD: Final = "crowd"
Names = str | Sequence[str]
"""Several, or one; `a,b` is two."""


class _Common(TypedDict):
    """What all trainings are asked for."""

    rounds: int | None
    workers: int
    address: str | None
    seed: int
    out: Path
    resume: bool
    force: bool
    progress: Progress | None


def train(
    planner: str = "dil",
    *,
    worlds: Names | None = None,
    networks: Names | None = None,
    hold_out: Names | None = None,
    goal: Goal | None = None,
    literal: bool = False,
    minutes: float | None = None,
    rounds: int | None = None,
    workers: int = 1,
    address: str | None = None,
    seed: int = 1,
    out: Path | str | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train the policy of a planner that learns, and write it, its curve and a page to `out` (`trained-PLANNER`).

    Takes `minutes` (10; of `crowd` 30), or so many `rounds` in all: the same seed and rounds give the same policy,
    whoever draws the worlds (`workers`, or a Ray cluster at `address`), and gone on with (`resume`) too. `worlds` are
    families to train on, `networks` those to train on, `hold_out` those that are measured alone; `goal` ("ratio" or
    "latency") is of `crowd` alone. `literal` trains what the publication describes. Needs torch, but for `crowd`.
    An interrupted training answers what its last whole round made: then it is not `complete`. The result's
    `sentences()` say what it is worth, and `policy_path` where the policy is. Raises a `LayerliftError`.
    """
    if not isinstance(planner, str):
        raise RunError(f"planner is {quoted(planner, 80)}, expected the name of one that learns, such as dil")
    folder = Path(f"trained-{planner}") if out is None else folder_of(out, "training")
    if progress is not None and not callable(progress):
        raise RunError(f"progress is {quoted(progress, 80)}, expected a function of the result so far and a share")
    check_flags({"literal": literal, "resume": resume, "force": force})
    common: _Common = {
        "rounds": rounds, "workers": workers, "address": address, "seed": seed, "out": folder, "resume": resume,
        "force": force, "progress": progress,
    }  # fmt: skip
    if planner == CROWD:
        if literal or networks is not None or hold_out is not None:
            raise RunError(
                "crowd knows no networks, hold_out or literal: its worlds say which networks there are, name families "
                "of them as worlds"
            )
        return train_crowd(
            "ratio" if goal is None else goal,
            worlds=_names("worlds", worlds, (CROWDS,)),
            minutes=CROWD_MINUTES if minutes is None else minutes,
            **common,
        )
    if goal is not None:
        raise RunError(f"goal is of crowd alone, expected none for {planner}")
    return train_walker(
        planner,
        worlds=_names("worlds", worlds, FAMILIES),
        networks=_names("networks", networks, ()),
        hold_out=_names("hold_out", hold_out, HOLD_OUT),
        minutes=MINUTES if minutes is None else minutes,
        literal=literal,
        **common,
    )


def _names(what: str, given: Any, otherwise: Sequence[str]) -> tuple[str, ...]:
    """The names in a text or a list, each once. Raises `RunError` for what is neither."""
    if given is None:
        return tuple(otherwise)
    example = "lone_random" if what == "worlds" else "alexnet"
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(text, str) for text in listed):
        raise RunError(f"{what} is {quoted(given, 80)}, expected names such as {[example]}")
    names = (name.strip() for text in listed for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
