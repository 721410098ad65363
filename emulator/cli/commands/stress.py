"""`layerlift stress`: the report card of a planner or a policy, and how far it can be pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.cli.commands.compare import bar
from layerlift.emulator.cli.numbers import Finite
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import families as worlds_by_name
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.compare.terminal import Grid
from layerlift.emulator.studies.stress import battery
from layerlift.emulator.studies.stress.asked import GATHER_S
from layerlift.emulator.studies.stress.page import FILES, WORST
from layerlift.emulator.studies.stress.result import Stress
from layerlift.emulator.studies.stress.study import stress as stressed

TOO_BAD: Final = 1
"""How a command ends whose planner is above `--fail-above`."""


@click.command()
@click.argument("planners", nargs=-1)
@click.option("--against", multiple=True, metavar="NAME", help="Hold it against this, not the best that ships.")
@click.option("--family", "families", multiple=True, help="Only this family of worlds, or a family's file; several.")
@click.option("--policy", "policies", multiple=True, help="The policy of all servers; without PLANNERS: who is judged.")
@click.option("--list", "listed", is_flag=True, help="Name the families, and how many worlds of each are run.")
@click.option("--seeds", type=click.IntRange(1, battery.MOST_WORLDS), help="How many worlds of each family.")
@click.option("--thorough", is_flag=True, help="Five times as many worlds, all steps of all ladders.")
@click.option("--push/--no-push", default=True, help="Whether to push it until it breaks.  [default: push]")
@click.option("--gather", type=Finite(0), default=GATHER_S, show_default=True, metavar="SECONDS",
              help="How long those wait for others who know of them only by planning together.")  # fmt: skip
@click.option("--fail-above", type=Finite(0, min_open=True), metavar="RATIO",
              help="Exit with 1 if the whole interval of a ratio is above RATIO, or plans are none.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Runs at a time; 1: in this process.  [default: one per CPU]")
@click.option("--local", is_flag=True, help="Without Ray: one run after the other, in this process.")
@click.option("--address", help="Join a running Ray cluster: auto, or HOST:PORT.")
@click.option("--out", type=FilePath(), help="Write a page, JSON and the worst worlds here, and go on there next time.")
@click.option("--force", is_flag=True, help="Replace a study that is there already.")
@click.option("--json", "as_json", type=FilePath(allow_dash=True), help="Write everything as JSON to a file; - prints.")
def stress(
    planners: tuple[str, ...],
    against: tuple[str, ...],
    families: tuple[str, ...],
    policies: tuple[str, ...],
    listed: bool,
    seeds: int | None,
    thorough: bool,
    push: bool,
    gather: float,
    fail_above: float | None,
    workers: int | None,
    local: bool,
    address: str | None,
    out: Path | None,
    force: bool,
    as_json: Path | None,
) -> None:
    r"""The report card of PLANNERS (or of a policy): worlds in which they differ, and how far they can be pushed.

    \b
    layerlift stress ionn --against direct --family lone_big --seeds 2 --no-push --local
    layerlift stress pso+recursive --against ionn --family crowd
    layerlift stress --policy drf --policy equal

    Ratios are of what a query costs users, world by world, to the best of those that ship. docs/stress.md has it all.
    """
    if listed:
        _list(families, seeds, thorough)
        return
    if as_json is not None and str(as_json) != "-":
        answer_files.check_file(as_json, "--json")
    with bar() as progress:
        found = stressed(
            planners,
            against=against,
            families=families,
            policy=policies,
            worlds=seeds,
            thorough=thorough,
            push=push,
            gather_s=gather,
            local=local,
            address=address,
            workers=workers,
            out=out,
            force=force,
            progress=progress,
        )
    if as_json is not None:
        _write(found, as_json)
    if as_json is None or str(as_json) != "-":
        _show(found)
    if out is not None and found.complete:
        echo(f"Written to {out}: {', '.join(FILES)}, and in {WORST}/ the worlds in which it is worst", err=True)
    if not found.complete:
        raise click.exceptions.Exit(Stopped(found.signal).code)
    above = found.above(fail_above) if fail_above is not None else []
    for text in above:
        echo(f"Above {fail_above:g}: {text}", err=True)
    if above:
        raise click.exceptions.Exit(TOO_BAD)


def _write(found: Stress, path: Path) -> None:
    if str(path) == "-":
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
        return
    told = json.dumps(found.as_dict(), indent=1, allow_nan=False)
    answer_files.write(path.parent, {path.name: f"{told}\n"}, "--json")


def _list(names: tuple[str, ...], count: int | None, thorough: bool) -> None:
    lines = []
    for name, family in battery.chosen(names).items():
        first = family.document(worlds_by_name.HELD_OUT_FROM)
        worlds = battery.worlds_of(first, count, thorough)
        pushed = [push.change for push in battery.pushes({name: family}, True, thorough)]
        lines.append([name, str(worlds), str(battery.users_in(first)), ", ".join(pushed), family.catches])
    _print(screen(), Grid(["family", "worlds", "users", "pushed by", "catches"], lines), left=2)


def _show(found: Stress) -> None:
    console = screen()
    for text in [*found.sentences(), *found.notes, *found.slow]:
        console.print(Text(text), soft_wrap=not console.is_terminal)
    for name in found.contenders:
        slow = found.slow_families(name)
        if slow:
            text = f"{name} is slow here: a plan took more than a second in {', '.join(slow)}."
            console.print(Text(text), soft_wrap=not console.is_terminal)
        for title, grid in (("", found.table(name)), (", pushed", found.ladder_table(name)),
                            (", times on this machine", found.time_table(name))):  # fmt: skip
            if grid.lines:
                console.print(Text(f"\n{name}{title}", style="bold"))
                _print(console, grid)


def _print(console: Console, grid: Grid, left: int = 1) -> None:
    """A table; on a terminal that is too narrow columns fold, in a pipe they do not."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, head in enumerate(grid.heads):
        text = number == 0 or number >= len(grid.heads) - left
        table.add_column(Text(head), justify="left" if text else "right", overflow="fold")
    for line in grid.lines:
        table.add_row(*map(Text, line))
    if console.is_terminal:
        console.print(table)
        return
    console.print(table, width=max(console.width, grid.width + 2 * len(grid.heads)), soft_wrap=True)


COMMANDS: Final[list[click.Command]] = [stress]
