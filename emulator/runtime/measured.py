"""What a run with `compute: measured` measures, keeps, and can be replayed from to the same digest.

Two things are measured on the machine that runs: each network once per layer (the paper's Program 1, which every
client runs on arrival), and every piece as it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerlift.emulator.nodes.events import Answered, Piece, Stored, Together
from layerlift.emulator.results.reader import COSTS_FILE, RunResult
from layerlift.emulator.results.record import place
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError
from layerlift.models.files import bytes_digest, open_regular, read_regular
from layerlift.models.running.network import Network
from layerlift.models.timing.measuring import measure

_MOST_BYTES = 1 << 30
_PROFILE_RUNS = 3
_COSTS = pa.schema([*((name, pa.int64()) for name in ("user", "query", "step")), ("seconds", pa.float64())])

PieceCosts = Mapping[tuple[int, int, int], float]
"""Seconds of pieces by (user, query, step)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The costs of one run."""

    pieces: PieceCosts = field(default_factory=dict)
    profiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds of each layer by the name of its model, at the reference speed."""
    stopped_plans: Mapping[str, str] = field(default_factory=dict)
    """Plannings that were stopped, and why: `plan_timeout_s` is wall clock, and another time they might not be."""


def profiled_here(networks: Mapping[str, Network], notice: Callable[[str], None]) -> dict[str, tuple[float, ...]]:
    """Run every layer of every network on this machine: seconds by model. Takes seconds, for big networks some ten."""
    found: dict[str, tuple[float, ...]] = {}
    for name, network in networks.items():
        notice(f"Profiling {name} on this machine")
        found[name] = measure(network, _PROFILE_RUNS).seconds
    return found


def with_profiles(world: World, profiles: Mapping[str, tuple[float, ...]]) -> World:
    """The world whose clients profile, and whose servers predict, what was measured. Raises `RunError` if one lacks."""
    missing = [model.name for model in world.models if len(profiles.get(model.name, ())) != len(model.graph)]
    if missing:
        raise RunError(f"the replayed run holds no profile of {missing[0]}: expected the same scenario")
    models = [
        replace(model, seconds=dict.fromkeys(model.seconds, tuple(profiles[model.name])), floor_s={})
        for model in world.models
    ]
    return replace(world, models=tuple(models))


def keep(directory: Path, pieces: Sequence[tuple[tuple[int, int, int], float]]) -> str:
    """Write the costs of pieces beside a run's tables and return the file's digest; its profiles are in run.json."""
    rows = [(*key, seconds) for key, seconds in pieces]
    table = pa.table([pa.array([row[at] for row in rows], kind) for at, kind in enumerate(_COSTS.types)], schema=_COSTS)
    file = directory / COSTS_FILE
    try:
        pq.write_table(table, file)
        return bytes_digest(read_regular(file, _MOST_BYTES))
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror or error}; give another directory (--out)") from error


def measured_costs(directory: Path | str) -> Measured:
    """What a run with `compute: measured` kept in its directory. Raises `RunError` when there is nothing."""
    path = Path(directory) / COSTS_FILE
    try:
        with open_regular(path, _MOST_BYTES) as file:
            table = pq.read_table(file).cast(_COSTS)
        table.validate(full=True)
        columns = table.to_pydict()
    except (OSError, ValueError, pa.ArrowException) as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:80]
        raise RunError(
            f"{place(path)} cannot be read: expected the costs of a run with compute: measured ({said})"
        ) from error
    if not all(seconds is not None and 0 <= seconds < math.inf for seconds in columns["seconds"]):
        raise RunError(f"{place(path)} holds costs that are no seconds: expected those that the run measured")
    keys = zip(columns["user"], columns["query"], columns["step"], strict=True)
    run = RunResult.load(Path(directory)).run
    profiles = run.get("profiles") or {}
    pieces = dict(zip(keys, columns["seconds"], strict=True))
    return Measured(pieces, {name: tuple(each) for name, each in profiles.items()}, stopped_plans(run))


def stopped_plans(run: Mapping[str, Any]) -> dict[str, str]:
    """What a run.json says of plannings that were stopped. Raises `RunError` where that is no table of texts."""
    told = run.get("stopped_plans", {})
    if not isinstance(told, dict) or not all(isinstance(reason, str) for reason in told.values()):
        raise RunError("run.json has stopped_plans that are no texts by name: expected what a run writes")
    return told


class Replay:
    """A data plane that runs nothing: measured costs come from an earlier run."""

    def __init__(self, costs: Measured) -> None:
        self._costs = costs.pieces

    def store(self, stored: Stored) -> None:
        """See `DataPlane`."""

    def execute(self, piece: Piece) -> None:
        """See `DataPlane`."""

    def execute_together(self, together: Together) -> None:
        """See `DataPlane`."""

    def answered(self, answered: Answered) -> None:
        """See `DataPlane`."""

    def forget(self, user: int, query: int) -> None:
        """See `DataPlane`."""

    def measure(self, piece: Piece) -> float:
        """The cost that the earlier run measured. Raises `RunError` for a piece that it did not have."""
        try:
            return self._costs[piece.user, piece.query, piece.step]
        except KeyError:
            raise RunError(
                f"the replayed run measured no cost for user {piece.user}, query {piece.query}, step {piece.step}: "
                "expected the same scenario and seed"
            ) from None
