"""`layerlift planners` lists the planners, explains one, or puts one through the conformance kit."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from models.errors import LayerliftError, PlanError
from planners import registry
from planners.registry import Spec
from planners.testing import findings


@click.command("planners")
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Put NAME (or a pair, or module:Class) through the conformance kit.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def planners(name: str | None, check: bool, as_json: bool) -> None:
    """List the planners; with NAME, explain one and its options.

    A planner is written NAME[:option=value,...], two halves PLACING+ORDERING (as in min_cut+recursive), or
    module:Class for your own.
    """
    console = Console()
    if check:
        _check(console, name)
    elif name is not None:
        _explain(console, registry.spec(name), as_json)
    else:
        _list(console, as_json)


def _list(console: Console, as_json: bool) -> None:
    with warnings.catch_warnings(record=True) as broken:
        warnings.simplefilter("always")
        rows = [_facts(found) for found in registry.specs()]
    for each in broken:
        click.echo(f"Skipped: {each.message}", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("planner", "does", "networks", "servers", "users", "optimises", "source", title="Planners")
    for row in rows:
        table.add_row(
            row["name"],
            "places and orders" if row["orders"] else "places",
            "any" if row["handles_dag"] else "chains",
            "many" if row["multi_server"] else "places on one, orders for many" if row["orders"] else "one",
            "together" if row["multi_user"] else "one by one",
            row["optimises"],
            row["cite"],
        )
    console.print(table)
    console.print(
        "[dim]layerlift planners NAME explains one; PLACING+ORDERING combines two, as in min_cut+recursive[/dim]"
    )


def _explain(console: Console, found: Spec, as_json: bool) -> None:
    facts = _facts(found)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    console.print(f"[bold]{found.name}[/bold]  ({found.source})")
    console.print(inspect.getdoc(found.load()) or "", markup=False)
    if facts["cite"]:
        console.print(f"\nSource: {facts['cite']}", markup=False)
    if not facts["options"]:
        console.print("\nIt takes no options.")
        return
    table = Table("option", "type", "default", title=f"Options: {found.name}:option=value,option=value")
    for option in facts["options"]:
        table.add_row(option["name"], option["type"], option["default"])
    console.print(table)


def _facts(found: Spec) -> dict[str, Any]:
    return {
        "name": found.name,
        "from": found.source,
        "orders": found.uploads,
        **{key: found.attribute(key) for key in ("handles_dag", "multi_server", "multi_user", "optimises")},
        "cite": found.cite(),
        "options": [
            {
                "name": option.name,
                "type": option.type_name,
                "default": "required" if option.required else _shown(option.default),
            }
            for option in found.options.values()
        ],
    }


def _check(console: Console, name: str | None) -> None:
    if name is None:
        raise PlanError("--check needs a planner, as in layerlift planners my_module:MyPlanner --check")
    met, troubles = 0, []
    for finding in findings(name):
        met += not finding.trouble
        if finding.trouble:
            troubles.append(f"{finding.problem}: {finding.demand}: {finding.trouble}")
    for trouble in troubles:
        console.print(trouble, markup=False)
    if troubles:
        raise LayerliftError(f"{name} does not meet {len(troubles)} demands of the conformance kit (above)")
    console.print(f"{name} meets all {met} demands of the conformance kit.", markup=False)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


COMMANDS: Final[list[click.Command]] = [planners]
