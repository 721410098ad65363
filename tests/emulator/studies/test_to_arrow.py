"""What studies return gives its numbers as one table: those of its rows, null where nothing is known."""

from __future__ import annotations

import math

from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.size.sizing import Sizing, Step
from layerlift.emulator.studies.size.target import parsed
from layerlift.emulator.studies.stress.card import Row as Card
from layerlift.emulator.studies.stress.ratios import Ratio
from layerlift.emulator.studies.stress.result import Stress
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.emulator.studies.validate.verdicts import Row, Standing

NONE = Interval(math.nan, math.nan, 0)


def test_a_card_is_a_row() -> None:
    missed = Interval(0.25, math.nan, 1)
    card = Card("ionn", "crowd", "", Ratio(2.0, math.nan, math.nan, 1), Ratio(0.5, 0.4, 0.6, 3),
                Ratio(math.nan, math.nan, math.nan, 0), missed, missed, {"jain": 0.9, "waited_s": math.nan},
                "good", None, math.nan)  # type: ignore[arg-type]  # fmt: skip
    [row] = Stress("planner", ("ionn",), (), {"crowd": 3}, (card,)).to_arrow().to_pylist()
    assert row == {
        "contender": "ionn", "family": "crowd", "reference": None, "verdict": "good", "worlds": 3, "ratio": 2.0,
        "ratio_low": None, "ratio_high": None, "times_home": 0.5, "missed": 0.25, "jain": 0.9, "waited_s": None,
    }  # fmt: skip


def test_a_phase_is_a_row_with_its_difference_and_bound() -> None:
    row = Row("plain", "before", "network", (0.2,) * 9, (0.2,) * 9, (0.21,) * 9)
    quiet = Standing(0.0, 0.0, 1.0)
    made = Validation("squeezenet", "a link", (row,), quiet, 1e6, 0.0, "here", 0.1, 2, {}, "today", 9)
    [told] = made.to_arrow().to_pylist()
    assert (told["situation"], told["phase"], told["verdict"]) == ("plain", "before", row.word(quiet))
    assert (told["real_s"], told["emulated_s"], told["bound"]) == (0.2, 0.21, row.bound(quiet))
    assert told["difference"] == row.difference(quiet)


def test_a_step_is_a_row() -> None:
    steps = (Step("ionn", ("4",), (0,), Interval(0.2, 0.01, 3), True, NONE, Interval(5.0, 1.0, 3), "", ("failed: x",)),)
    made = Sizing("site", ("nodes.0.ghz",), parsed("p95_ms <= 300", []), (1, 2, 3), steps)
    [told] = made.to_arrow().to_pylist()
    assert told == {
        "planner": "ionn", "nodes.0.ghz": 4.0, "latency_p95_queries_s": 0.2, "latency_p95_queries_s_half": 0.01,
        "money": None, "money_half": None, "energy_j": 5.0, "energy_j_half": 1.0, "holds": True, "binds": "",
        "failed": "failed: x",
    }  # fmt: skip
