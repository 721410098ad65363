"""Training by reinforcement: what steps come to by hand, memories, and the same bits however training goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_learning import SMALL

from layerlift.emulator.scenario.families import HELD_OUT_FROM
from layerlift.emulator.studies.learning import examples, kept, methods, study
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.gaps import measured, trials
from layerlift.emulator.studies.learning.reinforced import episodes, routes
from layerlift.emulator.studies.learning.reinforced.episodes import Ground, Ways, ground_of, returns, walked
from layerlift.emulator.studies.learning.reinforced.memory import ALPHA, LEAST, Memory
from layerlift.emulator.studies.learning.reinforced.q_error import exact_q, order_error, value_error
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, Worlds
from layerlift.models.errors import LayerliftError
from layerlift.planners.cost.pieces import ahead
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.lacking import FINE, PER_OCTAVE, lacking
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.testing.problems import battery


def a_ground() -> Ground:
    return ground_of(battery()["chain"])


# Ways and what they come to.


def test_whoever_draws_a_lesson_the_problems_are_the_same() -> None:
    whole = episodes.taught(Lesson(SMALL, (1, 2)))
    parts = episodes.joined([episodes.taught(Lesson(SMALL, (seed,))) for seed in (1, 2)])
    assert [each.costs.pieces.tobytes() for each in whole] == [each.costs.pieces.tobytes() for each in parts]
    assert [costs.pieces.tobytes() for _, costs in routes.taught(Lesson(SMALL, (1, 2)))] == [
        each.costs.pieces.tobytes() for each in whole
    ]


def test_ways_go_by_the_best_score_or_astray_and_only_where_it_is_open() -> None:
    ground = ground_of(battery()["modules, pinned layers"])
    scores = np.random.default_rng(1).integers(-9, 9, size=ground.open.shape)
    ways = walked(ground, scores, np.random.default_rng(0), 40)
    count = len(scores)
    assert (ways.before[0] == 0).all()
    assert (ways.before[1:] == ways.taken[:-1]).all()
    each = np.arange(count)[:, None]
    assert ground.open[each, ways.before, ways.taken].all()
    known = np.where(ground.open, scores, -(2**20)).argmax(axis=2)
    assert (ways.best == (ways.taken == known[each, ways.before])).all()
    astray = 1.0 - ways.best.mean(axis=0)
    assert astray[0] > 0.15 > 0.05 > astray[-10:].mean()  # by turns more boldly


def test_returns_are_added_up_until_the_way_goes_astray() -> None:
    ground = a_ground()
    count = len(ground.costs.pieces)
    ways = walked(ground, np.zeros(ground.open.shape, dtype=np.int64), np.random.default_rng(2), 6)
    value = -np.random.default_rng(3).random((count + 1, ground.costs.pieces.shape[1]))
    value[-1] = 0.0
    found = returns(ground, ways, value, 3)
    for way, first in np.ndindex(6, count):
        total, at = 0.0, first
        while True:
            before, node = ways.before[at, way], ways.taken[at, way]
            total -= ground.costs.steps[at, before, node] + ground.costs.pieces[at, node]
            at += 1
            if at == min(first + 3, count) or not ways.best[at, way]:
                break
        expected = total + value[at, ways.taken[at - 1, way]]
        assert found[first, way] == pytest.approx(expected, rel=1e-12)


def test_returns_of_the_exact_way_are_the_exact_values() -> None:
    # With exact values of states, what any step comes to is its exact Q: nothing is left out, and nothing twice.
    ground = a_ground()
    rest, q = ahead(ground.costs.pieces, ground.costs.steps), exact_q(ground.costs)
    scores = np.rint(-1e6 * q).astype(np.int64)
    ways = walked(ground, scores, np.random.default_rng(5), 20)
    count = len(ground.costs.pieces)
    for steps in (1, 4, count):
        found = returns(ground, ways, -rest, steps)
        exact = q[np.arange(count)[:, None], ways.before, ways.taken]
        assert -found == pytest.approx(exact, rel=1e-4)


def test_steps_that_are_drawn_are_steps_of_the_ways() -> None:
    ground = a_ground()
    ways = Ways(*np.zeros((2, len(ground.costs.pieces), 2), dtype=np.int64), np.ones((1, 2), dtype=np.bool_))
    made = np.arange(float(ways.taken.size)).reshape(ways.taken.shape)
    steps = episodes.steps_of(ground, ways, made, 5, np.random.default_rng(0))
    assert len(set(steps.made.tolist())) == 5
    unit = int(steps.made[0]) // 2
    assert np.array_equal(steps.piece[0], ground.seen.piece[unit])
    assert np.array_equal(steps.step[0], ground.seen.step[unit, 0])
    assert steps.rest[0] == np.float32(ground.rest[unit, 0])


# Against exact values.


def test_scores_say_what_steps_lack() -> None:
    scores = np.array([[[0, PER_OCTAVE, -PER_OCTAVE]]])
    found = lacking(scores, np.array([[2.0]]), np.array([[[True, True, True]]]))
    assert found[0, 0] == pytest.approx([2.0 * 1.0 / FINE, 0.0, 2.0 * 3.0 / FINE])
    closed = lacking(scores, np.array([[2.0]]), np.array([[[True, False, True]]]))
    assert closed[0, 0] == pytest.approx([0.0, np.inf, 2.0 * 1.0 / FINE])


def test_the_error_of_exact_values_is_nothing() -> None:
    ground = a_ground()
    q = exact_q(ground.costs)
    best = np.where(ground.open, q, np.inf).min(axis=2)
    share = best / ground.rest[:-1]
    lacks = (q - best[:, :, None]) / ground.rest[:-1][:, :, None]
    scores = np.rint(-PER_OCTAVE * np.log2(1.0 + FINE * np.minimum(lacks, 1e3))).astype(np.int64)
    assert value_error(ground, share, scores) < 0.01
    assert order_error(ground, scores) < 0.01
    assert value_error(ground, share + 0.1, scores) > value_error(ground, share, scores) + 0.005
    assert order_error(ground, np.zeros_like(scores)) > 0.05


@pytest.mark.long
@pytest.mark.parametrize("name", ["drl", "ddpqn"])
def test_policies_that_ship_are_near_the_exact_answer_on_networks_that_they_never_saw(name: str) -> None:
    policy = policy_file.parsed(policy_file.shipped(name), (STEPS,))
    assert 0.0 < float(policy.notes["q_error"]) < 0.1
    among = trials(Worlds(networks=(*HOLD_OUT, "mobilenet_v2")), range(HELD_OUT_FROM + 500, HELD_OUT_FROM + 504))
    found = measured(policy, among)
    assert found.best.mean <= 0.03
    assert found.best.values[0] >= -1e-9


# Memories.


def some_steps(count: int, first: int = 0) -> dict[str, Any]:
    number = first + np.arange(count)
    return {"seen": np.stack([number, number], axis=1), "taken": number % 3, "reward": number / 2.0}


def a_memory(size: int = 8) -> Memory:
    return Memory({"seen": (4,), "taken": ()}, ("reward",), 3, size)


def test_the_oldest_make_room_and_what_is_narrower_is_filled_up() -> None:
    memory = a_memory()
    memory.take_up(some_steps(6))
    memory.take_up(some_steps(4, 6))
    assert memory.held["reward"].tolist() == [4.0, 4.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert memory.held["seen"][0].tolist() == [8, 8, 0, 0]


def test_what_was_misjudged_most_is_drawn_most_and_weighs_least() -> None:
    memory, rng = a_memory(), np.random.default_rng(0)
    memory.take_up(some_steps(4))
    memory.learned(np.arange(4), np.array([0.0, 1.0, -1.0, 8.0]))
    likely = (np.array([0.0, 1.0, 1.0, 8.0]) + LEAST) ** ALPHA
    chosen, weights = memory.drawn(20_000, 0, rng)
    assert np.bincount(chosen, minlength=4) / 20_000 == pytest.approx(likely / likely.sum(), abs=0.015)
    expected = (likely / likely[likely > likely.min()].min()) ** -0.4
    for number in (1, 2, 3):
        among = weights[chosen == number]
        assert among[0] / weights[chosen == 1][0] == pytest.approx(expected[number] / expected[1])
    late = memory.drawn(20_000, 10_000, np.random.default_rng(0))[1]
    assert late[chosen == 3][0] / late[chosen == 1][0] == pytest.approx(likely[1] / likely[3])


def test_a_new_step_is_as_likely_as_the_likeliest() -> None:
    memory = a_memory()
    memory.take_up(some_steps(2))
    memory.learned(np.arange(2), np.array([5.0, 0.0]))
    memory.take_up(some_steps(1, 2))
    assert memory.priority[2] == memory.priority[0] > memory.priority[1]


def test_a_memory_comes_back_and_a_strange_one_is_refused() -> None:
    memory, other = a_memory(), a_memory()
    memory.take_up(some_steps(5))
    state = memory.state()
    memory.take_up(some_steps(2))  # what was kept is not what goes on
    other.resume(state)
    assert other.count == 5
    assert other.held["reward"].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 0.0, 0.0, 0.0]
    for strange in (
        {"count": np.array(-1)},
        {"priority": np.zeros(8)},
        {"taken": np.full(8, 3, dtype=np.uint16)},
        {"seen": state["seen"][:, :2]},
        {"reward": np.full(8, np.nan, dtype=np.float32)},
    ):
        with pytest.raises(ValueError, match=next(iter(strange)).replace("count", "priority")):
            a_memory().resume({**state, **strange})


# Training itself, where torch is.

ALL = (("drl", False), ("ddpqn", False), ("drl", True), ("ddpqn", True))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.reinforced import ddpqn, idrqn, prioritised, reinforcement

    monkeypatch.setattr(examples, "SEEDS", 2)
    monkeypatch.setattr(study, "TRIALS", 1)
    for module in (ddpqn, idrqn, prioritised, reinforcement):
        monkeypatch.setattr(module, "STEPS", 2)
        monkeypatch.setattr(module, "BATCH", 16)


def trained(name: str, literal: bool, out: Path, rounds: int, **more: Any) -> study.Trained:
    given: dict[str, Any] = {"worlds": SMALL.families, "networks": ("squeezenet",), "hold_out": ("alexnet",)}
    return study.train(name, literal=literal, rounds=rounds, out=out, **given | more)


@pytest.mark.long
@pytest.mark.parametrize(("name", "literal"), ALL)
def test_trained_again_and_trained_in_parts_it_is_the_same(
    name: str, literal: bool, small: None, tmp_path: Path
) -> None:
    whole = trained(name, literal, tmp_path / "whole", 3)
    trained(name, literal, tmp_path / "parts", 1)
    parts = trained(name, literal, tmp_path / "parts", 3, resume=True)
    other = trained(name, literal, tmp_path / "other", 3, seed=2)
    assert whole.policy.label == parts.policy.label != other.policy.label
    states = [kept.unpacked(tmp_path / folder / kept.STATE).arrays for folder in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
    how = methods.method(name, literal).begun(1)
    for key, array in states[0].items():
        strange = np.full((2, 1), -1, dtype=array.dtype) if array.dtype.kind != "u" else array[:1]
        with pytest.raises(LayerliftError, match=r"does not fit|is of --seed"):
            how.resume({**states[0], key: strange})


@pytest.mark.long
def test_the_lstm_of_a_policy_says_what_torchs_says(small: None) -> None:
    import torch

    from layerlift.emulator.studies.learning.reinforced.idrqn import Idrqn, _begun, worths
    from layerlift.planners.learned.literal.recurrent import INSIDE
    from layerlift.planners.learned.scorer import session_of

    named = _begun(5)
    session = session_of(policy_file.model_of(Idrqn(5).policy({})))
    seen = np.random.default_rng(0).integers(0, 1024, size=(1, 9, named["weight_ih_l0"].shape[1])).astype(np.float32)
    with torch.no_grad():
        expected = worths(named, torch.from_numpy(seen), None)[0][0].numpy()
    told = cell = np.zeros((1, 1, INSIDE), dtype=np.float32)
    for number in range(9):
        feeds = {"seen": seen[:, number : number + 1] / np.float32(1023), "told_before": told, "cell_before": cell}
        worth, told, cell = session.run(None, feeds)
        assert worth[0] == pytest.approx(expected[number], abs=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", ["drl", "ddpqn"])
def test_reinforcement_makes_plans_better(name: str, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift.emulator.studies.learning.reinforced import prioritised, reinforcement

    for module in (prioritised, reinforcement):
        monkeypatch.setattr(module, "STEPS", 30)
        monkeypatch.setattr(module, "BATCH", 128)
    how = methods.method(name)
    course, material = how.begun(1), episodes.taught(Lesson(SMALL, (1, 2)))
    among = trials(SMALL, (5, 6))
    before = measured(course.policy({}), among).greedy.mean
    losses = [course.round(material) for _ in range(4)]
    assert losses[-1] < losses[0]
    assert measured(course.policy({}), among).greedy.mean < before / 2
