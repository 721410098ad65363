"""How a plug-in, planner or policy, is explained on the command line."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.models.errors import LayerliftError
from layerlift.planners.registry.plugins import Spec
from layerlift.planners.testing.runner import guarded


def facts_of(found: Spec, capabilities: Sequence[str]) -> dict[str, Any]:
    """What is told of a plug-in, as JSON: its name, source, capabilities, citation and options."""
    return {
        "name": found.name,
        "from": found.source,
        **{key: found.attribute(key) for key in capabilities},
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


def explain(console: Console, found: Spec, facts: Mapping[str, Any], as_json: bool) -> None:
    """Print one plug-in: its docstring, its source, its options; or its facts as JSON."""
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    console.print(Text(found.name, style="bold") + Text(f"  ({found.source})"))
    paragraphs = (inspect.getdoc(found.load()) or "").split("\n\n")
    console.print("\n\n".join(" ".join(each.split()) for each in paragraphs))
    if facts["cite"]:
        console.print(f"\nSource: {facts['cite']}")
    if not facts["options"]:
        console.print("\nIt takes no options.")
        return
    table = Table("option", "type", "default", title=f"Options: {found.name}:option=value,option=value")
    for option in facts["options"]:
        table.add_row(option["name"], option["type"], option["default"])
    console.print(table)


def tell_check(console: Console, name: str, findings: Iterable[tuple[str, str, str]]) -> None:
    """Print what a conformance kit found, as (where, demand, trouble). Raises `LayerliftError` for demands not met."""
    met, troubles = 0, []
    for where, demand, trouble in guarded(findings):
        met += not trouble
        if trouble:
            troubles.append(f"{where}: {demand}: {trouble}")
    for each in troubles:
        console.print(each)
    if troubles:
        raise LayerliftError(f"{name} does not meet {len(troubles)} demands of the conformance kit (above)")
    console.print(f"{name} meets all {met} demands of the conformance kit.")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
