"""Mutants of small models: each is refused in one sentence, or runs, and then its pieces answer as the whole does.

`pytest -m slow tests/models/loading/test_models_mutants.py` tries 20,000; a share of them is tried wherever long tests
are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mutant_batch
import numpy as np
import pytest
from mutants import CHANGES, PARENTS, mutant
from onnx import numpy_helper

from layerlift import models
from layerlift.models.errors import ModelError

HELPERS = Path(mutant_batch.__file__).parent
BATCH = 500
SHARE, ALL = range(0, 1500, BATCH), range(1500, 20_000, BATCH)


def check_batch(first: int, folder: Path) -> list[str]:
    """The verdicts on `BATCH` mutants, none of which may be that something broke."""
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HELPERS / "mutant_batch.py"), str(first), str(BATCH), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    verdicts = done.stdout.splitlines()
    broken = [line for line in verdicts if line.split()[1] == "broke"]
    assert not broken, "\n".join(broken)
    assert (len(verdicts), done.returncode) == (BATCH, 0), f"mutant {first + len(verdicts)} ended it: {done.stderr}"
    return verdicts


@pytest.mark.long
@pytest.mark.parametrize("first", SHARE)
def test_mutants_run_or_are_refused_in_one_sentence(first: int, tmp_path: Path) -> None:
    verdicts = check_batch(first, tmp_path)
    ran = sum(line.endswith(" ran") for line in verdicts)
    # Where almost none runs, or almost all do, the mutants have gone too far, or nowhere.
    assert 0.1 * BATCH < ran < 0.6 * BATCH


@pytest.mark.slow
@pytest.mark.parametrize("first", ALL)
def test_many_mutants_run_or_are_refused_in_one_sentence(first: int, tmp_path: Path) -> None:
    check_batch(first, tmp_path)


def test_parents_run_and_a_number_names_one_mutant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at, parent in enumerate(PARENTS):
        monkeypatch.setattr(mutant_batch, "mutant", lambda number: PARENTS[number]().SerializeToString())
        assert mutant_batch.verdict(at, tmp_path) == "ran", parent.__name__
    assert mutant(77) == mutant(77)
    assert len({mutant(number) for number in range(100)}) > 90
    assert len(CHANGES) > 15


@pytest.mark.long
def test_a_mutant_that_aborts_the_checker_is_refused_and_the_next_one_is_opened(tmp_path: Path) -> None:
    made = PARENTS[0]()
    pads = next(held for held in made.graph.initializer if held.name == "pads")
    pads.raw_data = np.asarray([0, 0, 1, 1, 0, -(2**63), 1, 1], np.int64).tobytes()
    path = tmp_path / "aborts.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"aborts\.onnx (ends the process that opens it|.*corrupt|.*wrong)"):
        models.load(path)
    path.write_bytes(PARENTS[0]().SerializeToString())
    assert len(models.load(path).graph) == 7


def test_verdicts_see_what_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutant_batch, "mutant", lambda number: PARENTS[3]().SerializeToString())
    answered = mutant_batch.run_cut

    def wrong(*given: object, **more: object) -> dict[str, np.ndarray]:
        return {name: array + 1 for name, array in answered(*given, **more).items()}

    monkeypatch.setattr(mutant_batch, "run_cut", wrong)
    assert "differs when cut" in mutant_batch.verdict(0, tmp_path)

    def raises(*given: object, **more: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr(mutant_batch, "run_cut", raises)
    assert "KeyError" in mutant_batch.verdict(0, tmp_path)

    def talks(*given: object, **more: object) -> None:
        raise ModelError("two\nlines")

    monkeypatch.setattr(mutant_batch, "run_cut", talks)
    assert mutant_batch.verdict(0, tmp_path).startswith("broke 9 characters")


def test_a_name_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    made = PARENTS[1]()
    made.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "w"))
    path = tmp_path / "twice.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="defines 'w' more than once"):
        models.load(path)
