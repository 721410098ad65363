"""`layerlift fairness`: whom a run hurt, and by how much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.formatting import NOTHING, dollars, joules, seconds, share
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.fairness import study

_WINDOWS: Final = 10
_WORST: Final = 5


@click.command()
@click.argument("directory", type=FilePath())
@click.option("--alone", is_flag=True, help="First run one user of each kind alone: costs are then slowdowns.")
@click.option("--each", is_flag=True, help="With --alone: run every user alone, not one of each kind.")
@click.option("--allow-code", is_flag=True, help="Let the run's scenario name planners and policies as module:Class.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def fairness(directory: Path, alone: bool, each: bool, allow_code: bool, as_json: bool) -> None:
    """Show how fairly the run in DIRECTORY treated its users (docs/fairness.md says what each number means)."""
    result = RunResult.load(directory)
    windows = 60 if as_json else _WINDOWS
    say = partial(echo, err=True)
    found = study.fairness(result, alone=alone, each=each, most_windows=windows, notice=say, allow_code=allow_code)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    console = screen()
    if not result.complete:
        console.print(f"This run is {result.standing}: the numbers are those so far.")
    if not alone:
        console.print("Costs are mean latencies, with the differences of devices and models in them; see --alone.")
    elif not each:
        console.print("One user of each kind ran alone: costs have the differences of devices in them; see --each.")
    for title, table in (
        ("Whom it hurt", _costs(found, alone)),
        ("Fairness of 1 / cost", _indices(found)),
        ("Over time", _windows(found)),
        ("Who fared worst", _worst(found, alone)),
    ):
        console.print(f"\n{title}")
        console.print(table)
    _servers(found, console)


def _costs(found: Mapping[str, Any], slow: bool) -> Table:
    say = _plain if slow else seconds
    table = _table("kind", "users", "open", "failed", "mean q", "p95 q", "mean u", "p95 u", "worst u", "energy", "USD")
    for entry in (*found["kinds"], {"kind": "all", "energy_j": found["energy_j"], **found["all"]}):
        spread = entry["slowdown" if slow else "latency_s"]
        queries, users = spread["queries"] or {}, spread["users"] or {}
        table.add_row(
            entry["kind"],
            *(str(entry[key]) for key in ("users", "open", "failed")),
            *(say(queries.get(key)) for key in ("mean", "p95")),
            *(say(users.get(key)) for key in ("mean", "p95", "max")),
            joules(entry["energy_j"]),
            dollars(entry.get("money", found["money"])),
        )
    table.caption = f"{'slowdown' if slow else 'latency'}: q over queries, u over users"
    return table


def _indices(found: Mapping[str, Any]) -> Table:
    table = _table("kind", "Jain", "min/max", "Gini", "envy", "bias", "none", "due q", "due u", "price")
    for entry in (*found["kinds"], {"kind": "all", **found["all"]}):
        keys = ("jain", "min_max", "gini", "envy", "arrival_bias", "unanswered")
        due = entry["deadline"]
        numbers = (*(entry[key] for key in keys), due["queries"], due["users"], entry["price"])
        table.add_row(entry["kind"], *map(_plain, numbers))
    table.caption = "none: users without any answer; due: in time, over q and u; bias > 0: late ones fare worse"
    return table


def _windows(found: Mapping[str, Any]) -> Table:
    table = _table("until", "users", "Jain", "min/max", "Gini", "waiting", "starved", "ratio", "busy", "cv")
    for row in found["windows"]:
        keys = ("jain", "min_max", "gini", "waiting", "starved", "fairness_ratio", "busy_share", "node_balance")
        table.add_row(seconds(row["to_s"]), str(row["users"]), *(_plain(row[key]) for key in keys))
    table.caption = "ratio: users x smallest dominant share; busy, cv: of servers"
    return table


def _worst(found: Mapping[str, Any], slow: bool) -> Table:
    table = _table("user", "came at", "answered", "open", "failed", "latency", "slowdown")
    cost = "slowdown" if slow else "latency_s"
    ranked = sorted((user for user in found["users"] if user[cost] is not None), key=lambda user: -float(user[cost]))
    for user in ranked[:_WORST]:
        states = (str(user[key]) for key in ("answered", "open", "failed"))
        waited = seconds(float(user["latency_s"])) if user["latency_s"] is not None else NOTHING
        table.add_row(user["user"], seconds(user["arrival_s"]), *states, waited, _plain(user["slowdown"]))
    return table


def _servers(found: Mapping[str, Any], console: Console) -> None:
    taken = found["disruptions"]
    busiest = max(found["servers"], key=lambda server: server["busy_share"], default=None)
    most = f"; busiest is {busiest['name']}, {share(busiest['busy_share'])}" if busiest else ""
    console.print(f"\nServers are {share(found['busy_share'])} busy, cv {_plain(found['node_balance'])}{most}")
    ratio = (found["fairness_ratio"] or {}).get("min")
    console.print(f"Starved: {_plain(found['starved'])} of those who waited; fairness ratio at worst {_plain(ratio)}")
    console.print(f"Disruptions: {taken['all']}, at most {taken['most']} per arrival (mean {_plain(taken['mean'])})")


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, caption_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", overflow="fold")
    return table


def _plain(value: float | str | None) -> str:
    return NOTHING if value is None else value if isinstance(value, str) else f"{value:.3g}"


COMMANDS: Final[list[click.Command]] = [fairness]
"""The subcommands of `layerlift`: each module exports its click commands as `COMMANDS`."""
