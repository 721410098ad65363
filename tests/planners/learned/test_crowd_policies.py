"""The mixed strategy for crowds: exact offers, whole-number scores, draws by weight, and files as a stranger's."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from some_policies import some_weights

from layerlift.models.errors import PlanError
from layerlift.models.onnx_files.runtime import ort
from layerlift.planners import Judge, Objective, Problem, make, validate
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.crowd.features import OWN, SERVER, VERSION, View, gains, view_of
from layerlift.planners.learned.crowd.mixtures import MIXTURE, Scorer, mixture_of, weights_of
from layerlift.planners.learned.crowd.offers import held_bytes, offers_of, work_s
from layerlift.planners.learned.crowd.planner import BITS, drawn, number_of
from layerlift.planners.learned.crowd.policy import BY_HAND, Mixture, exact_scores, mixture
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.policy import EXACT
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.testing.problems import battery, chain_graph, told_of_crowd

COUNT = len(SERVER) + len(OWN) + 1


def some_mixture(seed: int, most: int = 512) -> Mixture:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-most, most + 1, size=COUNT)
    numbers[-1] = rng.integers(-(2**22), 2**22)
    return Mixture.of(numbers)


def some_view(rng: np.random.Generator) -> View:
    def table(*shape: int) -> np.ndarray:
        made = rng.integers(0, LARGEST + 1, size=shape)
        return np.where(rng.random(shape) < 0.2, LARGEST, made).astype(np.float32)

    return View(table(int(rng.integers(1, 40)), len(SERVER)), table(len(OWN)))


# Whole numbers.


@pytest.mark.long
def test_onnxruntime_says_what_64_bit_whole_numbers_say_however_it_runs() -> None:
    rng = np.random.default_rng(5)
    for seed in range(12):
        policy = some_mixture(seed)
        policy.check("mine")
        scorers = [Scorer(weights_of(policy, {}), threads, on) for threads in (1, 4) for on in (True, False)]
        for _ in range(20):
            view = some_view(rng)
            expected = exact_scores(policy, view)
            assert expected.shape == (1 + len(view.server),)
            for scorer in scorers:
                assert np.array_equal(scorer.scores(view), expected)


def test_scores_are_sums_halved_nine_times_and_cut_off() -> None:
    policy = mixture({"gain": 3, "load": -2}, {"think": 5}, 7)
    server, own = np.zeros((2, len(SERVER)), dtype=np.float32), np.zeros(len(OWN), dtype=np.float32)
    server[0, SERVER.index("gain")], server[1, SERVER.index("load")] = 1000, 1000
    own[OWN.index("think")] = 1000
    assert exact_scores(policy, View(server, own)).tolist() == [5007 // 512, 3000 // 512, -2000 // 512]
    far = exact_scores(mixture({"gain": 16_000}, {}, -(2**23)), View(server, own)).tolist()
    assert far == [-1023, 1023, 0]


def test_sums_that_no_float_holds_are_refused() -> None:
    numbers = np.zeros(COUNT, dtype=np.int64)
    numbers[-1] = EXACT - 1
    Mixture.of(numbers).check("mine")
    numbers[-1] = EXACT
    with pytest.raises(PlanError, match="sums may reach 16777216"):
        Mixture.of(numbers).check("mine")
    numbers[:] = 0
    numbers[:2] = EXACT // (2 * LARGEST) + 1
    with pytest.raises(PlanError, match="sums may reach"):
        Mixture.of(numbers).check("mine")
    assert np.array_equal(Mixture.of(numbers).numbers, numbers)


# Draws.


def test_a_choice_is_twice_as_likely_for_every_eight_that_its_score_is_higher() -> None:
    scores = np.array([16, 0, 8, -2000])
    every = [drawn(scores, number << (BITS - 14)) for number in range(2**14)]
    counts = Counter(every)
    assert counts[3] == 0
    assert counts[0] / counts[2] == pytest.approx(2.0, rel=0.01)
    assert counts[2] / counts[1] == pytest.approx(2.0, rel=0.01)
    assert drawn(scores, 2**BITS - 1) == 2
    assert drawn(np.array([-1023]), 2**BITS - 1) == 0


def test_users_in_a_row_draw_numbers_that_are_spread_evenly_and_by_chance_where_nobody_is_numbered() -> None:
    told = battery()["chain, told of the crowd"]
    assert told.crowd is not None
    rng = random.Random(1)
    before = rng.getstate()
    for first in (0, 1000):
        users = [replace(told, crowd=replace(told.crowd, user=user)) for user in range(first, first + 100)]
        bins = Counter(number_of(each, rng) * 10 >> BITS for each in users)
        assert set(bins) == set(range(10))
        assert max(bins.values()) - min(bins.values()) <= 4
    assert rng.getstate() == before
    bare = replace(told, crowd=None)
    assert number_of(bare, random.Random(3)) == random.Random(3).getrandbits(31)


# Offers.


def ways(problem: Problem, server: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, server), repeat=len(problem.graph)))


@pytest.mark.parametrize("name", ["chain", "chain, energy", "chain without parameters", "one layer"])
def test_of_a_chain_an_offer_is_the_best_of_all_ways_over_its_server(name: str) -> None:
    problem = battery()[name]
    judge = Judge(problem)
    offers = {offer.server: offer for offer in offers_of(judge)}
    for server in problem.servers:
        best = min(judge.key(way) for way in ways(problem, server))
        if server in offers:
            assert offers[server].rank == judge.key(offers[server].placement)
            assert offers[server].rank[1] == pytest.approx(best[1], rel=1e-9)
        else:
            assert best[1] >= judge.local_key[1] * (1 - 1e-9)


def test_an_offer_may_come_home_before_the_end() -> None:
    # The second layer is heavy, and what the third makes is large: only there and back pays.
    graph = chain_graph([1_000, 1_000, 5_000_000, 4_000_000], [10, 10, 10, 10])
    seconds = np.array([[0.01, 0.001], [2.0, 0.02], [0.01, 0.001], [0.01, 0.001]])
    problem = simple_problem(graph, seconds, bandwidth_bytes_s=1e6)
    judge = Judge(problem)
    [offer] = offers_of(judge)
    cut = judge.best_cut(1)
    assert cut is not None
    assert offer.placement == (0, 1, 0, 0)
    assert offer.rank < cut[0]
    assert offer.rank == min(judge.key(way) for way in ways(problem, 1))


def test_offers_are_legal_and_beat_staying_local() -> None:
    for problem in battery().values():
        judge = Judge(problem)
        for offer in offers_of(judge):
            assert judge.key(offer.placement) == offer.rank < judge.local_key
            assert set(offer.placement) <= {0, offer.server}
    assert not offers_of(Judge(battery()["chain, slow servers"]))
    assert not offers_of(Judge(battery()["chain, no server"]))


# What is seen.


def tiny(**changes: object) -> Problem:
    """Two layers that the server does in a tenth of the time; 100 kB go there, 4 B come back."""
    graph = chain_graph([50_000, 4], [400_000, 600_000], "tiny")
    seconds = np.array([[0.5, 0.05], [0.5, 0.05]])
    return replace(simple_problem(graph, seconds, bandwidth_bytes_s=1e7, latency_s=0.0), **changes)  # type: ignore[arg-type]


def seen_of(problem: Problem) -> tuple[dict[str, float], dict[str, float]]:
    judge = Judge(problem)
    view = view_of(problem, judge, offers_of(judge))
    server = dict(zip(SERVER, view.server[0].tolist(), strict=True))
    return server, dict(zip(OWN, view.own.tolist(), strict=True))


def octaves(value: float) -> float:
    """48 log2(1 + 512 value), the logarithm drawn straight between powers of two."""
    one, count = 1.0 + 512.0 * value, 0
    while one >= 2.0:
        one, count = one / 2.0, count + 1
    return float(round(48 * (count + one - 1.0)))


def test_what_a_user_sees_of_an_idle_server() -> None:
    server, own = seen_of(tiny())
    gain = 1.0 - (0.06 + 0.1 + 4e-7)  # 600 kB of input take 60 ms
    assert server["gain"] == server["gain_beside"] == round(1023 * gain)
    assert server["capacity"] == octaves(10.0) == own["capacity"]
    assert server["work"] == server["wanted"] == octaves(0.1)
    assert server["upload"] == octaves(0.1)  # a megabyte of parameters, a tenth of staying local
    assert server["unknown"] == 512
    assert [server[name] for name in ("load", "share", "filled", "behind", "claimed", "users", "plans")] == [0] * 7
    assert own["servers"] == 48
    assert own["best_gain"] == server["gain"]
    assert own["users"] == own["claimed"] == own["think"] == 0


def test_what_a_user_sees_of_a_server_that_others_use() -> None:
    busy = tiny(
        load=np.array([0.0, 3.0]), cores=np.array([1, 4]), share=np.array([1.0, 0.5]),
        memory_bytes=np.array([np.inf, 4e6]), load_s_per_byte=np.array([0.0, 1e-7]),
    )  # fmt: skip
    told = told_of_crowd(busy, user=5, per_s=2.0)
    assert told.crowd is not None
    told = replace(
        told,
        crowd=replace(
            told.crowd,
            age_s=np.array([0.0, 1.0]), work=np.array([0.0, 2.0]), users=np.array([0.0, 7.0]),
            promised_bytes=np.array([0.0, 2e6]), plans=np.array([0.0, 12.0]),
            received_bytes_s=np.array([0.0, 4e6]), sent_bytes_s=np.array([0.0, 1e6]),
            downlink_bytes_s=np.array([1e7, 1e7]), uplink_bytes_s=np.array([1e7, 1e7]),
        ),
    )  # fmt: skip
    server, own = seen_of(told)
    gain = 1.0 - (0.06 + 0.2 + 4e-7)
    assert server["gain"] == round(1023 * gain)
    # Half of it is claimed: a piece takes as long again.
    assert server["gain_beside"] == round(1023 * (gain - 0.2))
    assert server["capacity"] == own["capacity"] == octaves(40.0)
    assert server["upload"] == octaves(0.2)
    assert server["wanted"] == octaves(0.1 * 2.0 / 4)
    assert server["load"] == octaves(3 / 4 / 512)
    assert server["share"] == 48
    assert server["filled"] == octaves(0.25)
    assert server["claimed"] == octaves(0.5) == own["claimed"]
    assert server["users"] == octaves(7 / 4 / 512)
    assert server["promised"] == octaves(0.5)
    assert server["plans"] == 96
    assert server["link"] == octaves(0.4)
    assert server["unknown"] == 0
    assert own["users"] == octaves(7 / 512)
    assert own["think"] == octaves(0.5)


def test_a_server_with_no_memory_and_no_link_is_seen_as_a_number_all_the_same() -> None:
    bare = replace(battery()["chain without parameters"], memory_bytes=np.array([np.inf, 0.0, 0.0, 0.0]))
    told = told_of_crowd(bare)
    assert told.crowd is not None
    told = replace(told, crowd=replace(told.crowd, downlink_bytes_s=np.zeros(4)))
    judge = Judge(told)
    offers = offers_of(judge)
    view = view_of(told, judge, offers)
    assert offers
    assert np.isfinite(view.server).all()
    assert (view.server[:, SERVER.index("filled")] == 0).all()


def test_a_server_that_is_behind_the_best_says_by_how_much() -> None:
    problem = battery()["chain"]
    judge = Judge(problem)
    offers = offers_of(judge)
    view = view_of(problem, judge, offers)
    found = gains(judge, offers)
    behind = view.server[:, SERVER.index("behind")].tolist()
    assert behind == [octaves(float(found.max() - gain)) for gain in found]
    assert min(behind) == 0 < max(behind)
    assert work_s(problem, offers).shape == held_bytes(problem, offers).shape == found.shape


def test_who_would_keep_a_deadline_gains_what_is_missed_at_home() -> None:
    judge = Judge(tiny(objective=Objective(latency=0.0, money=1.0, deadline_s=0.5)))
    # At home 1 s is twice the deadline; there 0.16 s keeps it.
    assert gains(judge, offers_of(judge)).tolist() == [1.0]
    judge = Judge(tiny(objective=Objective(deadline_s=0.1)))
    assert gains(judge, offers_of(judge)).tolist() == [pytest.approx((9.0 - 0.6) / 9.0, abs=1e-4)]


# The planner.


def crowd_of(count: int) -> list[Problem]:
    told = told_of_crowd(tiny(), user=0)
    assert told.crowd is not None
    return [replace(told, crowd=replace(told.crowd, user=user)) for user in range(count)]


def test_equal_users_spread_over_home_and_servers_and_always_alike(tmp_path: Path) -> None:
    path = tmp_path / "soft.onnx"
    path.write_bytes(policy_file.written(weights_of(mixture({"gain": 29, "capacity": 85}, {}, 60_354), {})))
    planner = make(f"crowd:policy={path}")
    problem = battery()["chain"]
    told = told_of_crowd(problem)
    assert told.crowd is not None
    users = [replace(told, crowd=replace(told.crowd, user=user)) for user in range(60)]
    plans = [planner.plan(user, random.Random(0)) for user in users]
    assert plans == [planner.plan(user, random.Random(9)) for user in users]
    used = Counter(max(plan.placement) for plan in plans)
    assert len([server for server in used if server]) > 1
    for plan, user in zip(plans, users, strict=True):
        validate(plan, user)


def test_a_policy_decides_how_many_stay_at_home(tmp_path: Path) -> None:
    shares = []
    for name, home in (("keen", -100_000), ("even", 0), ("shy", 100_000)):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(policy_file.written(weights_of(mixture({}, {}, home), {})))
        planner = make(f"crowd:policy={path}")
        plans = [planner.plan(user, random.Random(0)) for user in crowd_of(40)]
        shares.append(len([plan for plan in plans if any(plan.placement)]))
    assert shares[0] == 40
    assert shares[1] == 20
    assert shares[2] == 0


def test_the_policies_that_ship_are_two_and_the_numbers_by_hand_are_a_third() -> None:
    ratio, latency = (
        policy_file.parsed(policy_file.shipped(f"crowd_{goal}"), (MIXTURE,)) for goal in ("ratio", "latency")
    )
    labels = {ratio.label, latency.label, weights_of(BY_HAND, {}).label}
    assert len(labels) == 3
    assert (ratio.notes["goal"], latency.notes["goal"]) == ("ratio", "latency")
    with pytest.raises(PlanError, match="both given"):
        make("crowd:by_hand=true,policy=x.onnx")
    with pytest.raises(PlanError, match="goal"):
        make("crowd:goal=joy")


# Files.


def test_a_policy_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    policy = weights_of(some_mixture(3), {"worlds": "none"})
    path = tmp_path / "policy.onnx"
    path.write_bytes(policy_file.written(policy))
    back = policy_file.parsed(policy_file.read(path, (MIXTURE,)), (MIXTURE,))
    assert back.notes == policy.notes
    assert np.array_equal(mixture_of(back).numbers, some_mixture(3).numbers)
    assert policy_file.written(back) == path.read_bytes()
    onnx.checker.check_model(str(path), full_check=True)
    view = some_view(np.random.default_rng(1))
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    said = session.run(["scores"], {"of_server": view.server, "of_own": view.own[None]})[0][:, 0]
    assert np.array_equal(said, exact_scores(some_mixture(3), view))


def tampered(change: object) -> bytes:
    model = policy_file.model_of(weights_of(some_mixture(0), {}))
    change(model)  # type: ignore[operator]
    return model.SerializeToString()


def weight(name: str, value: float, shape: tuple[int, ...] | None = None) -> object:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(each for each in model.graph.initializer if each.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[0] = value
        tensor.CopyFrom(numpy_helper.from_array(array if shape is None else np.resize(array, shape), name))

    return change


def operator(model: onnx.ModelProto) -> None:
    model.graph.node[-2].op_type = "Ceil"


def notes(**said: str) -> object:
    return lambda model: onnx.helper.set_model_props(model, said)


STRANGE = {
    "another kind": policy_file.written(some_weights(0)),
    "other features": tampered(notes(layerlift_kind="mixture", layerlift_features=str(VERSION + 1))),
    "no whole number": tampered(weight("server", 0.5)),
    "no number": tampered(weight("home", float("nan"))),
    "sums too large": tampered(weight("server", float(2**20))),
    "another shape": tampered(weight("own", 1.0, (len(OWN) + 1, 1))),
    "another scale": tampered(weight("scale", 0.5)),
    "another operator": tampered(operator),
    "one table less": tampered(lambda model: model.graph.initializer.pop(0)),
    "tables in another order": tampered(lambda model: model.graph.initializer.reverse()),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_policy_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(STRANGE[name])
    with pytest.raises(PlanError) as refused:
        make(f"crowd:policy={path}")
    assert len(str(refused.value)) <= 300
    assert "\n" not in str(refused.value)
    assert "strange.onnx" in str(refused.value)


def test_a_policy_of_another_planner_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mixture.onnx"
    path.write_bytes(policy_file.written(weights_of(some_mixture(0), {})))
    with pytest.raises(PlanError, match="of kind 'mixture', expected 'steps'"):
        make(f"dil:policy={path}")
