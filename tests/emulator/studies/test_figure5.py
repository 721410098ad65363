"""Figure 5: what is measured, what is claimed, and what the command leaves behind."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.emulator import run
from layerlift.emulator.cli.main import main
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.studies.reproduce import figure5
from layerlift.emulator.studies.reproduce.claims import Verdict, lead, verdicts, widest
from layerlift.emulator.studies.reproduce.delays import ClientDelays, Delays
from layerlift.emulator.studies.reproduce.figure5 import ALGORITHMS, Case, Curve, cases, compare
from layerlift.emulator.studies.reproduce.figure5 import Result as Figure
from layerlift.emulator.studies.reproduce.page import page, tables, told
from layerlift.emulator.studies.reproduce.steps import Steps, mean
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError
from layerlift.planners import Plan, timeline

# Step functions


def test_a_step_function_by_hand() -> None:
    steps = Steps.of([(-inf, 3.0), (1.0, 3.0), (2.0, 1.0), (4.0, 2.0), (4.0, 0.5)])
    assert steps == Steps((0.0, 2.0, 4.0), (3.0, 1.0, 0.5))
    assert [steps.at(t) for t in (0.0, 1.999, 2.0, 3.0, 4.0, 100.0)] == [3.0, 3.0, 1.0, 1.0, 0.5, 0.5]
    assert steps.area(6.0) == 3.0 * 2 + 1.0 * 2 + 0.5 * 2
    assert steps.area(5.0, since_s=1.0) == 3.0 + 2.0 + 0.5
    assert steps.area(0.0) == 0.0
    assert [steps.first_at_most(level) for level in (3.0, 1.5, 1.0, 0.6, 0.4)] == [0.0, 2.0, 2.0, 4.0, None]


def test_the_mean_of_step_functions_by_hand() -> None:
    one, other = Steps((0.0, 2.0), (3.0, 1.0)), Steps((0.0, 1.0), (5.0, 1.0))
    assert mean([one, other]) == Steps((0.0, 1.0, 2.0), (4.0, 2.0, 1.0))


def test_a_step_function_begins_at_the_beginning() -> None:
    for changes in ([], [(0.5, 1.0)]):
        with pytest.raises(RunError, match="expected one at 0"):
            Steps.of(changes)


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=8), st.integers(0, 50), st.integers(0, 50))
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
def test_areas_add_up(changes: list[tuple[int, int]], one: int, other: int) -> None:
    steps = Steps.of([(0.0, 5.0), *sorted((float(at), float(value)) for at, value in changes)])
    low, high = sorted((float(one), float(other)))
    assert steps.area(high) == steps.area(low) + steps.area(high, low)
    assert steps.area(high, low) == sum(steps.at(float(second)) for second in range(int(low), int(high)))


# What a run's queries tell


def client(
    changes: tuple[float, ...] = (), seen: dict[int, list[tuple[float, float]]] | None = None, carried: int = 0
) -> ClientDelays:
    parts = tuple(("r3", 1, 2**20) for _ in changes)
    return ClientDelays("u", changes, parts, seen or {0: [(0.0, 1.0)]}, (), carried)


def test_the_delay_at_a_time_is_that_of_a_query_in_the_same_state() -> None:
    seen = {0: [(-1.0, 4.0), (1.0, 3.0)], 2: [(7.0, 2.0), (8.0, 1.0)]}
    # State 0 until 2 s, state 1 (in which nobody asked) until 5 s, then state 2.
    assert client((2.0, 5.0), seen).delay() == Steps((0.0, 1.0, 2.0, 8.0), (4.0, 3.0, 2.0, 1.0))


def test_states_without_a_query_are_named_longest_first() -> None:
    seen = {0: [(0.0, 4.0)], 4: [(30.0, 1.0)]}
    assert client((1.0, 2.0, 12.0, 20.0), seen).unseen() == [2, 3, 1]
    assert client((1.0, 2.0, 12.0, 20.0), seen).window(0) == (-inf, 1.0)
    assert client((1.0, 2.0, 12.0, 20.0), seen).window(4) == (20.0, inf)


def test_a_run_that_ends_too_early_is_refused() -> None:
    with pytest.raises(RunError, match="no query after its upload"):
        client((2.0,), {0: [(0.0, 1.0)]}).delay()


# Metrics and claims, by hand


def curve(algorithm: str, *steps: tuple[float, float], changes: tuple[float, ...] = (10.0,), carried: int = 0) -> Curve:
    """A curve of one client with the given delays and confirm results, that answers every 2 s."""
    seen = {0: [(0.0, 1.0)], len(changes): [(11.0, 1.0)]}
    one = ClientDelays("u", changes, tuple(("r3", 1, 2**20) for _ in changes), seen, tuple(range(-1, 20, 2)), carried)
    return Curve(algorithm, Delays(0.1, (one,), True, ("",), ("",), ""), Steps.of(steps), 0.0)


def figure(*curves: Curve, links: str = "independent", until_s: float = 10.0) -> Figure:
    return Figure(Case("alexnet", 27.9, links), curves, until_s)


DIRECT = curve("direct", (0.0, 4.0), (10.0, 1.0))


def test_metrics_by_hand() -> None:
    fast = curve("recursive", (0.0, 4.0), (3.0, 2.5), (5.0, 2.0), (10.0, 1.0))
    made = figure(DIRECT, fast)
    assert [made.total(each) for each in made.curves] == [40.0, 3 * 4.0 + 2 * 2.5 + 5 * 2.0]
    assert [made.half_s(each) for each in made.curves] == [10.0, 5.0]
    assert made.answers == 5  # at 1, 3, 5, 7, 9 s; the one at -1 s was before the upload
    assert made.to_answers_s(fast) == 9
    never = curve("ionn", (0.0, 4.0), (3.0, 2.5))
    assert figure(never).half_s(never) is None


def outcomes(*curves: Curve, links: str = "independent") -> dict[str, Verdict]:
    return {verdict.claim: verdict for verdict in verdicts(figure(*curves, links=links))}


def test_both_claims_seen() -> None:
    ionn, recursive = curve("ionn", (0.0, 4.0), (5.0, 2.0)), curve("recursive", (0.0, 4.0), (4.0, 2.0))
    found = outcomes(DIRECT, ionn, recursive)
    assert {claim: verdict.outcome for claim, verdict in found.items()} == {
        "Direct is worst": "seen",
        "Recursive is best": "seen",
    }
    assert not any(verdict.why for verdict in found.values())


@pytest.mark.parametrize(("delay", "outcome"), [(3.99, "seen"), (3.997, "a tie"), (4.003, "a tie"), (4.01, "not seen")])
def test_a_thousandth_is_a_tie(delay: float, outcome: str) -> None:
    ionn, recursive = curve("ionn", (0.0, delay)), curve("recursive", (0.0, 1.0))
    found = outcomes(DIRECT, ionn, recursive)
    assert found["Direct is worst"].outcome == outcome
    assert found["Recursive is best"].outcome == "seen"


def test_a_tie_says_whether_the_parts_are_the_same() -> None:
    same = outcomes(DIRECT, curve("ionn", (0.0, 4.0)), curve("recursive", (0.0, 2.0)))["Direct is worst"]
    assert (same.outcome, same.why) == ("a tie", "Direct and IONN send the same parts (1)")
    other = outcomes(DIRECT, curve("recursive", (0.0, 4.0), changes=(3.0, 10.0)))["Recursive is best"]
    assert other.outcome == "a tie"
    assert "their parts differ" in other.why
    nothing = outcomes(*(curve(name, (0.0, 4.0), changes=()) for name in ("direct", "ionn", "recursive")))
    assert all("nothing to upload" in verdict.why for verdict in nothing.values())


def test_efficiency_is_shown_but_no_claim_speaks_of_it() -> None:
    best = curve("efficiency", (0.0, 0.1))
    found = outcomes(DIRECT, curve("ionn", (0.0, 3.0)), best, curve("recursive", (0.0, 2.0)))
    assert [verdict.outcome for verdict in found.values()] == ["seen", "seen"]


def test_what_is_not_seen_is_explained_by_where_and_why() -> None:
    # IONN is ahead from 2 s to 10 s by 1 s a query; Recursive is ahead from 0 s to 2 s.
    ionn = curve("ionn", (0.0, 4.0), (2.0, 1.0), changes=(2.0, 10.0))
    recursive = curve("recursive", (0.0, 3.5), (2.0, 2.0), changes=(1.0, 5.0, 10.25), carried=3 * 2**20)
    made = figure(DIRECT, ionn, recursive)
    assert widest(made, recursive, ionn) == (2.0, 10.0)
    alone = outcomes(DIRECT, ionn, recursive)["Recursive is best"]
    assert alone.outcome == "not seen"
    for words in (
        "Recursive is 30.4% above IONN",  # 23 against 16
        "from 2.00 s to 10.0 s: 2.00 s a query (1 of 3 parts and 1.00 MiB confirmed at first)",
        "against 1.00 s (1 of 2 parts and 1.00 MiB confirmed)",
        "Recursive has 1 more parts, whose confirm results take a round trip each: its last part was confirmed 250 ms",
    ):
        assert words in alone.why
    shared = outcomes(DIRECT, ionn, recursive, links="shared")["Recursive is best"]
    assert "Its queries carried 3.00 MiB during the upload (0 B with IONN), on links" in shared.why


@pytest.mark.parametrize(("one", "other", "expected"), [(4.0, 3.0, 0.25), (3.0, 4.0, -0.25), (0.0, 0.0, 0.0)])
def test_a_lead_is_a_share_of_the_larger(one: float, other: float, expected: float) -> None:
    assert lead(one, other) == expected


def test_the_page_counts_claims_and_gives_reasons_once() -> None:
    worse = curve("recursive", (0.0, 5.0))
    results = [
        figure(DIRECT, curve("recursive", (0.0, 1.0))),
        figure(DIRECT, worse, links="shared"),
        figure(DIRECT, curve("recursive", (0.0, 4.0))),
    ]
    sentences, exceptions = told(results)
    assert sentences == [
        "Direct is worst: seen in 1 of 3 cases, a tie in 1, not seen in 1.",
        "Recursive is best: seen in 1 of 3 cases, a tie in 1, not seen in 1.",
    ]
    assert len(exceptions) == 2
    assert "(Direct is worst: not seen; Recursive is best: not seen)" in exceptions[0]
    text = page(results, "layerlift reproduce figure5 --seeds 3")
    assert "Written by `layerlift reproduce figure5 --seeds 3`" in text
    assert "| 27.9 | Direct | 40 (40 to 40)" not in text
    assert "|  | Recursive | 50 | 125.0% | never |" in text


def test_seeds_are_averaged_with_their_range() -> None:
    seeds = [
        Figure(Case("alexnet", 1.0, "shared", seed=seed), (curve("direct", (0.0, delay)),), 10.0)
        for seed, delay in ((1, 4.0), (2, 6.0))
    ]
    [[line]] = tables(seeds).values()
    assert line[:4] == ("1", "Direct", "50 (40 to 60)", "100.0%")


# The experiment


def test_factors_name_the_reference_clock() -> None:
    clocks = [Case("alexnet", factor, "shared").reference_ghz for factor in (1, 5, 10, 27.9)]
    assert clocks == [2.6, 13.0, 26.0, 72.5]


def test_cases_are_all_combinations() -> None:
    made = cases(["a", "b"], [1.0, 5.0], ["independent", "shared"], seeds=2)
    assert len(made) == len(set(made)) == 16
    assert {case.seed for case in made} == {1, 2}


@pytest.mark.parametrize(("servers", "tiers"), [("edge", {"edge"}), ("cloud", {"cloud"}), ("both", {"edge", "cloud"})])
def test_servers_may_be_of_one_tier(servers: str, tiers: set[str]) -> None:
    world = Case("squeezenet", 5, "independent", servers).scenario("ionn", 1.0).resolve()
    assert {world.nodes[index].tier for index in world.servers} == tiers
    assert len(world.servers) == 5 * len(tiers)


@pytest.mark.long
def test_both_uploads_begin_at_one_instant() -> None:
    result = run(Case("squeezenet", 27.9, "independent").scenario("recursive", 1.0), local=True)
    first = {row["user"]: row["sent_s"] for row in result.uploads.to_pylist() if row["part"] == 0}
    assert set(first) == {"user-1", "user-2"}
    assert len(set(first.values())) == 1


@pytest.fixture(scope="module")
def memory() -> PlanMemory:
    """Placements are found once for all of these tests."""
    return PlanMemory()


@pytest.fixture(scope="module")
def squeezed(memory: PlanMemory) -> Figure:
    return compare(Case("squeezenet", 27.9, "independent"), ALGORITHMS, memory)


@pytest.mark.long
def test_the_algorithms_share_one_placement(squeezed: Figure) -> None:
    assert len({each.sighting.placements for each in squeezed.curves}) == 1
    bytes_sent = {sum(part[2] for c in each.sighting.clients for part in c.parts) for each in squeezed.curves}
    assert len(bytes_sent) == 1


@pytest.mark.long
def test_the_delay_is_the_timeline_of_each_users_plan(squeezed: Figure, memory: PlanMemory) -> None:
    """Emulated queries and the cost model agree at every time, so no state was left to guessing."""
    placements = squeezed.curves[0].sighting.placements
    assert len(set(placements)) == 2, "both users on one server would slow each other"
    for each in squeezed.curves:
        assert each.unseen_s == 0.0
        world = squeezed.case.scenario(each.algorithm, 1.0).resolve()
        jobs = Recorded(world, memory)
        OneClock(world, jobs, lambda table, rows: None).run()
        for number, seen in enumerate(each.sighting.clients):
            outcome = jobs.outcomes[number]
            times = timeline(problem_of(world, number), Plan(outcome.placement, outcome.uploads, whole=outcome.whole))
            assert seen.changes_s == pytest.approx(sorted(times.confirmed_s), rel=1e-9)
            for begin_s, end_s in pairwise((*times.changes_s, times.ended_s + 1.0)):
                middle_s = (begin_s + end_s) / 2
                assert seen.delay().at(middle_s) == pytest.approx(times.latency_at(middle_s), rel=1e-9)


class Recorded(LocalPlans):
    """Keeps what was planned for each user, in order of the requests."""

    def __init__(self, world: World, memory: PlanMemory) -> None:
        super().__init__(world, memory)
        self.outcomes: list[PlanOutcome] = []

    def result(self, job: PlanJob) -> PlanOutcome:
        self.outcomes.append(super().result(job))
        return self.outcomes[-1]


@pytest.mark.long
def test_short_states_are_seen_in_runs_that_upload_later(memory: PlanMemory) -> None:
    case = Case("squeezenet", 27.9, "independent")
    natural, _ = figure5._long_enough(case, ["recursive"], memory)
    assert any(seen.unseen() for seen in natural["recursive"].clients)
    [closer] = compare(case, ["recursive"], memory).curves
    assert not any(seen.unseen() for seen in closer.sighting.clients)


@pytest.mark.long
def test_more_pieces_shorten_the_total_delay(squeezed: Figure) -> None:
    totals = {each.algorithm: squeezed.total(each) for each in squeezed.curves}
    assert totals["recursive"] < totals["ionn"] < totals["direct"]


@pytest.mark.long
def test_the_papers_alexnet_shows_what_the_paper_shows() -> None:
    made = compare(Case("alexnet", 27.9, "independent"), ["direct", "ionn", "recursive"], PlanMemory())
    assert [verdict.outcome for verdict in verdicts(made)] == ["seen", "seen"]
    direct, ionn, recursive = made.curves
    assert made.total(recursive) < 0.9 * made.total(ionn) < 0.5 * made.total(direct)
    assert made.half_s(recursive) < 0.1 * made.until_s < made.half_s(direct)


@pytest.mark.long
def test_who_knows_that_links_are_shared_loses_to_nobody(memory: PlanMemory) -> None:
    case = Case("alexnet", 5.0, "shared")
    made = compare(case, ["direct", "ionn", "recursive", "recursive_shared"], memory)
    direct, ionn, recursive, knowing = map(made.total, made.curves)
    assert recursive > 1.1 * direct
    assert knowing < 0.97 * min(direct, ionn)
    [told, _] = [verdict.why for verdict in verdicts(made)]
    assert f"Recursive, shared does: it is {1 - knowing / direct:.1%} below Direct" in told


# The command


def call(*arguments: str) -> Result:
    words = ["reproduce", "figure5", *arguments]
    return CliRunner().invoke(main, words, catch_exceptions=False, env={"COLUMNS": "80"})


SMALL = ("--models", "squeezenet", "--factors", "5,27.9", "--algorithms", "direct,recursive", "--links", "shared")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("figure") / "out"
    result = call(*SMALL, "--out", str(made))
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # no progress bar in a pipe
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "The paper: Direct is worst: " in result.stdout
    return made


@pytest.mark.long
def test_charts_numbers_and_page_are_written(folder: Path) -> None:
    charts = {f"{name}.{suffix}" for name in ("figure5", "figure5-factors") for suffix in ("svg", "png", "html")}
    assert {path.name for path in folder.iterdir()} == charts | {
        "figure5.md", "figure5.json", "figure5.csv", "figure5-delay.csv",
    }  # fmt: skip
    assert (folder / "figure5.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / "figure5.svg").read_text()
    assert "squeezenet" in svg
    assert "Recursive" in svg
    fetched = Fetched()
    fetched.feed((folder / "figure5.html").read_text())
    assert fetched.tags > 3
    assert fetched.addresses == []


class Fetched(HTMLParser):
    """What a browser would load for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = 0
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.long
def test_the_numbers_behind_the_chart_give_the_table(folder: Path) -> None:
    numbers = json.loads((folder / "figure5.json").read_text())
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with (folder / "figure5-delay.csv").open() as file:
        for row in csv.DictReader(file):
            curves.setdefault((row["factor"], row["algorithm"]), []).append(
                (float(row["time_s"]), float(row["delay_s"]))
            )
    assert len(numbers["rows"]) == len(curves) == 4
    for row in numbers["rows"]:
        steps = [
            (at, each) for at, each in curves[str(row["factor"]), row["algorithm"]] if at < row["compared_until_s"]
        ]
        ends = [at for at, _ in steps[1:]] + [row["compared_until_s"]]
        area = sum(each * (end - at) for (at, each), end in zip(steps, ends, strict=True))
        assert row["total_delay_s2"] == pytest.approx(area, rel=1e-9)
        assert row["queries"] >= row["answers"]
        assert row["digest"]
    text = (folder / "figure5.md").read_text()
    for claim in numbers["claims"]:
        assert claim["claim"] in text
        assert claim["why"] in text


@pytest.mark.long
def test_a_figure_is_not_overwritten_unasked(folder: Path) -> None:
    before = (folder / "figure5.json").read_text()
    result = call(*SMALL, "--out", str(folder))
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert call(*SMALL, "--out", str(folder), "--force").exit_code == 0
    assert (folder / "figure5.json").read_text() == before  # the same command, the same numbers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "alexnte"], "did you mean alexnet"),
        (["--models", "alexnet,,vgg19"], "--models is 'alexnet,,vgg19'"),
        (["--factors", "1,two"], "--factors is '1,two'"),
        (["--factors", "0"], "--factors is '0'"),
        (["--factors", "nan"], "--factors is 'nan'"),
        (["--algorithms", "direct,recusive"], "did you mean recursive"),
        (["--offloading", "psso"], "did you mean pso"),
        (["--models", "no.onnx"], "no.onnx"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    result = call(*arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("layerlift: ")
    assert words in line
    assert not (tmp_path / "out").exists()
