"""What is compared: variants, and what was seen of each with one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from layerlift.emulator.studies.compare.metrics import Seen


class Variant(NamedTuple):
    """One row of a comparison: what differs, whatever the seed."""

    name: str
    """Told among the variants of one swept value: `pso+recursive, drf`, or the name of a run's directory."""
    planner: str
    policy: str
    value: str = ""
    """Of the swept field."""
    world: str = ""
    """Equal for variants whose users and machines are the same at the same seed: only their totals compare."""

    @property
    def label(self) -> str:
        """The name, with the swept value."""
        return f"{self.name}, {self.value}" if self.value else self.name


Status = Literal["done", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant with one seed: what was seen, or why nothing was."""

    variant: int
    """Position among the comparison's variants."""
    seed: int
    status: Status
    seen: Seen | None = None
    """None when it failed."""
    reason: str = ""
