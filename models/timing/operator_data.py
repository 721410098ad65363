"""What single operators cost: measured here once by one command, shipped as data, and scaled by the nine networks.

The shipped profiles of the nine were taken on another host, so that the file keeps what the nine take where the
operators were measured: their ratio brings both to one clock.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from layerlift.models.errors import ModelError
from layerlift.models.files import read_regular
from layerlift.models.loading import disk_cache, zoo
from layerlift.models.loading.load import load
from layerlift.models.timing import operator_cases, this_machine
from layerlift.models.timing.generating import Case, Timed, timed
from layerlift.models.timing.measuring import timed as run_times
from layerlift.models.timing.operator_classes import generated_features
from layerlift.models.timing.profiles import reference

FORMAT: Final = 1
COMMAND: Final = "layerlift predict --measure"
_MOST_BYTES: Final = 64 << 20
_PASSES, _RUNS = 3, 10
_NOTHING_S: Final = 2e-7
"""Less than this no kernel takes: another process disturbed the difference."""
_SHORT_S: Final = 1e-5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OperatorTimes:
    """Seconds of single operators on one host, and of the nine networks on the same."""

    host: str
    networks: Mapping[str, float]
    """Least thread CPU seconds of the uncut networks of the zoo."""
    rows: tuple[Timed, ...]

    def scaled(self) -> list[Timed]:
        """The rows as the host of the shipped profiles would take them: by the ratio of the networks' totals."""
        there = math.fsum(reference(load(name)).uncut_s for name in self.networks)
        ratio = there / math.fsum(self.networks.values())
        return [Timed(row.kind, row.seconds * ratio, row.features) for row in self.rows]

    def save(self, path: Path) -> None:
        """Write it as JSON, a row a line, atomically."""
        head = {"format": FORMAT, "made_by": COMMAND, "host": self.host, "networks": dict(self.networks)}
        rows = ",\n  ".join(json.dumps([row.kind, row.seconds, _whole(row.features)]) for row in self.rows)
        disk_cache.write_bytes(path, f'{json.dumps(head, indent=1)[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'.encode())

    @classmethod
    def parse(cls, text: str, origin: str) -> OperatorTimes:
        """What `save` wrote. Raises `ModelError` when it is damaged; `origin` names it."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']}")
            rows = tuple(Timed(str(kind), float(s), _floats(found)) for kind, s, found in body["rows"])
            found = cls(str(body["host"]), _floats(body["networks"]), rows)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{origin} has no operators' times ({type(error).__name__}: {str(error)[:60]}); make it "
                f"again with {COMMAND}"
            ) from None
        seconds = [*found.networks.values(), *(row.seconds for row in rows)]
        if (
            not rows
            or set(found.networks) != set(zoo.classics())
            or not all(math.isfinite(s) and s > 0 for s in seconds)
        ):
            raise ModelError(f"{origin} lacks rows, networks or times above 0; make it again with {COMMAND}")
        return found

    @classmethod
    def load(cls, path: Path) -> OperatorTimes:
        """Read a file. Raises `ModelError`."""
        try:
            return cls.parse(read_regular(path, _MOST_BYTES).decode("utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"the operators' times {path} cannot be read: {error}") from None


@cache
def shipped() -> OperatorTimes:
    """The times that ship with the project, from which `layerlift predict --train` makes the shipped regressions."""
    text = resources.files("layerlift.models").joinpath("data", "operators.json").read_text()
    return OperatorTimes.parse(text, "the shipped file of operators' times")


def measured(progress: Progress = lambda done, total: None, cases: Iterable[Case] | None = None) -> OperatorTimes:
    """Measure all cases (`layerlift.models.timing.operator_cases`) and the nine networks on this machine.

    Each case in several passes, far apart in time (`_settled`); what was disturbed in most is left out.
    """
    chosen = list(operator_cases.cases() if cases is None else cases)
    total = len(chosen) * _PASSES
    passes: list[list[Timed]] = []
    for number in range(_PASSES):
        passes.append([])
        for at, case in enumerate(chosen):
            passes[-1].append(timed(case))
            progress(number * len(chosen) + at + 1, total)
    rows = []
    for times in zip(*passes, strict=True):
        sound = [row.seconds for row in times if row.seconds > _NOTHING_S]
        if 2 * len(sound) > len(times):
            rows.append(kept(times[0].kind, _settled(sound), times[0].features))
    networks = {name: round(min(run_times(load(name), _RUNS, "off", lambda: None)), 9) for name in zoo.classics()}
    return OperatorTimes(f"{this_machine.description()}, {this_machine.clock_ghz()} GHz", networks, tuple(rows))


def _settled(seconds: Sequence[float]) -> float:
    """The least of several passes, for nothing makes a kernel faster than it is; the middle one where the least is so
    short, or so far below, that it is rather the few copies that were disturbed.
    """
    least, middle = min(seconds), statistics.median(seconds)
    return least if middle > _SHORT_S and 2 * least > middle else middle


def kept(kind: str, seconds: float, features: Mapping[str, float]) -> Timed:
    """A row with what its regression is over, and no more; seconds rounded to 1 ns."""
    return Timed(kind, round(seconds, 9), {name: features.get(name, 0.0) for name in generated_features(kind)})


def _floats(entries: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in entries.items()}


def _whole(features: Mapping[str, float]) -> dict[str, int]:
    """Features are counts: written as whole numbers, they are the same everywhere."""
    return {name: round(value) for name, value in features.items() if value}
