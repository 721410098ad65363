"""Meta reinforcement: places, episodes, trainings bit for bit, adapting; MRLCO's network in torch and as it plans."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.learning import kept
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.meta import adapting, places
from layerlift.emulator.studies.learning.meta.adapting import adapt
from layerlift.emulator.studies.learning.meta.places import FACTORS, Place, Truth, joined, place_of, taught
from layerlift.emulator.studies.learning.methods import LITERAL, METHODS
from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.models.errors import LayerliftError, RunError
from layerlift.planners import simple_problem
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.problem.problem import Problem
from layerlift.planners.testing.problems import chain_graph

SMALL = Worlds(("lone_random",), ("alexnet",))
TRAININGS = {"meta_drl": METHODS, "meta_drl_plain": METHODS, "literal": LITERAL}


def begun(name: str, seed: int = 1) -> Any:
    pytest.importorskip("torch")
    return LITERAL["meta_drl"].begun(seed) if name == "literal" else METHODS[name].begun(seed)


def a_problem(seed: int = 0, layers: int = 4, servers: int = 2) -> Problem:
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(0.01, 0.1, (layers, servers + 1))
    graph = chain_graph(rng.integers(1000, 9000, layers).tolist(), [1000] * layers)
    return simple_problem(graph, seconds, bandwidth_bytes_s=np.full((servers + 1, servers + 1), 1e5))


def a_place(seed: int = 0, truth: Truth | None = None) -> Place:
    problem = a_problem(seed)
    return place_of(problem, (truth or Truth()).of(problem))


# Places.


def test_the_truth_slows_servers_and_links_and_leaves_the_client() -> None:
    told = a_problem()
    true = Truth(servers=3.0, links=2.0).of(told)
    assert np.array_equal(true.seconds[:, 0], told.seconds[:, 0])
    assert np.allclose(true.seconds[:, 1:], 3.0 * told.seconds[:, 1:])
    assert np.allclose(true.bandwidth_bytes_s, told.bandwidth_bytes_s / 2.0)


def test_what_is_seen_is_told_and_what_is_paid_is_true() -> None:
    honest, lied = a_place(), a_place(truth=Truth(servers=3.0, links=2.0))
    for name in ("piece", "node", "step"):
        assert np.array_equal(honest.seen.__getattribute__(name), lied.seen.__getattribute__(name))
    assert np.array_equal(honest.promised, lied.promised)
    assert np.allclose(lied.true.pieces[:-1, 1:], 3.0 * honest.true.pieces[:-1, 1:])
    assert np.allclose(lied.true.steps, 2.0 * honest.true.steps, rtol=0.02)  # delays aside
    for place in (honest, lied):
        every = np.array(list(itertools.product(range(3), repeat=4)))
        assert place.exact == pytest.approx(place.true.totals(every).min())


def test_a_task_has_one_network_and_one_objective_and_whoever_draws_it_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[Problem, Problem]] = []

    def noted(told: Problem, true: Problem) -> Place:
        drawn.append((told, true))
        return place_of(told, true)

    monkeypatch.setattr(places, "WORLDS", 2)
    monkeypatch.setattr(places, "place_of", noted)
    whole = taught(Lesson(SMALL, (3, 4)))
    parts = joined([taught(Lesson(SMALL, (3,))), taught(Lesson(SMALL, (4,)))])
    assert [[place.exact for place in task] for task in whole] == [[place.exact for place in task] for task in parts]
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert first[0].objective == second[0].objective
        assert first[0].digest != second[0].digest
        ratios = [float(true.seconds[0, 1] / told.seconds[0, 1]) for told, true in (first, second)]
        assert ratios[0] == pytest.approx(ratios[1])
        assert any(ratios[0] == pytest.approx(factor) for factor in FACTORS)


# Episodes.


def test_a_step_is_worth_what_its_walk_cost_less_than_the_others_from_there_on() -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.meta.reinforce import worths

    place = a_place()
    walks = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 2, 2]])
    made = worths(place, walks)
    for at in range(4):
        beyond = []
        for walk in walks:
            before, spent = (0 if at == 0 else walk[at - 1]), 0.0
            rest = place.promised[at, before]
            for number in range(at, 4):
                spent += place.true.steps[number, before, walk[number]] + place.true.pieces[number, walk[number]]
                before = walk[number]
            beyond.append(spent - rest)
        others = [(sum(beyond) - each) / 2 for each in beyond]
        better = np.array([other - each for each, other in zip(beyond, others, strict=True)])
        scale = made[:, at] / better
        assert scale == pytest.approx(scale[0])
        assert scale[0] > 0


def test_walks_are_drawn_as_often_as_they_are_likely() -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.meta.reinforce import drawn

    odds = np.array([[[0.5, 0.3, 0.2]] * 3, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.25, 0.0, 0.75]]])
    made = drawn(odds, 20_000, np.random.default_rng(0))
    assert np.bincount(made[:, 0]) / 20_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    assert set(made[made[:, 0] == 0, 1].tolist()) == {1}
    assert np.mean(made[made[:, 0] == 2, 1] == 2) == pytest.approx(0.75, abs=0.02)


@pytest.mark.long
def test_episodes_lead_from_a_policy_that_knows_nothing_to_one_that_is_near() -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.meta.curves import MARKS, adapted, curve
    from layerlift.emulator.studies.learning.network import Network, policy_of

    played, among = ([a_place(seed) for seed in seeds] for seeds in (range(40), range(50, 60)))
    policy = policy_of(Network(3).parameters)
    after, before, gap = adapted(policy, played, among, np.random.default_rng(0))
    assert gap < before / 2
    again, _, same = adapted(policy, played, among, np.random.default_rng(0))
    assert same == gap
    assert all(np.array_equal(again.tables[name], table) for name, table in after.tables.items())
    points = curve(policy, played, among, np.random.default_rng(0))
    assert points[0] == before
    assert len(points) == len([mark for mark in MARKS if mark <= 40])
    # What is measured of a network is what its policy does: rounding changes nothing.
    assert adapted(after, [], among, np.random.default_rng(0))[1] == gap


# Trainings.


@pytest.mark.long
@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_again_and_resumed_give_the_same_bits(name: str) -> None:
    tasks = ((a_place(0), a_place(1)), (a_place(2, Truth(links=3.0)),))
    whole, again, part, other = (begun(name, seed) for seed in (1, 1, 1, 2))
    for training in (whole, again, other):
        for _ in range(2):
            training.round(tasks)
    part.round(tasks)
    late = begun(name)
    late.resume(part.state())
    late.round(tasks)
    label = whole.policy({}).label
    assert label == again.policy({}).label == late.policy({}).label != other.policy({}).label
    assert label != begun(name).policy({}).label
    assert late.rounds == 2
    for key, array in whole.state().items():
        assert np.array_equal(array, late.state()[key])


@pytest.mark.long
@pytest.mark.parametrize("name", TRAININGS)
def test_a_state_that_does_not_fit_is_refused(name: str) -> None:
    training = begun(name)
    state = training.state()
    key = next(key for key in state if key.startswith("parameter_"))
    for strange in (
        {},
        state | {key: np.zeros((2, 2), dtype=np.float32)},
        state | {key: np.full_like(state[key], np.nan)},
        state | {"rounds": np.array(-1)},
    ):
        with pytest.raises(RunError, match="does not fit"):
            begun(name).resume(strange)
    with pytest.raises(RunError, match="is of --seed 1"):
        begun(name, 2).resume(state)


@pytest.mark.long
def test_the_control_learns_another_policy_from_the_same_episodes() -> None:
    tasks = ((a_place(0), a_place(1)),)
    meta, plain = begun("meta_drl"), begun("meta_drl_plain")
    assert meta.policy({}).label == plain.policy({}).label
    for training in (meta, plain):
        training.round(tasks)
    assert meta.policy({}).label != plain.policy({}).label


@pytest.mark.long
def test_what_mrlco_says_in_torch_is_what_the_policy_says() -> None:
    torch = pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.meta.mrlco import Mrlco
    from layerlift.planners.learned.literal.seq2seq import Seq2seqWalker, embedding

    training = Mrlco(1)
    place = a_place()
    for _ in range(2):
        training.round([(place,)])
    units = embedding(place.told, 1)
    said = Seq2seqWalker(training.policy({})).answers(units)
    with torch.no_grad():
        logits, _, _ = training._core(torch.from_numpy(units)[:, None])
    assert said == pytest.approx(logits[:, 0].numpy(), abs=1e-5)


@pytest.mark.long
def test_rewards_to_come_are_credited_as_gae_has_it() -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning.meta.mrlco import GAMMA, LAMBDA, _credited

    rewards, worth = (np.random.default_rng(seed).normal(size=(5, 3)) for seed in (0, 1))
    returns, better = _credited(rewards, worth)
    after = np.vstack([worth[1:], np.zeros((1, 3))])
    wrong = rewards + GAMMA * after - worth
    for at in range(5):
        assert returns[at] == pytest.approx(sum(GAMMA**k * rewards[at + k] for k in range(5 - at)))
    raw = np.array([sum((GAMMA * LAMBDA) ** k * wrong[at + k] for k in range(5 - at)) for at in range(5)])
    assert better == pytest.approx((raw - raw.mean()) / raw.std(), abs=1e-6)


# Adapting.


@pytest.mark.long
def test_adapting_writes_a_policy_that_plans_and_the_same_again(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    one, other, third = (
        adapt("quickstart", episodes=episodes, out=tmp_path / name, seed=seed)
        for name, episodes, seed in (("one", 3, 1), ("other", 3, 1), ("third", 3, 2))
    )
    contents = [(tmp_path / name / "policy.onnx").read_bytes() for name in ("one", "other")]
    assert contents[0] == contents[1]
    assert one.policy.label == other.policy.label != third.policy.label
    assert one.policy_path == tmp_path / "one" / "policy.onnx"
    assert repr(one) == f"<{one.sentence} In {tmp_path / 'one'}>"
    start = policy_file.parsed(policy_file.shipped("meta_drl"), (STEPS,))
    assert one.policy.label != start.label
    notes = policy_file.parsed(contents[0], (STEPS,)).notes
    assert notes["adapted_to"] == one.scenario
    assert notes["episodes"] == "3"
    on = adapt("quickstart", episodes=2, policy=tmp_path / "one" / "policy.onnx", out=tmp_path / "on")
    assert on.before == pytest.approx(one.after)
    with pytest.raises(RunError, match="already holds a training: replace it with --force, or give --out"):
        adapt("quickstart", episodes=2, out=tmp_path / "one")
    made = CliRunner().invoke(
        main, ["plan", "quickstart", "--planner", f"meta_drl:alone=true,policy={tmp_path / 'one' / 'policy.onnx'}"]
    )
    assert made.exit_code == 0, made.output
    for name in (kept.CURVE, kept.STATE, kept.PAGE):
        (tmp_path / "other" / name).write_text("of a training that is replaced")
    (tmp_path / "other" / "notes.txt").write_text("somebody else's")
    adapt("quickstart", episodes=2, out=tmp_path / "other", force=True)
    assert {path.name for path in (tmp_path / "other").iterdir()} == {kept.POLICY, "notes.txt"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"episodes": 0}, "episodes is 0, expected a whole number from 1 to 100,000"),
        ({"episodes": True}, "episodes is True, expected a whole number"),
        ({"seed": 41}, "seed is 41, expected a whole number from 0 to 40"),
        ({"out": 5}, "out is 5, expected a folder for the policy"),
        ({"episodes": 10**5000}, "episodes is a number of thousands of digits, expected a whole number"),
        ({"force": "no"}, "force is 'no', expected True or False"),
        ({"scenario": None}, "the scenario is None, expected the name of one"),
        ({"scenario": ""}, "no scenario ''"),
        ({"policy": 5}, "policy is 5, expected the file of one"),
        ({"policy": b"x"}, "policy is b'x', expected the file of one"),
        ({"policy": True}, "policy is True, expected the file of one"),
        ({"policy": []}, r"policy is \[\], expected the file of one"),
        ({"policy": "nowhere.onnx"}, "policy nowhere.onnx cannot be read"),
    ],
)
def test_a_wrong_call_of_adapt_is_told_before_anything_is_written(
    wrong: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LayerliftError, match=said):
        adapt(**{"scenario": "quickstart"} | wrong)
    assert not list(tmp_path.iterdir())


def test_episodes_pay_what_servers_really_take() -> None:
    given = ["planner.predictions={bias: -0.75, sigma: 0.0}"]
    world = Scenario.load("quickstart", given).resolve()
    place = next(adapting._some(world, 1, "episodes", 1))
    work = np.flatnonzero(place.told.pieces[:-1, 1] > 0)
    assert place.true.pieces[work, 1] == pytest.approx(4.0 * place.told.pieces[work, 1], rel=1e-3)
    assert place.true.pieces[work, 0] == pytest.approx(place.told.pieces[work, 0])


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["train", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["dil", "--adapt", "quickstart"], "policy of meta_drl"),
        (["meta_drl", "--adapt", "quickstart", "--literal"], "--literal"),
        (["meta_drl", "--adapt", "quickstart", "--resume"], "--resume"),
        (["meta_drl", "--adapt", "quickstar"], "quickstart"),
        (["meta_drl", "--adapt", "quickstart", "--policy", "none.onnx"], "cannot be read"),
        (["meta_drl", "--adapt", "quickstart", "--episodes", "0"], "episodes"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str], told: str, tmp_path: Path) -> None:
    code, output = said(*arguments, "--out", str(tmp_path / "new"))
    assert code != 0
    assert told in output
    assert not (tmp_path / "new").exists()


def test_without_torch_adapting_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    here = [name for name in sys.modules if name.startswith("layerlift.emulator.studies.learning.")]
    for name in here:
        if "torch" in vars(sys.modules[name]):
            monkeypatch.delitem(sys.modules, name)
    code, output = said("meta_drl", "--adapt", "quickstart", "--out", str(tmp_path / "new"))
    assert code != 0
    assert "pip install 'layerlift[learn]'" in output
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_the_command_adapts(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code, output = said("meta_drl", "--adapt", "quickstart", "--episodes", "2", "--out", str(tmp_path / "new"))
    assert code == 0, output
    assert "meta_drl after 2 episodes in quickstart" in output
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["policy.onnx"]
