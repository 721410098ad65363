"""`layerlift policies` lists the allocation policies, explains one, or puts one through the conformance kit."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from emulator.allocation import PolicyError
from emulator.policies import registry
from emulator.policies.registry import Spec
from emulator.policies.testing import findings

CAPABILITIES: Final = ("claims", "revokes", "weighs_cpu", "weighs_links", "disruptions", "starves")


@click.command("policies")
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Put NAME (or module:Class) through the conformance kit.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def policies(name: str | None, check: bool, as_json: bool) -> None:
    """List the policies by which servers divide memory, CPU and link; with NAME, explain one and its options.

    A policy is written NAME[:option=value,...], or module:Class for your own.
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
    table = Table("policy", "takes back", "weighs", "disrupted per arrival", "all get some", "source", title="Policies")
    for row in rows:
        weighed = [what for what, key in (("CPU", "weighs_cpu"), ("links", "weighs_links")) if row[key]]
        table.add_row(
            row["name"],
            "memory" if row["revokes"] else "nothing",
            " and ".join(weighed) or "nothing",
            "any" if row["disruptions"] is None else str(row["disruptions"]),
            "no" if row["starves"] else "yes",
            row["cite"],
        )
    console.print(table)
    console.print("[dim]layerlift policies NAME explains one; options may change what a policy takes back[/dim]")


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
        **{key: found.attribute(key) for key in CAPABILITIES},
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
        raise PolicyError("--check needs a policy, as in layerlift policies my_module:MyPolicy --check")
    met, troubles = 0, []
    for finding in findings(name):
        met += not finding.trouble
        if finding.trouble:
            troubles.append(f"{finding.case}: {finding.demand}: {finding.trouble}")
    for trouble in troubles:
        console.print(trouble, markup=False)
    if troubles:
        raise PolicyError(f"{name} does not meet {len(troubles)} demands of the conformance kit (above)")
    console.print(f"{name} meets all {met} demands of the conformance kit.", markup=False)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


COMMANDS: Final[list[click.Command]] = [policies]
