"""`layerlift validate`: is the emulation true on this machine?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from layerlift.emulator.cli.ends import ENDS
from layerlift.emulator.cli.model_options import DIMS, FIX, dims_of, fix_of
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.scenario.schema.fields import MB, MBIT
from layerlift.emulator.studies.validate.kernel import SHAPES, Shape
from layerlift.emulator.studies.validate.page import FILES
from layerlift.emulator.studies.validate.study import MOST_REPEATS, Progress
from layerlift.emulator.studies.validate.study import validate as validated
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.models.errors import RunError

_RATE: Final = re.compile(r"([\d.]+(?:e[-+]?\d+)?)\s*(mb|mb/s|mbit|mbit/s)?", re.IGNORECASE)


@click.command()
@click.option("--model", metavar="NAME|FILE", help="A network of the zoo, or an ONNX file.  [default: squeezenet]")
@DIMS
@FIX
@ENDS
@click.option("--bandwidth", metavar="N[mbit]", help="Of the link: 2 is 2 MB/s, 80mbit is 80 Mbit/s.  [default: 2]")
@click.option("--repeats", type=click.IntRange(1, MOST_REPEATS), help="How often it is done.  [default: 5]")
@click.option("--full", is_flag=True, help="AlexNet at 80 Mbit/s, 3 repeats: two and a half minutes.")
@click.option(
    "--kernel",
    type=click.Choice(SHAPES),
    help="Take the kernel's network for the link, as root: fair, shaped at the senders, or at a router with a buffer.",
)
@click.option("--out", type=FilePath(), help="Write validate.json and validate.html to this folder.")
@click.option("--force", is_flag=True, help="Replace a validation that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def validate(
    model: str | None,
    dims: Sequence[str],
    fix: Sequence[str],
    ends: Sequence[str],
    bandwidth: str | None,
    repeats: int | None,
    full: bool,
    kernel: Shape | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    r"""Is the emulation true here? Processes, layers and sockets of this machine beside the same world, emulated.

    \b
    layerlift validate
    layerlift validate --full --out validated
    layerlift validate --model mine.onnx --bandwidth 20mbit --repeats 3

    Queries come before, beside and after an upload, over a link on loopback whose senders pace themselves. Let nothing
    else run meanwhile. Exit code 1: a phase was beyond its bound. docs/validate.md has it all.
    """
    with _bar() as progress:
        found = validated(
            model,
            bandwidth_bytes_s=None if bandwidth is None else _bytes_s(bandwidth),
            repeats=repeats,
            full=full,
            dims=dims_of(dims),
            fix=fix_of(fix),
            outputs=ends,
            kernel=kernel,
            out=out,
            force=force,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        _show(found)
    if out is not None:
        echo(f"Written to {out}: {', '.join(FILES)}", err=True)
    if found.holds is False:
        raise click.exceptions.Exit(1)


def _bytes_s(text: str) -> float:
    found = _RATE.fullmatch(text.strip())
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    if found is None or number <= 0:
        raise RunError(f"--bandwidth is {text!r}, expected a number above 0 in MB/s, or in Mbit/s as in 80mbit")
    return number * (MBIT if (found[2] or "").lower().startswith("mbit") else MB)


def _show(found: Validation) -> None:
    console = screen()
    for text in found.sentences():
        console.print(Text(text), soft_wrap=not console.is_terminal)
    heads, lines = found.table()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(Text(head), justify="left" if number < 2 else "right", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    console.print()
    console.print(table)


@contextmanager
def _bar() -> Iterator[Progress]:
    """On a terminal; nothing when piped."""
    console = screen(err=True)
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, over, total: bar.update(task, description=what, completed=over, total=total)


COMMANDS: Final[list[click.Command]] = [validate]
