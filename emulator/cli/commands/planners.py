"""`layerlift planners` lists the planners, explains one, or puts one through the conformance kit."""

from __future__ import annotations

import json
import warnings
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from layerlift.emulator.report.plugins import explain, facts_of, tell_check
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.models.errors import PlanError
from layerlift.planners import registry
from layerlift.planners.registry.planners import Spec
from layerlift.planners.testing import findings


@click.command("planners")
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Put NAME (or a pair, or module:Class) through the conformance kit.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def planners(name: str | None, check: bool, as_json: bool) -> None:
    """List the planners; with NAME, explain one and its options.

    A planner is written NAME[:option=value,...], two halves PLACING+ORDERING (as in min_cut+recursive), or
    module:Class for your own.
    """
    console = screen()
    if check:
        _check(console, name)
    elif name is not None:
        found = registry.asked(name)
        explain(console, found, _facts(found), as_json)
    else:
        _list(console, as_json)


def _list(console: Console, as_json: bool) -> None:
    with warnings.catch_warnings(record=True) as broken:
        warnings.simplefilter("always")
        rows = [_facts(found) for found in registry.specs()]
    for each in broken:
        echo(f"Skipped: {each.message}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("planner", "does", "networks", "servers", "users", "optimises", title="Planners")
    for row in rows:
        table.add_row(
            row["name"],
            "places and orders" if row["orders"] else "places",
            "any" if row["handles_dag"] else "chains",
            "many" if row["multi_server"] else "places on one, orders for many" if row["orders"] else "one",
            "together" if row["multi_user"] else "one by one",
            row["optimises"],
        )
    console.print(table)
    console.print(
        "layerlift planners NAME explains one and names its source; PLACING+ORDERING combines two, as in "
        "min_cut+recursive; module:Class is one of your own",
        style="dim",
    )


def _facts(found: Spec) -> dict[str, Any]:
    capabilities = ("handles_dag", "multi_server", "multi_user", "optimises")
    return {"orders": found.uploads, **facts_of(found, capabilities)}


def _check(console: Console, name: str | None) -> None:
    if name is None:
        raise PlanError("--check needs a planner, as in layerlift planners my_module:MyPlanner --check")
    tell_check(console, name, ((each.problem, each.demand, each.trouble) for each in findings(name)))


COMMANDS: Final[list[click.Command]] = [planners]
