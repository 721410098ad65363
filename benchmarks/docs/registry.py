"""All blocks of docs and README that a program makes, in the order in which they are made."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.docs import cards, crowds, facts, kernels, planning, rests, samples
from benchmarks.docs.blocks import Block
from benchmarks.learning import adaptation, fronts, planners, retrained
from benchmarks.learning.crowd import tables as crowd_tables

_TIMES: Final = r"^\| `[^|]*` \| [^|]* \| [\d.,e+-]+ \| [\d.,e+-]+ \|$"
"""In docs/gaps.md, what planners spent: the last two columns are CPU time."""

BLOCKS: Final = (
    Block("the columns of all tables", "docs/results.md", facts.columns, 0.1),
    Block("the states of a part", "docs/architecture.md", facts.states, 0.1),
    Block("the networks", "docs/networks.md", facts.networks, 1.5),
    Block("the families", "docs/families.md", facts.random_worlds, 0.3),
    Block("rooms.svg", "docs/rooms.svg", facts.rooms, 3, whole=True),
    Block("the anchor", "docs/profiles.md", facts.anchor, 0.1),
    Block("layer by layer or fused", "docs/profiles.md", facts.fused, 1),
    Block("networks held out", "docs/profiles.md", facts.held_out, 6),
    Block("different inputs", "docs/profiles.md", samples.inputs, 120, timed=".*"),
    Block("cut or whole", "docs/profiles.md", samples.cutting, 240, timed=".*"),
    Block("beside a second copy", "docs/profiles.md", samples.beside, 120, timed=".*"),
    Block("layers of the zoo", "docs/preprocessing.md", facts.grouped, 2),
    Block("lossy steps", "docs/preprocessing.md", facts.lossy, 240),
    Block("orders of uploads", "docs/planners.md", planning.orders, 240),
    Block("planning together", "docs/planners.md", planning.joint, 300, timed=r"^\| planning time .*$"),
    Block("crowds foretold", "docs/planners.md", planning.foretold, 400),
    Block("gaps of learned planners", "docs/learned.md", planners.gaps, 240),
    Block("right steps", "docs/learned.md", planners.accuracy, 60),
    Block("scorers and proposals", "docs/learned.md", planners.curve, 10),
    Block("the letters", "docs/learned.md", planners.letters, 20),
    Block("errors of values", "docs/learned.md", planners.errors, 90),
    Block("fronts by one policy", "docs/learned.md", fronts.fronts, 400),
    Block("times of learned planners", "docs/learned.md", planners.times, 10, timed=".*"),
    Block("before any episode", "docs/learned.md", adaptation.promised, 20),
    Block("adaptation", "docs/learned.md", adaptation.adaptation, 120),
    Block("trained again", "docs/learned.md", retrained.block, 480, timed=r" \| [^|]* \|$"),
    Block("learned crowds: 300 users", "docs/learned.md", partial(crowd_tables.contention, "300"), 5400),
    Block("learned crowds: 90 users", "docs/learned.md", partial(crowd_tables.contention, "90"), 1200),
    Block("learned crowds: the slow ones", "docs/learned.md", crowd_tables.slow, 900),
    Block("learned crowds: elsewhere", "docs/learned.md", crowd_tables.others, 1200),
    Block("learned crowds: held out", "docs/learned.md", crowd_tables.held_out, 1000),
    Block("the kernel's links", "docs/validate.md", kernels.links, 1200, timed=".*"),
    Block("what policies cost", "docs/policies.md", planning.policies, 1, timed=".*"),
    Block("the report of paper", "README.md", samples.report, 20),
    Block("late-arrival in short", "README.md", crowds.late_table, 90),
    Block("the bundled scenarios", "docs/scenarios.md", crowds.crowd_table, 120, timed=r"[\d.]+ s \|$"),
    Block("contention", "docs/scenarios.md", crowds.contention, 150),
    Block("late-arrival", "docs/scenarios.md", crowds.late, 150),
    Block("flaky", "docs/scenarios.md", crowds.flaky, 20),
    Block("commuters", "docs/scenarios.md", crowds.commuters, 25),
    Block("rush-hour", "docs/scenarios.md", crowds.rush_hour, 120),
    Block("gpu-edge", "docs/scenarios.md", crowds.gpu_edge, 30),
    Block("elastic", "docs/scenarios.md", crowds.elastic, 15),
    Block("what paper rests on", "docs/sensitivity.md", rests.paper, 15),
    Block("what late-arrival rests on", "docs/sensitivity.md", rests.late, 240),
    Block("figure5.md", "docs/figure5.md", samples.figure, 40, whole=True),
    Block("figure5.svg", "docs/figure5.svg", samples.panels, 40, whole=True),
    Block("experiments", "docs/reproduce.md", samples.experiments, 0.1),
    Block("ionn.md", "docs/ionn.md", partial(samples.again, "ionn"), 6, whole=True),
    Block("ionn.svg", "docs/ionn.svg", partial(samples.drawn, "ionn"), 6, whole=True),
    Block("neurosurgeon.md", "docs/neurosurgeon.md", partial(samples.again, "neurosurgeon"), 6, whole=True),
    Block("neurosurgeon.svg", "docs/neurosurgeon.svg", partial(samples.drawn, "neurosurgeon"), 6, whole=True),
    Block("dads.md", "docs/dads.md", partial(samples.again, "dads"), 30, whole=True),
    Block("dads.svg", "docs/dads.svg", partial(samples.drawn, "dads"), 30, whole=True),
    Block("lin.md", "docs/lin.md", partial(samples.again, "lin"), 100, whole=True),
    Block("lin.svg", "docs/lin.svg", partial(samples.drawn, "lin"), 100, whole=True),
    Block("the cards of all planners", "docs/stress.md", cards.planners, 3600, timed=r"^Fewer worlds .*$"),
    Block("gaps.md", "docs/gaps.md", samples.optima, 700, timed=_TIMES, whole=True),
)
