"""`layerlift scenarios` lists what ships; `layerlift scenario NAME` shows one, with what it assumes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

import click
from rich.syntax import Syntax
from rich.table import Table

from layerlift.emulator.report.formatting import count
from layerlift.emulator.report.screen import Screen, screen
from layerlift.emulator.report.terminal import echo_lines
from layerlift.emulator.scenario import Scenario, bundled, source_text
from layerlift.emulator.scenario.checks.names import node_names
from layerlift.emulator.scenario.json_schema import json_schema


@click.command("scenarios")
def scenarios() -> None:
    """List the scenarios that ship with Layerlift."""
    table = Table("scenario", "users", "edge", "cloud", "models", "what it is", title="Bundled scenarios")
    for name in bundled():
        scenario = Scenario.load(name)
        size = _sizes(scenario)
        models = ", ".join(dict.fromkeys(model for kind in scenario.users for model in kind.model))
        table.add_row(
            name,
            str(scenario.user_count),
            str(size["edge"]),
            str(size["cloud"]),
            models,
            _first_sentence(scenario.about),
        )
    console = screen()
    console.print(table)
    console.print("layerlift scenario NAME shows one; layerlift run NAME runs it", style="dim")


@click.command("scenario")
@click.argument("name", required=False)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a field: users.0.queries=5")
@click.option("--assumptions", "only_assumptions", is_flag=True, help="Only what the scenario assumes.")
@click.option("--schema", is_flag=True, help="The JSON schema of all scenarios, for an editor; takes no NAME.")
def scenario(name: str | None, overrides: Sequence[str], only_assumptions: bool, schema: bool) -> None:
    """Show a scenario: its file, its machines, and every number in it that is an assumption.

    NAME is a bundled scenario or a file.
    """
    if schema:
        if name is not None or overrides or only_assumptions:
            raise click.UsageError("--schema is that of all scenarios: expected it alone")
        click.echo(json.dumps(json_schema(), indent=2))
        return
    if name is None:
        raise click.UsageError("no scenario is named: expected a NAME, such as quickstart, or --schema")
    loaded = Scenario.load(name, overrides)
    console = screen()
    if not only_assumptions:
        _print_file(console, source_text(name))
        for setting in overrides:
            console.print(f"--set {setting}")
        size = _sizes(loaded)
        console.print(
            f"{count(loaded.user_count, 'user')}, {count(size['client'], 'client')}, "
            f"{count(size['edge'], 'edge server')}, {count(size['cloud'], 'cloud server')}"
        )
    table = Table("field", "value", "source", title=f"What {loaded.name} assumes")
    for entry in loaded.assumptions():
        table.add_row(entry["path"], _shown(entry["value"]), entry["source"])
    console.print(table)


def _print_file(console: Screen, text: str) -> None:
    """With colours on a terminal; elsewhere as it is, so that what is piped is the file."""
    if console.is_terminal:
        console.print(Syntax(text, "yaml", background_color="default", word_wrap=True))
    else:
        echo_lines(text)


def _sizes(scenario: Scenario) -> Counter[str]:
    """Nodes by tier."""
    return Counter(
        scenario.nodes[int(path[1])].tier if path[0] == "nodes" else "client" for path, _ in node_names(scenario)
    )


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


COMMANDS: Final = [scenarios, scenario]
