"""Pictures of networks, and of plans for them, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading.disk_cache import write_bytes
from layerlift.models.report import drawing
from layerlift.models.report.sketch import Placed


def check_svg(path: Path) -> None:
    """Raise `RunError` unless `path` can be one of a picture: before anything is reckoned that takes long."""
    if path.suffix.lower() != ".svg":
        raise RunError(f"--graph {path} was given; expected a file that ends in .svg")


def draw(graph: LayerGraph, path: Path, plan: Placed | None = None) -> None:
    """Write a picture of a network, with a plan on top where one is given. Raises a `LayerliftError` if it cannot."""
    check_svg(path)
    write_bytes(path, drawing.svg(graph, plan).encode())


def draw_plan(world: World, told: dict[str, Any], path: Path) -> None:
    """Write a picture of what `plan_report.explain` has told of a user: which layer runs where, and what is sent."""
    user = next(spec.index for spec in world.users if spec.name == told["user"])
    problem = problem_of(world, user)
    number = {name: node for node, name in enumerate(problem.nodes)}
    placement = [number[segment["node"]] for segment in told["segments"] for _ in segment["layers"]]
    draw(problem.graph, path, Placed(placement, problem.nodes))
