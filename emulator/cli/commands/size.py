"""`layerlift size`: the smallest value of a field with which a scenario keeps a target."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from layerlift.emulator.cli.commands.compare import bar, seeds_of
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.compare.study import SEEDS
from layerlift.emulator.studies.size import vary as varying
from layerlift.emulator.studies.size.page import FILES
from layerlift.emulator.studies.size.sizing import Sizing
from layerlift.emulator.studies.size.study import size as sized
from layerlift.models.errors import RunError


@click.command()
@click.argument("scenario")
@click.option("--vary", multiple=True, required=True, metavar="PATH=1..20", help="A field, its values; once or twice.")
@click.option(
    "--until", required=True, metavar="'METRIC <= NUMBER'", help="What is to be kept: a number of compare, or p95_ms."
)
@click.option("--planner", "planners", multiple=True, help="Plan every user with this planner; each has its answer.")
@click.option("--seeds", type=click.IntRange(1, 1000), help=f"How many, from the scenario's on.  [default: {SEEDS}]")
@click.option("--seed", "listed", metavar="N,N,...", help="These seeds.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override any field of the scenario.")
@click.option("--local", is_flag=True, help="One run after the other, in this process.")
@click.option("--address", help="Runs as tasks of a running Ray cluster: auto, or HOST:PORT.")
@click.option("--allow-code", is_flag=True, help="Let the file name planners and policies as module:Class.")
@click.option("--out", type=FilePath(), help="Write size.json and size.html to this folder, and go on there next time.")
@click.option("--force", is_flag=True, help="Replace a sizing that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def size(
    scenario: str,
    vary: tuple[str, ...],
    until: str,
    planners: tuple[str, ...],
    seeds: int | None,
    listed: str | None,
    settings: tuple[str, ...],
    local: bool,
    address: str | None,
    allow_code: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    r"""How much SCENARIO needs: every value of a field is run, and the smallest that keeps the target is named.

    \b
    layerlift size site.yaml --vary nodes.0.count=1..20 --until 'p95_ms <= 300'
    layerlift size site.yaml --vary nodes.0.count=1..8 --vary nodes.0.ghz=2,4,8 --until 'jain >= 0.9'

    With the same seeds at every step; a step holds when the whole interval keeps the target. Exit code 0: every step
    was run, whether or not one holds; 2: nothing could be; 130: interrupted. docs/size.md has it all.
    """
    if listed is not None and seeds is not None:
        raise RunError("--seed and --seeds both say which seeds: expected one of them")
    fields = [varying.parsed(text) for text in vary]
    if len(dict(fields)) < len(fields):
        raise RunError(f"--vary names {fields[0][0]} twice, expected two different fields")
    with bar() as progress:
        found = sized(
            scenario,
            dict(fields),
            until,
            planners=planners,
            seeds=seeds_of(listed) if listed is not None else seeds or SEEDS,
            overrides=settings,
            local=local,
            address=address,
            out=out,
            force=force,
            progress=progress,
            allow_code=allow_code,
        )
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        _show(found)
    if out is not None and found.complete:
        echo(f"Written to {out}: {', '.join(FILES)}", err=True)
    if not found.complete:
        raise click.exceptions.Exit(Stopped(found.signal).code)
    if not any(step.found.n for step in found.steps):
        raise RunError("no step has an answer: the reasons are above")


def _show(found: Sizing) -> None:
    console = screen()
    answer = [found.sentences(), found.notes]
    # What is not all of it says so first.
    for text in itertools.chain(*(answer if found.complete else reversed(answer))):
        console.print(Text(text), soft_wrap=not console.is_terminal)
    heads, lines = found.table()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        last = number == len(heads) - 1
        table.add_column(Text(head), justify="left" if last else "right", overflow="fold", no_wrap=not last)
    for line in lines:
        table.add_row(*map(Text, line))
    if lines:
        console.print()
        console.print(table)


COMMANDS: Final[list[click.Command]] = [size]
