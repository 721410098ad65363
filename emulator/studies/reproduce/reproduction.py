"""What reproducing a publication leaves: an answer, what was printed and what is seen, tables, pictures, runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.models.errors import RunError

Outcome = Literal["seen", "in part", "not seen", "not comparable"]
"""`not comparable`: the publication's numbers are of other machines or networks, or nothing of it could be read."""
Done = Callable[[], None]
"""Called after every run."""


def nothing() -> None:
    """Nobody wants to know."""


def series(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a publication says, beside what was emulated."""

    about: str
    published: str
    source: str
    """Where the printed words or numbers were read."""
    seen: str
    outcome: Outcome
    why: str
    """Why the two differ, or why they agree."""


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers as a person reads them; the first column is text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The whole. Two of the same arguments are equal, on any machine."""

    name: str
    """As the command has it: `ionn`."""
    title: str
    publication: str
    """Authors, title, place, doi."""
    answer: str
    """The sentence that comes first."""
    setting: tuple[str, ...]
    """What was run, in sentences, each of what is assumed among them."""
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    caption: str
    """What the picture shows."""
    picture: Mapping[str, Any]
    """In Vega-Lite."""
    unverified: tuple[str, ...]
    """What of the publication could not be read, so that nothing here leans on it."""
    numbers: tuple[Mapping[str, Any], ...] = field(default=())
    """What the tables are made of, in SI units."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """The digest of every run, by what was run."""

    @property
    def digest(self) -> str:
        """Of all findings, tables, numbers and runs."""
        body = json.dumps(self._body(), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(body.encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the picture, for JSON."""
        return {"layerlift": version("layerlift"), "digest": self.digest, **self._body()}

    def _body(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "publication": self.publication,
            "answer": self.answer,
            "setting": list(self.setting),
            "findings": [
                {name: getattr(each, name) for name in ("about", "published", "source", "seen", "outcome", "why")}
                for each in self.findings
            ],
            "tables": [
                {"title": each.title, "heads": list(each.heads), "rows": [list(row) for row in each.rows]}
                for each in self.tables
            ],
            "unverified": list(self.unverified),
            "numbers": [dict(each) for each in self.numbers],
            "runs": dict(self.runs),
        }


class Emulator:
    """Makes the runs of a reproduction, one after the other in this process, and keeps their digests."""

    def __init__(self, done: Done = nothing) -> None:
        self.runs: dict[str, str] = {}
        self._done, self._memory = done, PlanMemory()

    def __call__(self, label: str, description: Mapping[str, Any]) -> RunResult:
        """Run a scenario without executing layers. Raises what `run` raises, and `Stopped` for a run that was ended."""
        asked = {"name": label, "execution": "none", "sample_s": None, **description}
        result = run(Scenario.from_dict(asked), local=True, memory=self._memory)
        if not result.complete:
            raise Stopped.told(result.run)
        self.runs[label] = result.digest
        self._done()
        return result


def answered(result: RunResult) -> list[dict[str, Any]]:
    """The answered queries of a run, in the order of their answers."""
    rows = [row for row in result.queries.to_pylist() if row["status"] == "answered"]
    return sorted(rows, key=lambda row: (row["ended_s"], row["user"], row["query"]))


def settled(result: RunResult) -> dict[str, Any]:
    """The last answered query of a run: it had all that was uploaded. Raises `RunError` without one."""
    rows = answered(result)
    if not rows:
        raise RunError(f"no query of {result.run['world']['name']} was answered: expected the last one's latency")
    return rows[-1]
