"""`layerlift policies` lists the allocation policies, explains one, or puts one through the conformance kit."""

from __future__ import annotations

import json
import warnings
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from layerlift.emulator.policies import registry
from layerlift.emulator.policies.allocation import PolicyError
from layerlift.emulator.policies.registry import Spec
from layerlift.emulator.policies.testing import findings
from layerlift.emulator.report.plugins import explain, facts_of, tell_check
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo

CAPABILITIES: Final = ("claims", "revokes", "weighs_cpu", "weighs_links", "disruptions", "starves")


@click.command("policies")
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Put NAME (or module:Class) through the conformance kit.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON instead.")
def policies(name: str | None, check: bool, as_json: bool) -> None:
    """List the policies by which servers divide memory, CPU and link; with NAME, explain one and its options.

    A policy is written NAME[:option=value,...], or module:Class for your own.
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
    table = Table("policy", "takes back", "weighs", "disrupted per arrival", "all get some", title="Policies")
    for row in rows:
        weighed = [what for what, key in (("CPU", "weighs_cpu"), ("links", "weighs_links")) if row[key]]
        table.add_row(
            row["name"],
            "memory" if row["revokes"] else "nothing",
            " and ".join(weighed) or "nothing",
            "any" if row["disruptions"] is None else str(row["disruptions"]),
            "no" if row["starves"] else "yes",
        )
    console.print(table)
    console.print(
        "layerlift policies NAME explains one and names its source; options may change what a policy takes back; "
        "module:Class is one of your own",
        style="dim",
    )


def _facts(found: Spec) -> dict[str, Any]:
    return facts_of(found, CAPABILITIES)


def _check(console: Console, name: str | None) -> None:
    if name is None:
        raise PolicyError("--check needs a policy, as in layerlift policies my_module:MyPolicy --check")
    tell_check(console, name, ((each.case, each.demand, each.trouble) for each in findings(name)))


COMMANDS: Final[list[click.Command]] = [policies]
