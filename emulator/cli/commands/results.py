"""`layerlift show` and `layerlift verify`: look at a run that has been made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.report import show as show_report
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.versions import other_versions

_DIRECTORY: Final = click.argument("directory", type=FilePath())


@click.command()
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead.")
@click.option("--chart", type=FilePath(), help="Also draw latency against time: .html, .svg or .png.")
def show(directory: Path, as_json: bool, chart: Path | None) -> None:
    """Show the report of the run in DIRECTORY."""
    result = RunResult.load(directory)
    if not result.summary_is_told:
        why = other_versions(result.run) or "one of them was changed"
        echo(f"run.json has another summary than the tables give ({why}); this one is made from them.", err=True)
    if as_json:
        click.echo(json.dumps(result.summary, indent=1))
    else:
        show_report(result, screen())
    if chart is not None:
        from layerlift.emulator.report.chart import chart as draw  # altair takes a second to import

        draw(result, chart)
        echo(f"Chart: {chart}", err=as_json)


@click.command()
@_DIRECTORY
def verify(directory: Path) -> None:
    """Check that the tables in DIRECTORY are those that the run wrote."""
    result = RunResult.load(directory)
    digest = result.verify()
    echo(f"{directory} holds what the run wrote ({result.standing}): digest {digest}")
    other = other_versions(result.run)
    if other:
        echo(f"It was {other}.")


COMMANDS: Final[list[click.Command]] = [show, verify]
