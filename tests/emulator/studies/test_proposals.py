"""Learning from proposals and from letters: labels, the shared memory, and trainings bit for bit where torch is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerlift.emulator.studies.learning import examples, kept, study
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.methods import LITERAL, METHODS, method
from layerlift.emulator.studies.learning.proposals import memory as memories
from layerlift.emulator.studies.learning.proposals.labels import STATES, learned_from, plain, proposed
from layerlift.emulator.studies.learning.proposals.memory import Memory
from layerlift.emulator.studies.learning.proposals.shown import Shown, joined, taught
from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.models.errors import RunError
from layerlift.planners.learned.features import features_of

SMALL = Worlds(("lone_random",), ("squeezenet",))


@pytest.fixture(scope="module")
def shown() -> tuple[Shown, ...]:
    return taught(Lesson(SMALL, (1, 2)))


def test_whoever_draws_a_lesson_it_shows_the_same(shown: tuple[Shown, ...]) -> None:
    parts = joined([taught(Lesson(SMALL, (1,))), taught(Lesson(SMALL, (2,)))])
    assert len(parts) == len(shown) == 8
    for one, other in zip(parts, shown, strict=True):
        assert np.array_equal(one.costs.pieces, other.costs.pieces)
        assert one.tiers == other.tiers
        assert one.tiers[0] == "client"
        assert len(one.tiers) == len(one.costs.nodes)


def test_proposals_cost_what_they_cost_from_each_piece_on(shown: tuple[Shown, ...]) -> None:
    costs = shown[0].costs
    ways = np.random.default_rng(0).integers(0, len(costs.nodes), size=(5, len(costs.pieces)))
    found = proposed(costs, ways)
    assert found.rest[:, 0] == pytest.approx(costs.totals(ways))
    assert found.rest[2, -1] == pytest.approx(costs.steps[-1, ways[2, -2], ways[2, -1]] + costs.pieces[-1, ways[2, -1]])
    assert found.best == int(costs.totals(ways).argmin())


def test_what_is_plain_is_home_and_the_best_single_cut(shown: tuple[Shown, ...]) -> None:
    for each in shown:
        pieces, nodes = each.costs.pieces.shape
        home, cut = plain(each.costs)
        every = [[0] * first + [node] * (pieces - first) for first in range(pieces) for node in range(nodes)]
        assert not home.any()
        assert each.costs.totals(cut[None])[0] == pytest.approx(each.costs.totals(np.array(every)).min())


def test_a_label_is_the_step_of_the_cheapest_that_passed_there(shown: tuple[Shown, ...]) -> None:
    costs = shown[0].costs
    rng = np.random.default_rng(1)
    ways = np.concatenate([rng.integers(0, 3, size=(20, len(costs.pieces))), plain(costs)])
    found, seen = proposed(costs, ways), features_of(costs)
    made = learned_from(found, seen, costs, np.random.default_rng(7))
    again = np.random.default_rng(7)
    at, whose = again.integers(0, len(costs.pieces), size=STATES), again.integers(0, len(ways), size=STATES)
    whose[: STATES // 2] = found.best
    unknown = found.rest[:, 0].mean() - found.rest[:, 0].min()
    for number, (unit, way) in enumerate(zip(at, whose, strict=True)):
        before = ways[way, unit - 1] if unit else 0
        there = [other for other in range(len(ways)) if (ways[other, unit - 1] if unit else 0) == before]
        least = {
            node: min(found.rest[o, unit] for o in there if ways[o, unit] == node) for node in set(ways[there, unit])
        }
        expected = [
            min(least[node] - min(least.values()) if node in least else unknown, examples.MOST_REGRET)
            for node in range(len(costs.nodes))
        ]
        assert made.regret[number] == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert np.array_equal(made.target[number], seen.node[unit])
        assert np.array_equal(made.source[number], seen.node[unit, before])
        assert np.array_equal(made.step[number], seen.step[unit, before])


def test_the_oldest_are_forgotten_first(shown: tuple[Shown, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "PROBLEMS", 3)
    held = Memory()
    given = []
    for number, each in enumerate(shown[:5]):
        found = proposed(each.costs, plain(each.costs))
        given.append(learned_from(found, features_of(each.costs), each.costs, np.random.default_rng(number)))
        held.put(given[-1])
    assert held.rows == 3 * STATES
    back = held.some(np.arange(held.rows))
    for place, number in enumerate((3, 4, 2)):
        rows = slice(place * STATES, (place + 1) * STATES)
        assert np.array_equal(back.piece[rows], given[number].piece)
        width = given[number].open.shape[1]
        assert np.array_equal(back.regret[rows, :width], given[number].regret[:, : back.regret.shape[1]])
        assert np.array_equal(back.open[rows, :width], given[number].open[:, : back.open.shape[1]])
        assert not back.open[rows, width:].any()
    other = Memory()
    other.take(held.state())
    assert other.problems == 5
    assert np.array_equal(other.some(np.arange(held.rows)).step, back.step)
    with pytest.raises(ValueError, match="regret"):
        other.take(held.state() | {"memory_regret": np.full_like(held.state()["memory_regret"], np.nan)})


def test_every_method_is_found_by_its_name() -> None:
    assert {"dil", "ddlo"} <= set(METHODS)
    assert {"dil", "ddlo"} <= set(LITERAL)
    assert method("ddlo", literal=True).walks == 3
    assert method("dil", literal=True).walks == 1


# Training itself, where torch is.

KINDS = [("ddlo", False), ("ddlo", True), ("dil", True)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.letters import ddlo, dil
    from layerlift.emulator.studies.learning.proposals import training

    monkeypatch.setattr(examples, "SEEDS", 2)
    monkeypatch.setattr(study, "TRIALS", 1)
    for module in (training, dil):
        monkeypatch.setattr(module, "STEPS", 2)
    monkeypatch.setattr(training, "BATCH", 16)
    for name, value in (("BATCH", 4), ("EVERY", 2), ("BEGINS", 4)):
        monkeypatch.setattr(ddlo, name, value)


def trained(out: Path, planner: str, literal: bool, rounds: int, **more: Any) -> study.Trained:
    given: dict[str, Any] = {"worlds": SMALL.families, "networks": SMALL.networks, "hold_out": ()}
    return study.train(planner, literal=literal, rounds=rounds, out=out, **given | more)


@pytest.mark.long
@pytest.mark.parametrize(("planner", "literal"), KINDS)
def test_a_training_resumed_gives_the_same_bits(small: None, tmp_path: Path, planner: str, literal: bool) -> None:
    whole = trained(tmp_path / "whole", planner, literal, 2)
    first = trained(tmp_path / "parts", planner, literal, 1)
    parts = trained(tmp_path / "parts", planner, literal, 2, resume=True)
    other = trained(tmp_path / "other", planner, literal, 2, seed=2)
    assert whole.policy.label == parts.policy.label
    assert len({whole.policy.label, first.policy.label, other.policy.label}) == 3
    states = [kept.unpacked(tmp_path / folder / kept.STATE).arrays for folder in ("whole", "parts")]
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0].keys() | states[1].keys())
    with pytest.raises(RunError, match="does not fit"):
        method(planner, literal).begun(1).resume({})


@pytest.mark.long
@pytest.mark.parametrize("planner", ["ddlo", "dil"])
def test_letters_learn_what_they_are_shown(planner: str, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift.emulator.studies.learning.letters import dil

    monkeypatch.setattr(dil, "STEPS", 20)
    training = method(planner, literal=True).begun(1)
    again = taught(Lesson(SMALL, (1, 2)))
    losses = [training.round(again) for _ in range(8)]
    assert losses[-1] < 0.7 * max(losses)
