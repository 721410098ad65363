"""docs/learned.md: the policies that ship, trained again as they say of themselves, and compared number by number.

`python -m benchmarks.learning.retrained dil ddlo` trains these two (all but those of `crowd` when none is named; torch
is needed for all but `crowd_ratio` and `crowd_latency`) and prints the table; `--keep FOLDER` leaves what was trained.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.docs.blocks import table
from benchmarks.learning.adaptation import CONTROL
from layerlift.emulator.studies.learning.asked import train
from layerlift.emulator.studies.learning.crowd.course import Goal
from layerlift.models.errors import LayerliftError, RunError, near
from layerlift.models.sums import int_sum
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.crowd.mixtures import MIXTURE
from layerlift.planners.learned.flips import FLIPS
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import STEPS

KINDS: Final = (STEPS, FLIPS, MIXTURE)
WALKING: Final = ("dil", "ddlo", "drl", "ddpqn", "meta_drl", "meta_drl_plain")
NAMES: Final = (*WALKING, "crowd_ratio", "crowd_latency")
VERSIONS: Final = ("layerlift", "python", "torch", "numpy", "onnx", "onnxruntime", "machine")
"""What a policy says it was made with, where that may matter."""


@dataclass(frozen=True)
class Again:
    """A policy that ships, and the one that its own metadata trains."""

    name: str
    ships: bytes
    made: bytes

    @property
    def weights(self) -> tuple[Weights, Weights]:
        """Both, parsed."""
        return read(self.ships), read(self.made)

    def differing(self) -> int:
        """How many numbers are not the same; all of them where the policies have not the same form."""
        one, other = (weights.tables for weights in self.weights)
        if {name: each.shape for name, each in one.items()} != {name: each.shape for name, each in other.items()}:
            return max(weights.parameters for weights in self.weights)
        return int_sum(int(np.count_nonzero(one[name] != other[name])) for name in one)

    def others(self) -> list[str]:
        """Versions that are others than those of the policy that ships."""
        then, now = (weights.notes for weights in self.weights)
        pairs = [(key, then.get(key, "none"), now.get(key, "none")) for key in VERSIONS]
        return [f"{key} {old}, now {new}" for key, old, new in pairs if old != new]

    def line(self) -> list[str]:
        """A line of the table."""
        ships, differing = self.weights[0], self.differing()
        told = f"{differing} of {ships.parameters}" if differing else "none"
        others = ", ".join(self.others()) or "the same"
        return [f"`{self.name}`", ships.notes["rounds"], str(ships.parameters), told, others]


def read(content: bytes) -> Weights:
    """A policy of any kind that is trained here."""
    return policy_file.parsed(content, KINDS)


def ships(name: str) -> bytes:
    """The file of a policy that ships, or that a table of docs/learned.md is made with."""
    return CONTROL.read_bytes() if name == CONTROL.stem else policy_file.shipped(name)


def again(name: str, folder: Path) -> Again:
    """Train a policy as its own metadata says, into a folder."""
    content = ships(name)
    notes = read(content).notes
    print(f"training {name} again, {notes['rounds']} rounds", file=sys.stderr)
    made = train(
        notes["planner"],
        worlds=notes["worlds"],
        networks=notes.get("networks"),
        hold_out=notes.get("held_out"),
        goal=_goal(notes.get("goal")),
        seed=int(notes["seed"]),
        rounds=int(notes["rounds"]),
        out=folder,
        force=True,
    )
    if not made.complete:
        raise RunError(f"the training of {name} was interrupted: there is nothing to compare")
    return Again(name, content, made.policy_path.read_bytes())


def _goal(text: str | None) -> Goal | None:
    return "ratio" if text == "ratio" else "latency" if text == "latency" else None


def compared(names: Sequence[str] = WALKING, keep: Path | None = None) -> list[Again]:
    """Each policy trained again; into folders of `keep` that stay, else into some that do not."""
    with ExitStack() as stack:
        folder = keep if keep is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        return [again(name, folder / name) for name in names]


def told(made: Sequence[Again]) -> str:
    """How many are the same, and the table."""
    same = int_sum(each.differing() == 0 for each in made)
    heads = ["policy", "rounds", "parameters", "numbers that differ", "versions"]
    return (
        f"{same} of {len(made)} come out the same, number by number.\n\n{table(heads, [each.line() for each in made])}"
    )


def block() -> str:
    """What docs/learned.md says of it."""
    return told(compared())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a policy is another, 2 where it cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.retrained", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave what was trained there")
    given = parser.parse_args(arguments)
    try:
        for name in given.names:
            if name not in NAMES:
                raise RunError(f"no policy is called {name!r}{near(name, NAMES)}: expected one of {', '.join(NAMES)}")
        made = compared(given.names or WALKING, given.keep)
    except LayerliftError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(told(made))
    return int(any(each.differing() for each in made))


if __name__ == "__main__":
    sys.exit(main())
