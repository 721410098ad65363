"""The report that README shows, and the pages that are a run's whole output."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import gaps, profile_trust
from benchmarks.docs.blocks import table
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.report.chart import save
from layerlift.emulator.report.report import show
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.reproduce import figure5
from layerlift.emulator.studies.reproduce.charts import draw
from layerlift.emulator.studies.reproduce.known import EXPERIMENTS, FIGURE5
from layerlift.emulator.studies.reproduce.page import page
from layerlift.emulator.studies.reproduce.reproduction import Reproduction, nothing
from layerlift.emulator.studies.reproduce.told import markdown
from layerlift.models.loading import zoo

FIGURE = "layerlift reproduce figure5"
LEFT_OUT = ("Where the layers ended up", "In all:")
"""Where README's sample stops, and what it leaves out of the middle."""


@cache
def report() -> str:
    """The report of the paper scenario, really executed, up to the servers; without the list of layers."""
    out = StringIO()
    show(run(Scenario.load("paper"), local=True), Console(file=out, width=80))
    lines = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    sections = [part.rstrip() for part in lines.split("\n\n")]
    kept = [part for part in sections if not part.startswith(LEFT_OUT)]
    return "```\n" + "\n\n".join(kept) + "\n```"


@cache
def _results() -> tuple[figure5.Result, ...]:
    memory = PlanMemory()
    cases = figure5.cases(["alexnet", "vgg19"], [1.0, 5.0, 10.0, 27.9], ["independent", "shared"])
    return tuple(figure5.compare(case, figure5.ALGORITHMS, memory) for case in cases)


def figure() -> str:
    """docs/figure5.md: the paper's experiment at four factors."""
    return page(_results(), FIGURE)


def panels() -> str:
    """docs/figure5.svg: the curves."""
    with TemporaryDirectory() as folder:
        draw(_results(), Path(folder))
        return (Path(folder) / "figure5.svg").read_text(encoding="utf-8")


@cache
def _again(name: str) -> Reproduction:
    experiment = EXPERIMENTS[name]
    return experiment.make(experiment.networks, nothing)


def again(name: str) -> str:
    """docs/NAME.md: another publication, emulated again."""
    return markdown(_again(name), f"layerlift reproduce {name}")


def drawn(name: str) -> str:
    """docs/NAME.svg: its picture."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.svg"
        save(lambda: dict(_again(name).picture), path)
        return path.read_text(encoding="utf-8")


def experiments() -> str:
    """The list in docs/reproduce.md."""
    lines = {"figure5": FIGURE5, **{each.name: each.line for each in EXPERIMENTS.values()}}
    return table(["command", "what is emulated again"], [
        [f"[`layerlift reproduce {name}`]({name}.md)", line] for name, line in lines.items()
    ], left=2)  # fmt: skip


def optima() -> str:
    """docs/gaps.md."""
    return _printed(lambda: gaps.main([]))


def inputs() -> str:
    """Whether time depends on the input, on this machine."""
    return _printed(lambda: profile_trust.inputs(list(zoo.classics())))


def cutting() -> str:
    """What cutting costs, on this machine."""
    return _printed(lambda: profile_trust.cutting(list(zoo.classics())))


def beside() -> str:
    """What a second copy costs, on this machine."""
    return _printed(lambda: profile_trust.beside_a_copy(["alexnet", "vgg19", "resnet50", "squeezenet"]))


def _printed(act: Callable[[], None]) -> str:
    out = StringIO()
    with redirect_stdout(out):
        act()
    return out.getvalue().strip() + "\n"
