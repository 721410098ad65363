"""The plan that a user of a scenario would get, explained: what moves where, in which parts, and what each brings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.planning.asking import Asker
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.period import promised_period_s
from layerlift.emulator.planning.problems import planned_with, problem_of
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.report.formatting import NOTHING, count, dollars, joules, seconds, size
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import PlanError, RunError, near
from layerlift.models.graph.graph import LayerGraph
from layerlift.planners import Plan, Problem, evaluate, latency, make, timeline
from layerlift.planners.cost.coordination import spans_of
from layerlift.planners.cost.query import latency_on
from layerlift.planners.cost.slow_start import Connections
from layerlift.planners.registry.combine import Combined


def explain(world: World, user: str) -> dict[str, Any]:
    """Plan for a user, by name, as its planner node would while no server holds or runs anything; all in JSON's terms.

    Users who are planned jointly with it are. Times are seconds since the first part is sent, on idle links.
    Raises `RunError` for a user that the world has not, `PlanError` when the planner fails.
    """
    spec, together, _, problem, outcome, took_s = asked(world, user)
    names = [each.name for each in world.users]
    exact = replace(world, planning=replace(world.planning, predictions="exact"))
    return {
        "scenario": world.name,
        "user": user,
        "client": world.nodes[spec.client].name,
        "model": world.models[spec.model].name,
        "planner": spec.planner,
        "sources": sources(spec.planner),
        "planned_with": [names[index] for index in together if index != spec.index],
        "note": outcome.note,
        "planning_s": took_s,
        "local_s": outcome.local_s,
        "predicted_s": outcome.predicted_s,
        "deadline_s": problem.objective.deadline_s,
        **_terms(problem, outcome.placement),
        "period_s": promised_period_s(world, spec, problem, outcome.placement),
        "true_s": latency(problem_of(exact, spec.index), outcome.placement),
        "rested_s": latency_on(problem_of(exact, spec.index), outcome.placement, Connections(), 0.0),
        **_parts(problem, Plan(outcome.placement, outcome.uploads, whole=outcome.whole)),
    }


def _terms(problem: Problem, placement: tuple[int, ...]) -> dict[str, Any]:
    """What the objective may weigh beside latency, of a query alone; and how well it all goes together."""
    found = evaluate(problem, placement)
    return {
        "energy_j": found.energy_j,
        "money": found.money,
        "node_balance": found.balance,
        "coordination": spans_of(problem).degree(found.latency_s, found.energy_j, found.money),
    }


class Asked(NamedTuple):
    """A user's question, and what its planner says."""

    spec: UserSpec
    together: tuple[int, ...]
    """The users who are planned with it, itself among them."""
    place: int
    """Where in `together` it is."""
    problem: Problem
    outcome: PlanOutcome
    took_s: float


def asked(world: World, user: str) -> Asked:
    """Ask for a user's plan. Raises as `explain` does."""
    names = [spec.name for spec in world.users]
    if user not in names:
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise RunError(f"the scenario has no user {user!r}, it has {shown}{near(user, names)}")
    spec = world.users[names.index(user)]
    together = planned_with(world, spec.index)
    problems = tuple(problem_of(world, index) for index in together)
    place = together.index(spec.index)
    job = PlanJob(
        0.0, 0, spec.planner, problems[place], problems if len(problems) > 1 else (), place, world.planning.literal
    )
    asker = Asker(world.seed, world.planning.plan_timeout_s)
    with closing(asker):
        found = asker.ask(job)
    outcome = found.outcomes[place]
    if outcome.reason:
        raise PlanError(f"planner {spec.planner} failed for {user}: {found.raised or outcome.reason}")
    return Asked(spec, together, place, problems[place], outcome, found.took_s)


def sources(planner: str) -> list[str]:
    """What to cite for a planner, or for both halves of a pair."""
    made = make(planner)
    halves = (made.offloading, made.uploading) if isinstance(made, Combined) else (made,)
    told = [str(half.cite()) for half in halves if hasattr(half, "cite")]
    return [cite for cite in dict.fromkeys(told) if cite]


def _parts(problem: Problem, plan: Plan) -> dict[str, Any]:
    graph, times = problem.graph, timeline(problem, plan)
    segments = [
        {
            "node": problem.nodes[segment.node],
            "tier": problem.tiers[segment.node],
            "layers": [graph.layers[layer].name for layer in range(segment.first, segment.last + 1)],
            "operators": _operators(graph, range(segment.first, segment.last + 1)),
        }
        for segment in graph.segments(plan.placement)
    ]
    uploads = [
        {
            "part": number,
            "server": problem.nodes[upload.server],
            "layers": [graph.layers[layer].name for layer in upload.layers],
            "runs": _runs([graph.layers[layer].name for layer in upload.layers], upload.layers),
            "operators": _operators(graph, upload.layers),
            "bytes": times.bytes[number],
            "sent_s": times.sent_s[number],
            "confirmed_s": times.confirmed_s[number],
            "latency_s": times.latency_at(times.confirmed_s[number]),
        }
        for number, upload in enumerate(plan.uploads)
    ]
    return {
        "whole": plan.whole,
        "p1_layers": len(plan.p1),
        "p2_layers": len(plan.p2),
        "segments": segments,
        "uploads": uploads,
        "upload_bytes": times.total_bytes,
        "upload_s": times.ended_s,
        "queries_during_upload": times.queries_during_upload,
    }


def _runs(names: Sequence[str], layers: Sequence[int]) -> list[str]:
    """Layers as a person reads them: runs of neighbours are `first..last`."""
    begins = [k for k, layer in enumerate(layers) if k == 0 or layers[k - 1] != layer - 1]
    spans = zip(begins, [*begins[1:], len(layers)], strict=True)
    return [_span(names[first:end]) for first, end in spans]


def _operators(graph: LayerGraph, layers: Iterable[int]) -> dict[str, int]:
    """Operators with parameters among some layers, and how many: what a part is uploaded for."""
    return dict(Counter(graph.layers[layer].op_type for layer in layers if graph.layers[layer].parameters))


def _named(operators: Mapping[str, int]) -> str:
    return ", ".join(name if number == 1 else f"{number} {name}" for name, number in operators.items())


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def show(told: dict[str, Any], console: Console) -> None:
    """Print what `explain` found."""
    _head(told, console)
    if told["uploads"]:
        console.print()
        console.print(_table(told))
        console.print()
        during = count(told["queries_during_upload"], "query")
        _say(
            console,
            f"{size(told['upload_bytes'])} in {count(len(told['uploads']), 'part')}, all confirmed after "
            f"{seconds(told['upload_s'])}; {during} asked back to back would be answered by then.",
        )
        if told["whole"]:
            _say(console, "The planner wants the parts used only when all of them are confirmed.")
    if told["rested_s"] > told["true_s"]:
        _say(console, f"After a pause a query takes {seconds(told['rested_s'])}: idle connections begin slowly.")
    _say(console, "Reckoned with idle servers and links; in a run, others may use them.", "dim")


def _head(told: dict[str, Any], console: Console) -> None:
    layers = told["p1_layers"] + told["p2_layers"]
    _say(console, f"{told['user']} on {told['client']} asks {told['model']}; planned by {told['planner']}", "bold")
    for source in told["sources"]:
        _say(console, f"Source: {source}", "dim")
    if told["planned_with"]:
        _say(console, f"Planned together with {', '.join(told['planned_with'])}.")
    if told["note"]:
        _say(console, f"The planner says: {told['note']}")
    console.print()
    gain = told["local_s"] / told["predicted_s"] if told["predicted_s"] else 1.0
    _say(
        console,
        f"A query takes {seconds(told['local_s'])} with all {layers} layers here and {seconds(told['predicted_s'])} "
        f"with the plan, {gain:.3g} times less.",
    )
    if told["deadline_s"] is not None and told["predicted_s"] > told["deadline_s"]:
        _say(console, "See what other plans offer with --front.")
    if told["true_s"] != told["predicted_s"]:
        _say(console, f"That is predicted: by the servers' true costs it takes {seconds(told['true_s'])}.")
    if told["period_s"] is not None:
        _say(console, f"Asked back to back, one is answered every {seconds(told['period_s'])}, with enough in flight.")
    if told["energy_j"] or told["money"]:
        _say(
            console,
            f"It draws {joules(told['energy_j'])} and costs {dollars(told['money'])}; the three go together to "
            f"{told['coordination']:.2f} (coordination, at most 1), with servers used unevenly by a cv of "
            f"{told['node_balance']:.2f}.",
        )
    for segment in told["segments"]:
        moved = segment["node"] != "client"
        where = f"P1 on {segment['node']} ({segment['tier']})" if moved else "P2 here"
        names = segment["layers"]
        inside = [count(len(names), "layer"), *([_named(segment["operators"])] if segment["operators"] else [])]
        _say(console, f"  {where}: {_span(names)} ({': '.join(inside)})")


def _table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("P3", justify="right")
    for name in ("to", "layers", "with parameters"):
        table.add_column(name, overflow="fold")
    for name in ("bytes", "sent", "confirmed", "a query"):
        table.add_column(name, justify="right")
    table.add_row("", "", "none yet", "", NOTHING, NOTHING, NOTHING, seconds(told["local_s"]))
    for part in told["uploads"]:
        times = (seconds(part[key]) for key in ("sent_s", "confirmed_s", "latency_s"))
        what = (part["server"], ", ".join(part["runs"]), _named(part["operators"]))
        cells = (str(part["part"] + 1), *what, size(part["bytes"]), *times)
        table.add_row(*map(Text, cells))
    return table


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style))
