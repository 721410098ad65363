"""`layerlift train`: the policy of a planner that learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, get_args

import click
import rich.progress
from click.core import ParameterSource
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from layerlift.emulator.cli.numbers import Finite
from layerlift.emulator.cli.paths import FilePath
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.studies.learning.asked import train as trained
from layerlift.emulator.studies.learning.crowd.course import Goal
from layerlift.emulator.studies.learning.crowd.rollouts import CROWDS
from layerlift.emulator.studies.learning.crowd.study import MINUTES as CROWD_MINUTES
from layerlift.emulator.studies.learning.kept import FILES, POLICY
from layerlift.emulator.studies.learning.lasting import MOST_SEED
from layerlift.emulator.studies.learning.meta.adapting import EPISODES, MOST_EPISODES, PLANNER
from layerlift.emulator.studies.learning.meta.adapting import adapt as adapted
from layerlift.emulator.studies.learning.result import Progress
from layerlift.emulator.studies.learning.study import MINUTES
from layerlift.emulator.studies.learning.worlds import FAMILIES, HOLD_OUT
from layerlift.models.errors import RunError

IN_EPISODES: Final = ("policy", "episodes")
IN_ROUNDS: Final = (
    "worlds", "networks", "hold_out", "minutes", "rounds", "workers", "address", "goal", "literal", "resume",
)  # fmt: skip


@click.command()
@click.argument("planner")
@click.option("--worlds", help=f"Families of worlds to train on.  [default: {','.join(FAMILIES)}; of crowd: {CROWDS}]")
@click.option("--networks", help="Networks to train on.  [default: the nine classics]")
@click.option("--hold-out", help=f"Networks that are only measured on.  [default: {','.join(HOLD_OUT)}]")
@click.option(
    "--minutes",
    type=Finite(0.0, min_open=True),
    help=f"How long.  [default: {MINUTES:.0f}; crowd {CROWD_MINUTES:.0f}]",
)
@click.option("--rounds", type=click.IntRange(1, 1_000_000), help="So many rounds in all, however long they take.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes to draw worlds.")
@click.option("--address", help="Join a running Ray cluster for that: auto, or HOST:PORT.")
@click.option("--seed", type=click.IntRange(0, MOST_SEED), default=1, show_default=True)
@click.option("--out", type=FilePath(), help="Folder of the policy, its curve and page.  [default: trained-PLANNER]")
@click.option("--goal", type=click.Choice(get_args(Goal)), help="Of crowd: what to make small.  [default: ratio]")
@click.option("--literal", is_flag=True, help="Train the policy of the publication instead of the one that ships.")
@click.option("--adapt", metavar="SCENARIO", help="Of meta_drl: go on from its policy in this scenario instead.")
@click.option(
    "--policy", type=FilePath(), help="With --adapt: the policy to go on from.  [default: the one that ships]"
)
@click.option(
    "--episodes", type=click.IntRange(1, MOST_EPISODES), default=EPISODES, show_default=True, help="With --adapt."
)
@click.option("--resume", is_flag=True, help="Go on with the training in that folder.")
@click.option("--force", is_flag=True, help="Replace a training that is there already.")
def train(
    planner: str,
    worlds: str | None,
    networks: str | None,
    hold_out: str | None,
    minutes: float | None,
    rounds: int | None,
    workers: int,
    address: str | None,
    seed: int,
    out: Path | None,
    goal: Goal | None,
    literal: bool,
    adapt: str | None,
    policy: Path | None,
    episodes: int,
    resume: bool,
    force: bool,
) -> None:
    r"""Train the policy of PLANNER on random worlds; Ctrl-C leaves one that can be used.

    \b
    layerlift train dil --minutes 2 --out mine
    layerlift plan --planner dil:policy=mine/policy.onnx
    layerlift train meta_drl --adapt late-arrival --out adapted

    Needs torch, crowd aside: pip install 'layerlift[learn]'. The same seed and rounds give the same policy, whoever
    draws the worlds, and after a --resume too. docs/learned.md has it all.
    """
    folder = out if out is not None else Path(f"trained-{planner}")
    _check_company(adapt is not None)
    if adapt is not None:
        _adapt(planner, adapt, policy, episodes, seed, folder, force)
        return
    with _bar() as progress:
        found = trained(
            planner,
            worlds=worlds,
            networks=networks,
            hold_out=hold_out,
            goal=goal,
            literal=literal,
            minutes=minutes,
            rounds=rounds,
            workers=workers,
            address=address,
            seed=seed,
            out=folder,
            resume=resume,
            force=force,
            progress=progress,
        )
    for text in found.sentences():
        echo(text)
    echo(f"Written to {folder}: {', '.join(FILES)}", err=True)
    if found.signal is not None:
        raise click.exceptions.Exit(Stopped(found.signal).code)


def _check_company(adapting: bool) -> None:
    """Refuse what was given and would not be looked at: what only adapting knows, or only what trains in rounds."""
    context = click.get_current_context()
    for name in IN_ROUNDS if adapting else IN_EPISODES:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} and --adapt do not go together: adapting takes --episodes" if adapting
                else f"{option} is of --adapt alone: leave it away, or name a scenario with --adapt"
            )  # fmt: skip


def _adapt(
    planner: str, scenario: str, policy: Path | None, episodes: int, seed: int, folder: Path, force: bool
) -> None:
    if planner != PLANNER:
        raise RunError(f"--adapt goes on from the policy of {PLANNER}, which is not {planner!r:.60}: name {PLANNER}")
    found = adapted(scenario, episodes=episodes, policy=policy, seed=seed, out=folder, force=force)
    echo(found.sentence)
    echo(f"Written to {folder}: {POLICY}", err=True)


@contextmanager
def _bar() -> Iterator[Progress]:
    """Rounds and the curve while it grows, on a terminal; nothing when piped."""
    console = screen(err=True)
    shown = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with rich.progress.Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing the first worlds", total=1.0)
        yield lambda found, share: bar.update(task, completed=share, description=found.standing())


COMMANDS: Final[list[click.Command]] = [train]
