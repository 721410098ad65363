"""Which publications can be emulated again, beside the paper's figure 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from layerlift.emulator.studies.reproduce.dads import study as dads
from layerlift.emulator.studies.reproduce.dads.runs import NETWORKS as OF_DADS
from layerlift.emulator.studies.reproduce.ionn import study as ionn
from layerlift.emulator.studies.reproduce.ionn.rows import published
from layerlift.emulator.studies.reproduce.lin import study as lin
from layerlift.emulator.studies.reproduce.lin.runs import NETWORKS as OF_LIN
from layerlift.emulator.studies.reproduce.neurosurgeon import study as neurosurgeon
from layerlift.emulator.studies.reproduce.reproduction import Done, Reproduction

FIGURE5: Final = "the paper's Figure 5: the system delay while a model is uploaded in four ways"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One of them."""

    name: str
    line: str
    """What it is about, in a line."""
    networks: tuple[str, ...]
    """Those that it takes when nobody says otherwise; none: they cannot be chosen."""
    check: Callable[[Sequence[str]], None]
    """Raises `RunError` for a network that it cannot have."""
    make: Callable[[Sequence[str], Done], Reproduction]
    """From networks, and what is called after each run."""
    count: Callable[[Sequence[str]], int]
    """How many runs that is."""


EXPERIMENTS: Final = {
    each.name: each
    for each in (
        Experiment(
            "ionn",
            "IONN (SoCC 2018): queries answered, and pieces, while AlexNet is uploaded; upload times",
            tuple(published()["networks"]),
            ionn.check,
            ionn.ionn,
            ionn.run_count,
        ),
        Experiment(
            "neurosurgeon",
            "Neurosurgeon (ASPLOS 2017): the best cut of AlexNet by bandwidth, and where it changes",
            (),
            lambda networks: None,
            lambda networks, done: neurosurgeon.neurosurgeon(done),
            lambda networks: neurosurgeon.run_count(),
        ),
        Experiment(
            "dads",
            "DADS (INFOCOM 2019): latency under light load, throughput under heavy load",
            OF_DADS,
            dads.check,
            dads.dads,
            dads.run_count,
        ),
        Experiment(
            "lin",
            "Lin et al. (TII 2020): the least money within deadlines, by planner, on the paper's world",
            OF_LIN,
            lin.check,
            lambda networks, done: lin.lin(networks, done=done),
            lin.run_count,
        ),
    )
}
