"""`layerlift plan`: what a user's planner would do, and why it is worth it."""

from __future__ import annotations

import json
from typing import Final

import click

from layerlift.emulator.report.plan_report import explain, show
from layerlift.emulator.report.screen import screen
from layerlift.emulator.results.writer import jsonable
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.document import Given


@click.command("plan")
@click.argument("scenario")
@click.option("--user", help="Whose plan, such as user-2.  [default: the first user's]")
@click.option("--planner", help="Plan every user with this planner, e.g. pso+recursive or my_module:MyPlanner.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option("--allow-code", is_flag=True, help="Let the scenario's file name planners and policies as module:Class.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def plan(
    scenario: str, user: str | None, planner: str | None, settings: tuple[str, ...], allow_code: bool, as_json: bool
) -> None:
    """Explain the plan that a user of SCENARIO would get: P1 and P2, each P3, and the delay after each.

    SCENARIO is a bundled scenario (see `layerlift scenarios`) or a YAML file. Nothing is run.
    """
    loaded = Scenario.load(scenario, settings, allow_code=allow_code)
    if planner is not None:
        told = f"--planner {planner}"
        every = [Given.by(told, f"users.{number}.planner={planner}") for number in range(len(loaded.users))]
        loaded = Scenario.load(scenario, [*settings, *every], allow_code=allow_code)
    world = loaded.resolve()
    found = explain(world, user if user is not None else world.users[0].name)
    if as_json:
        click.echo(json.dumps(jsonable(found), indent=1))
    else:
        show(found, screen())


COMMANDS: Final[list[click.Command]] = [plan]
