"""`layerlift scenarios` lists what ships; `layerlift scenario NAME` shows one, or draws one of a family."""

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
from layerlift.emulator.scenario import Scenario, bundled, families, source_text
from layerlift.emulator.scenario.checks.names import node_names
from layerlift.emulator.scenario.families.family import LARGEST_SEED
from layerlift.emulator.scenario.json_schema import json_schema
from layerlift.emulator.scenario.schema.document import written


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
@click.option("--families", "list_families", is_flag=True, help="The families of random worlds; takes no NAME.")
@click.option("--family", metavar="FAMILY", help="A random world of a family (or of a family's file), as YAML.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), help="Which world of the family.  [default: 0]")
def scenario(
    name: str | None,
    overrides: Sequence[str],
    only_assumptions: bool,
    schema: bool,
    list_families: bool,
    family: str | None,
    seed: int | None,
) -> None:
    """Show a scenario: its file, its machines, and every number in it that is an assumption.

    NAME is a bundled scenario or a file. With --family a random world is drawn and written, to be run:

    layerlift scenario --family lone_random --seed 3 > world.yaml
    """
    what = [option for option, given in _asked(name, schema, list_families, family) if given]
    if len(what) != 1:
        given = f"{' and '.join(what)} are given" if what else "no scenario is named"
        raise click.UsageError(
            f"{given}: expected one of a NAME, such as quickstart, --schema, --families and --family"
        )
    if seed is not None and family is None:
        raise click.UsageError("--seed says which world of a family: expected it beside --family")
    if (only_assumptions and name is None) or (overrides and (schema or list_families)):
        raise click.UsageError(f"{what[0]} stands alone: expected --set and --assumptions beside a NAME")
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
    elif list_families:
        _show_families(screen())
    elif family is not None:
        made = families.document(family, seed or 0, overrides)
        _print_file(screen(), f"# layerlift scenario --family {family} --seed {seed or 0}\n{written(made)}")
    else:
        assert name is not None
        _show(name, overrides, only_assumptions)


def _asked(name: str | None, schema: bool, listed: bool, family: str | None) -> list[tuple[str, bool]]:
    """What is asked for, of which there is to be one."""
    return [("NAME", name is not None), ("--schema", schema), ("--families", listed), ("--family", family is not None)]


def _show(name: str, overrides: Sequence[str], only_assumptions: bool) -> None:
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


def _show_families(console: Screen) -> None:
    """What ships, and which seeds are for training."""
    table = Table("family", "its worlds", "catches", "seeds for training", title="Families of random worlds")
    for name in families.shipped():
        family = families.load(name)
        seeds = "none" if family.held_out else f"0 to {families.HELD_OUT_FROM - 1:,}"
        table.add_row(name, family.about, family.catches, seeds)
    console.print(table)
    console.print("All other seeds are held out: planners are judged on them and trained on none of them.", style="dim")
    console.print("layerlift scenario --family NAME --seed 3 > world.yaml draws one", style="dim")


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
