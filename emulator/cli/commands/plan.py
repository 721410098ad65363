"""`layerlift plan`: what a user's planner would do, and why it is worth it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.chart import check as check_chart
from layerlift.emulator.report.front_report import draw_front, front_report, show_front
from layerlift.emulator.report.network_picture import check_svg, draw_plan
from layerlift.emulator.report.plan_report import explain, show
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.results.writer import jsonable
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.document import Given


@click.command("plan")
@click.argument("scenario")
@click.option("--user", help="Whose plan, such as user-2.  [default: the first user's]")
@click.option("--planner", help="Plan every user with this planner, e.g. pso+recursive or my_module:MyPlanner.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option(
    "--front", metavar="TERMS", help="Show what trades for what instead: two or three of latency,energy,money,period."
)
@click.option("--by", metavar="PLANNER", help="With --front, also the front that this planner draws, such as dil.")
@click.option("--chart", type=FilePath(), help="With --front, also draw it: .html, .svg or .png.")
@click.option(
    "--graph", "picture", type=FilePath(), help="Also draw the network, coloured by who runs what, with its cuts: .svg."
)
@click.option("--allow-code", is_flag=True, help="Let the scenario's file name planners and policies as module:Class.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def plan(
    scenario: str,
    user: str | None,
    planner: str | None,
    settings: tuple[str, ...],
    front: str | None,
    by: str | None,
    chart: Path | None,
    picture: Path | None,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Explain the plan that a user of SCENARIO would get: P1 and P2, each P3, and the delay after each.

    SCENARIO is a bundled scenario (see `layerlift scenarios`) or a YAML file. Nothing is run. With --front, all
    placements that no other beats in the given terms, with the knee and today's plan; with --by, beside them what a
    planner finds of that when it is asked under some tens of weightings.
    """
    if by is not None and front is None:
        raise click.UsageError("--by names who draws a front: give --front latency,energy,money as well")
    if chart is not None and front is None:
        raise click.UsageError("--chart draws a front: give --front latency,energy,money as well")
    if picture is not None and front is not None:
        raise click.UsageError("--graph draws one plan: leave --front out, or give --chart for a picture of the front")
    if picture is not None:
        check_svg(picture)
    if chart is not None:
        check_chart(chart)
    loaded = Scenario.load(scenario, settings, allow_code=allow_code)
    if planner is not None:
        told = f"--planner {planner}"
        every = [Given.by(told, f"users.{number}.planner={planner}") for number in range(len(loaded.users))]
        loaded = Scenario.load(scenario, [*settings, *every], allow_code=allow_code)
    world = loaded.resolve()
    chosen = user if user is not None else world.users[0].name
    found: dict[str, Any]
    if front is not None:
        found = front_report(world, chosen, [term.strip() for term in front.split(",")], by)
    else:
        found = explain(world, chosen)
    if as_json:
        click.echo(json.dumps(jsonable(found), indent=1))
    elif front is not None:
        show_front(found, screen())
    else:
        show(found, screen())
    if picture is not None:
        draw_plan(world, found, picture)
        echo(f"Drawn: {picture}", err=as_json)
    if chart is not None:
        draw_front(found, chart)
        echo(f"Chart: {chart}", err=as_json)


COMMANDS: Final[list[click.Command]] = [plan]
