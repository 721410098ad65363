"""`layerlift train`: the policy of a planner that learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import rich.progress
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.learning.kept import FILES
from layerlift.emulator.studies.learning.study import HELD_OUT, MINUTES, Progress, Trained
from layerlift.emulator.studies.learning.study import train as trained
from layerlift.emulator.studies.learning.worlds import FAMILIES, HOLD_OUT

_BARS: Final = "▁▂▃▄▅▆▇█"
_SHOWN: Final = 24
"""Points of the curve on the terminal."""


@click.command()
@click.argument("planner")
@click.option("--worlds", default=",".join(FAMILIES), show_default=True, help="Families of worlds to train on.")
@click.option("--networks", default="", help="Networks to train on.  [default: the nine classics]")
@click.option("--hold-out", default=",".join(HOLD_OUT), show_default=True, help="Networks that are only measured on.")
@click.option("--minutes", type=click.FloatRange(0.0, min_open=True), default=MINUTES, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 1_000_000), help="So many rounds in all, however long they take.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Draw worlds, with Ray.")
@click.option("--address", help="Join a running Ray cluster for that: auto, or HOST:PORT.")
@click.option("--seed", type=click.IntRange(0, 40), default=1, show_default=True)
@click.option("--out", type=FilePath(), help="Folder of the policy, its curve and page.  [default: trained-PLANNER]")
@click.option("--literal", is_flag=True, help="Train the policy of the publication instead of the one that ships.")
@click.option("--resume", is_flag=True, help="Go on with the training in that folder.")
@click.option("--force", is_flag=True, help="Replace a training that is there already.")
def train(
    planner: str,
    worlds: str,
    networks: str,
    hold_out: str,
    minutes: float,
    rounds: int | None,
    workers: int,
    address: str | None,
    seed: int,
    out: Path | None,
    literal: bool,
    resume: bool,
    force: bool,
) -> None:
    r"""Train the policy of PLANNER on random worlds; Ctrl-C leaves one that can be used.

    \b
    layerlift train dil --minutes 2 --out mine
    layerlift plan --planner dil:policy=mine/policy.onnx

    Needs torch: pip install 'layerlift[learn]'. The same seed and rounds give the same policy, whoever draws the
    worlds, and after a --resume too. docs/learned.md has it all.
    """
    folder = out if out is not None else Path(f"trained-{planner}")
    with _bar() as progress:
        found = trained(
            planner,
            worlds=_names(worlds),
            networks=_names(networks),
            hold_out=_names(hold_out),
            minutes=minutes,
            rounds=rounds,
            workers=workers,
            address=address,
            seed=seed,
            out=folder,
            literal=literal,
            resume=resume,
            force=force,
            progress=progress,
        )
    for text in found.sentences():
        echo(text)
    echo(f"Written to {folder}: {', '.join(FILES)}", err=True)
    if found.signal is not None:
        raise click.exceptions.Exit(Stopped(found.signal).code)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@contextmanager
def _bar() -> Iterator[Progress]:
    """Rounds and the curve while it grows, on a terminal; nothing when piped."""
    console = screen(err=True)
    shown = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with rich.progress.Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing the first worlds", total=1.0)
        yield lambda found, share: bar.update(task, completed=share, description=described(found))


def described(found: Trained) -> str:
    """Where a training is, in a line: the gaps of the best walks on held-out networks, from the first point on."""
    gaps = [point.best_mean for point in found.points if point.group == HELD_OUT][-_SHOWN:]
    if not gaps:
        return f"round {found.rounds}"
    most = max(max(gaps), 1e-9)
    curve = "".join(_BARS[int(min(max(gap, 0.0) / most, 1.0) * (len(_BARS) - 1))] for gap in gaps)
    return f"round {found.rounds}, held out {100 * gaps[-1]:.2f} % above exact {curve}"


COMMANDS: Final[list[click.Command]] = [train]
