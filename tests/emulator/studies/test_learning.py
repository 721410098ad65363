"""Training: lessons by number, exact labels, files that are only data; and, where torch is, policies bit for bit."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner

import layerlift
from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario.families import HELD_OUT_FROM
from layerlift.emulator.studies.learning import examples, kept, study
from layerlift.emulator.studies.learning.curve import REMARK, chart, table
from layerlift.emulator.studies.learning.examples import Lesson, joined, lesson, problem_costs, regrets, taught
from layerlift.emulator.studies.learning.gaps import Gaps, measured, trials
from layerlift.emulator.studies.learning.kept import Point, Record
from layerlift.emulator.studies.learning.page import page
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, TRIAL_FROM, Worlds, networks_of
from layerlift.models.errors import LayerliftError, RunError, ScenarioError
from layerlift.models.loading import zoo
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.policy_file import written
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.testing.problems import battery

SMALL = Worlds(("lone_random",), ("squeezenet",))
POINT = Point(20, 1.5, 0.25, "held out", 0.02, 0.01, 0.05, 0.9, 0.99, 0.1, 6.0)


# Worlds and lessons.


def test_no_lesson_is_of_worlds_that_are_judged_on_and_none_comes_twice() -> None:
    seeds = [seed for number in range(200) for seed in lesson(SMALL, 3, number).seeds]
    assert len(set(seeds)) == len(seeds)
    far = [seed for number in (0, 19_999) for seed in lesson(SMALL, 40, number).seeds]
    assert all(0 <= seed < TRIAL_FROM < HELD_OUT_FROM for seed in (*seeds, *far))
    assert not set(seeds) & {seed for number in range(200) for seed in lesson(SMALL, 4, number).seeds}


def test_a_file_may_be_held_out(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").touch()
    mine = str(tmp_path / "mine.onnx")
    assert networks_of(("alexnet", mine), (mine,)) == ("alexnet",)
    with pytest.raises(RunError, match="no zoo network and no file"):
        networks_of(("alexnet",), (str(tmp_path),))


def test_networks_that_are_held_out_are_not_trained_on() -> None:
    assert networks_of((), HOLD_OUT) == tuple(name for name in zoo.classics() if name not in HOLD_OUT)
    assert networks_of(("alexnet", "vgg19"), ("vgg19",)) == ("alexnet",)
    with pytest.raises(RunError, match="every network is held out"):
        networks_of(("vgg19",), ("vgg19",))
    with pytest.raises(RunError, match="resnet50"):
        networks_of((), ("resnet5",))


def test_families_that_are_held_out_are_not_trained_on() -> None:
    with pytest.raises(RunError, match="new_networks"):
        Worlds(("lone_random", "new_networks"), ("alexnet",)).check()
    with pytest.raises(ScenarioError, match="lone_rando"):
        Worlds(("lone_rando",), ("alexnet",)).check()
    with pytest.raises(RunError, match="no family"):
        Worlds((), ("alexnet",)).check()
    Worlds().check()


def test_a_seed_has_one_world_and_several_objectives() -> None:
    one, other = (list(SMALL.problems(5)) for _ in range(2))
    assert [problem.digest for problem in one] == [problem.digest for problem in other]
    assert len({problem.digest for problem in one}) > 1
    assert len({problem.bandwidth_bytes_s.tobytes() for problem in one}) == 1
    assert one[0].graph.name.startswith("squeezenet")


def test_whoever_draws_a_lesson_it_teaches_the_same() -> None:
    whole = taught(Lesson(SMALL, (1, 2, 3)))
    parts = joined([taught(Lesson(SMALL, (1,))), taught(Lesson(SMALL, (2, 3)))])
    for name in ("piece", "source", "target", "step", "regret", "open"):
        assert np.array_equal(whole.__getattribute__(name), parts.__getattribute__(name))


def test_regrets_are_those_of_all_ways() -> None:
    _, costs = problem_costs(battery()["chain without parameters"])
    made = regrets(costs)
    count, nodes = costs.pieces.shape
    for first, start in itertools.product(range(count), range(nodes)):
        total = {}
        for way in itertools.product(range(nodes), repeat=count - first):
            before, spent = start, 0.0
            for piece, node in enumerate(way, start=first):
                spent += costs.steps[piece, before, node] + costs.pieces[piece, node]
                before = node
            total[way[0]] = min(spent, total.get(way[0], np.inf))
        least = min(total.values())
        assert made[first, start] == pytest.approx([total[node] - least for node in range(nodes)], abs=1e-9)


def test_examples_tell_which_steps_are_open() -> None:
    pinned = battery()["modules, pinned layers"]
    found = examples.examples_of(pinned, np.random.default_rng(0))
    assert found.open[:, 0].all()
    assert not found.open.all()
    assert (found.regret.min(axis=1) == 0.0).all()
    assert (found.regret <= examples.MOST_REGRET).all()


# What is measured and kept.


def test_gaps_are_told_by_mean_p95_and_worst() -> None:
    found = Gaps.of([0.3, *[0.0] * 18, 0.02])
    assert (found.mean, found.p95, found.worst, found.near) == (pytest.approx(0.016), 0.02, 0.3, 0.9)


@pytest.mark.long
def test_the_policy_that_ships_is_near_the_exact_answer_on_networks_that_it_never_saw() -> None:
    policy = policy_file.parsed(policy_file.shipped("dil"), (STEPS,))
    among = trials(Worlds(networks=(*HOLD_OUT, "mobilenet_v2")), range(HELD_OUT_FROM + 500, HELD_OUT_FROM + 506))
    found = measured(policy, among)
    assert found.best.mean <= 0.01
    assert found.best.mean <= found.greedy.mean
    assert found.best.values[0] >= -1e-9
    assert found.right > 0.9


def record() -> Record:
    arrays = {"seed": np.array(1), "mean_piece": np.arange(6, dtype=np.float32).reshape(2, 3)}
    return Record({"planner": "dil", "seed": 1}, arrays, (POINT, POINT), 1.5)


def test_a_training_comes_back_from_its_file(tmp_path: Path) -> None:
    kept.put(tmp_path, kept.STATE, kept.packed(record()))
    back = kept.unpacked(tmp_path / kept.STATE)
    assert (back.asked, back.points, back.cpu_s) == (record().asked, record().points, 1.5)
    assert {name: array.tolist() for name, array in back.arrays.items()} == {
        name: array.tolist() for name, array in record().arrays.items()
    }


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(kept.packed(record())) | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        changed(version=0),
        changed(points=[[1, 2]]),
        changed(points=[[*list(json.loads(kept.packed(record()))["points"][0][:-1]), "many"]]),
        changed(arrays={"seed": {"dtype": "object", "shape": [], "data": ""}}),
        changed(arrays={"seed": {"dtype": "float32", "shape": [10**12], "data": "AAAA"}}),
        changed(arrays={"seed": {"dtype": "float32", "shape": [], "data": "%"}}),
        changed(cpu_s="NaN"),
    ],
)
def test_a_strange_training_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / kept.STATE
    path.write_bytes(content)
    with pytest.raises(RunError, match="begin anew with --force"):
        kept.unpacked(path)


def test_the_curve_is_a_table(tmp_path: Path) -> None:
    kept.put(tmp_path, kept.CURVE, kept.curve((POINT,)))
    rows = pyarrow.parquet.read_table(tmp_path / kept.CURVE).to_pylist()
    assert rows[0]["group"] == "held out"
    assert (rows[0]["round"], rows[0]["best_mean"], rows[0]["local_mean"]) == (20, 0.01, 6.0)


@pytest.mark.long
def test_the_page_shows_what_was_asked_for_and_every_point() -> None:
    asked = {"worlds": ["a<b", "c"]}
    made = page("Training of <dil>", ["One & two."], asked, chart([POINT], 64), REMARK, table([POINT], 64))
    assert "Training of &lt;dil&gt;" in made
    assert "One &amp; two." in made
    assert "<td>a&lt;b, c</td>" in made
    assert "best of 64 walks" in made
    assert "<td>99.00</td>" in made


@pytest.mark.parametrize(
    ("resume", "force", "there", "told"),
    [
        (True, False, (), "holds no training"),
        (True, False, (kept.POLICY,), "holds no training"),
        (False, False, (kept.STATE,), "holds a training: go on with --resume, replace it with --force, or"),
        (False, False, (kept.PAGE, kept.POLICY), "already holds a training: "),
        (False, False, (kept.PAGE,), "holds an index.html of something else: replace it with --force, or give --out"),
        (False, True, (kept.STATE,), ""),
        (True, False, (kept.STATE,), ""),
        (False, False, (), ""),
    ],
)
def test_a_folder_is_looked_at_first(
    resume: bool, force: bool, there: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).write_text("x")
    if told:
        with pytest.raises(RunError, match=told):
            kept.check(tmp_path, resume, force)
    else:
        kept.check(tmp_path, resume, force)


# Training itself, where torch is.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from layerlift.emulator.studies.learning import training

    monkeypatch.setattr(examples, "SEEDS", 2)
    monkeypatch.setattr(training, "STEPS", 3)
    monkeypatch.setattr(training, "BATCH", 64)
    monkeypatch.setattr(study, "TRIALS", 1)


def trained(out: Path, rounds: int, **more: Any) -> study.Trained:
    given: dict[str, Any] = {"worlds": SMALL.families, "networks": SMALL.networks, "hold_out": ("alexnet",)}
    return study.train("dil", rounds=rounds, out=out, **given | more)


@pytest.mark.long
def test_training_again_and_training_resumed_give_the_same_bits(small: None, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 3)
    again = trained(tmp_path / "again", 3)
    trained(tmp_path / "parts", 1)
    parts = trained(tmp_path / "parts", 3, resume=True)
    other = trained(tmp_path / "other", 3, seed=2)
    name = whole.policy.label
    assert name == again.policy.label == parts.policy.label != other.policy.label
    states = [kept.unpacked(tmp_path / folder / kept.STATE).arrays for folder in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
    assert parts.rounds == 3
    assert len(parts.points) > len(whole.points)
    found = policy_file.parsed((tmp_path / "whole" / kept.POLICY).read_bytes(), (STEPS,))
    assert found.label == name
    assert found.notes["rounds"] == "3"
    with pytest.raises(RunError, match="has seed 1, asked for is 2"):
        trained(tmp_path / "whole", 4, seed=2, resume=True)


@pytest.mark.long
def test_whoever_draws_the_worlds_the_policy_is_the_same(small: None, tmp_path: Path) -> None:
    alone = trained(tmp_path / "one", 2)
    together = trained(tmp_path / "two", 2, workers=2)
    assert together.policy.label == alone.policy.label
    assert together.points[-1].best_mean == alone.points[-1].best_mean


@pytest.mark.long
def test_what_the_network_says_is_what_the_policy_says(small: None) -> None:
    import torch

    from layerlift.emulator.studies.learning.network import Network, policy_of
    from layerlift.planners.learned.features import Features
    from layerlift.planners.learned.policy import exact_scores

    network = Network(7)
    policy = policy_of(network.parameters)
    policy.check("mine")
    found = taught(Lesson(SMALL, (1,)))
    with torch.no_grad():
        names = ("piece", "source", "target", "step")
        scores = network.scores({name: torch.from_numpy(found.__getattribute__(name)) for name in names}).numpy()
    for at in range(0, len(scores), 17):
        count = found.open.shape[1]
        # One piece, whose first node is where the state is: the policy's row of it.
        node = np.concatenate([found.source[at][None], found.target[at]])[None]
        step = np.zeros((1, count + 1, count + 1, found.step.shape[2]), dtype=np.float32)
        step[0, 0, 1:] = found.step[at]
        expected = exact_scores(policy, Features(found.piece[at : at + 1], node, step))[0, 0, 1:]
        assert np.array_equal(scores[at], expected)


@pytest.mark.long
def test_a_training_that_is_stopped_leaves_what_its_last_whole_round_made(small: None, tmp_path: Path) -> None:
    def stop(found: study.Trained, share: float) -> None:
        if found.rounds == 2:
            raise KeyboardInterrupt

    stopped = trained(tmp_path / "stopped", 5, progress=stop)
    assert stopped.signal == 2
    assert stopped.rounds == 2
    whole = trained(tmp_path / "whole", 2)
    assert stopped.policy.label == whole.policy.label
    policy_file.read(tmp_path / "stopped" / kept.POLICY, (STEPS,))
    went_on = trained(tmp_path / "stopped", 3, resume=True)
    assert went_on.policy.label == trained(tmp_path / "three", 3).policy.label


@pytest.mark.long
def test_a_state_that_does_not_fit_is_refused(small: None, tmp_path: Path) -> None:
    from layerlift.emulator.studies.learning.training import Training

    training = Training(1)
    state = training.state()
    for strange in (
        {},
        state | {"mean_piece": np.zeros((2, 2), dtype=np.float32)},
        state | {"mean_piece": np.full_like(state["mean_piece"], np.nan)},
        state | {"rounds": np.array(-1)},
        state | {"rounds": np.array(4)},
    ):
        with pytest.raises(LayerliftError, match="does not fit"):
            Training(1).resume(strange)
    with pytest.raises(RunError, match="is of --seed 1"):
        Training(2).resume(state)


@pytest.mark.long
def test_the_command_trains_a_policy_that_plans(small: None, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    given = ["--rounds", "2", "--worlds", "lone_random", "--networks", "squeezenet", "--hold-out", "alexnet"]
    taught = CliRunner().invoke(main, ["train", "dil", *given, "--out", str(out)])
    assert taught.exit_code == 0, taught.output
    assert "dil after 2 rounds" in taught.output
    assert {path.name for path in out.iterdir()} == set(kept.FILES)
    made = CliRunner().invoke(main, ["plan", "--planner", f"dil:policy={out / kept.POLICY}", "quickstart"])
    assert made.exit_code == 0, made.output


@pytest.mark.long
def test_a_program_gets_the_policy_its_place_and_its_numbers(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = layerlift.train("dil", rounds=1, worlds="lone_random", networks=["squeezenet"], hold_out="alexnet")
    assert found.policy_path == Path("trained-dil") / kept.POLICY
    assert policy_file.read(found.policy_path, (STEPS,)) == written(found.policy)
    assert found.complete
    assert found.to_arrow().to_pylist() == pyarrow.parquet.read_table(found.out / kept.CURVE).to_pylist()
    assert [row["group"] for row in found.to_arrow().to_pylist()] == ["held out", "training"]
    heads, lines = found.table()
    assert len(lines) == 2
    assert heads[0] == "round"
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["written"] == str(found.policy_path)
    assert repr(found).startswith("<Training of dil: dil after 1 round,")
    assert str(found.policy_path) in found._repr_html_()
    assert found.standing().startswith("round 1, held out ")


@pytest.mark.long
def test_training_makes_plans_better(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift.emulator.studies.learning import training

    monkeypatch.setattr(training, "STEPS", 30)
    course = training.Training(1)
    among = trials(SMALL, range(TRIAL_FROM, TRIAL_FROM + 3))
    before = measured(course.policy({}), among).greedy.mean
    losses = [course.round(taught(lesson(SMALL, 1, number))) for number in range(4)]
    assert losses[-1] < losses[0]
    assert measured(course.policy({}), among).greedy.mean < before / 2
