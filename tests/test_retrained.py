"""What `benchmarks.learning.retrained` says of a policy trained again: the same numbers, or how many are others."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from house import ROOT

from layerlift.planners.learned.policy_file import written

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

retrained = importlib.import_module("benchmarks.learning.retrained")
NAMES, Again, read, ships, told = (getattr(retrained, name) for name in ("NAMES", "Again", "read", "ships", "told"))


def changed(name: str, value: float, **notes: str) -> Any:
    weights = read(ships(name))
    table = next(iter(weights.tables))
    array = np.array(weights.tables[table])
    array.flat[0] += value
    other = replace(weights, tables={**weights.tables, table: array}, notes={**weights.notes, **notes})
    return Again(name, ships(name), written(other))


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_that_ships_says_how_it_was_trained(name: str) -> None:
    notes = read(ships(name)).notes
    assert {"planner", "worlds", "seed", "rounds", "python", "numpy"} <= notes.keys()
    assert name.startswith(notes["planner"])
    assert Again(name, ships(name), ships(name)).differing() == 0


def test_numbers_that_differ_are_counted_and_versions_named() -> None:
    same, other = changed("dil", 0.0, cpu_s="1", numpy="9.9"), changed("ddlo", 1.0)
    assert (same.differing(), other.differing()) == (0, 1)
    assert same.others() == [f"numpy {read(ships('dil')).notes['numpy']}, now 9.9"]
    lines = told([same, other]).splitlines()
    assert lines[0] == "1 of 2 come out the same, number by number."
    assert "| none | numpy " in lines[4]
    assert lines[5].endswith(f"| 1 of {read(ships('ddlo')).parameters} | the same |")
    assert Again("dil", ships("dil"), ships("ddlo")).differing() == read(ships("ddlo")).parameters


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert retrained.main(["dill"]) == 2
    assert "did you mean dil" in capsys.readouterr().err
