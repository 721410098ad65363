"""What a training has come to: the policy, the curve, where they were written; shown as text, table and page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from layerlift.emulator.results.notebook import html_table
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.kept import Record
from layerlift.emulator.studies.learning.page import page
from layerlift.planners.learned.policy_file import Weights, written

Table = tuple[list[str], list[list[str]]]
"""Heads and lines."""


@dataclass(frozen=True, repr=False)
class Trained(ABC):
    """What a training has come to so far. `layerlift.train` answers one."""

    POINT: ClassVar[type[Any]]
    """What a point of its curve is: a dataclass of plain values."""
    REMARK: ClassVar[str]
    """What is to be known of the numbers of its table."""

    asked: dict[str, Any]
    rounds: int
    cpu_s: float
    """Of what was learned from, measuring apart."""
    policy: Weights
    points: tuple[Any, ...]
    """Of its curve, a `POINT` each."""
    out: Path
    """The folder that it is written to."""
    signal: int | None = None
    """What stopped it before its time, if anything did."""
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it came to the end that was asked for."""
        return self.signal is None

    @property
    def policy_path(self) -> Path:
        """Where the policy was written: what `PLANNER:policy=FILE` takes."""
        return self.out / kept.POLICY

    @abstractmethod
    def sentences(self) -> list[str]:
        """What it is worth, in words."""

    @abstractmethod
    def standing(self) -> str:
        """Where it is, in a line."""

    @abstractmethod
    def table(self) -> Table:
        """Heads and lines of the table of all points."""

    @abstractmethod
    def chart(self) -> dict[str, Any]:
        """The curve, as Vega-Lite."""

    def as_dict(self) -> dict[str, Any]:
        """Everything but the parameters, as JSON."""
        return {
            "asked": self.asked, "rounds": self.rounds, "cpu_s": self.cpu_s, "complete": self.complete,
            "parameters": self.policy.parameters, "policy": self.policy.label, "written": str(self.policy_path),
            "sentences": self.sentences(), "points": [asdict(point) for point in self.points],
        }  # fmt: skip

    def to_arrow(self) -> Any:
        """Every point of the curve as a row of a `pyarrow.Table`: what `curve.parquet` holds."""
        return kept.table(self.points, self.POINT)

    def write(self) -> None:
        """All files, each whole or as before; what can be gone on from last. Raises `RunError`."""
        kept.put(self.out, kept.POLICY, written(self.policy))
        kept.put(self.out, kept.CURVE, kept.curve(self.points, self.POINT))
        kept.put(self.out, kept.PAGE, self.page().encode())
        kept.put(self.out, kept.STATE, kept.packed(Record(self.asked, self.arrays, self.points, self.cpu_s)))

    def page(self) -> str:
        """One page that needs no network."""
        return page(self._title, self.sentences(), self.asked, self.chart(), self.REMARK, self.table())

    @property
    def _title(self) -> str:
        return f"Training of {self.asked['planner']}"

    def __repr__(self) -> str:
        return f"<{self._title}: {' '.join(self.sentences())} In {self.out}>"

    def _repr_html_(self) -> str:
        return html_table(" ".join([*self.sentences(), f"Written to {self.policy_path}."]), *self.table())


Progress = Callable[[Trained, float], None]
"""Told what there is after a round, and the share of the time, or of the rounds, that is over."""


def notes_of(asked: Mapping[str, Any], made_by: Mapping[str, str], rounds: int, cpu_s: float) -> dict[str, str]:
    """What a policy says of its training."""
    notes = {key: ", ".join(value) if isinstance(value, list) else str(value) for key, value in asked.items()}
    return notes | dict(made_by) | {"rounds": str(rounds), "cpu_s": f"{cpu_s:.0f}"}
