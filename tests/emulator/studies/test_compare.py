"""Means over seeds, their intervals, paired differences and prices: against tables of t and worked out by hand."""

from __future__ import annotations

import json
import math
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from layerlift.emulator.studies.compare.captions import arrival_told, halves, spread_told, trade_told
from layerlift.emulator.studies.compare.charts import drawn, figures, picture
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import METRICS, Seen, UserSeen
from layerlift.emulator.studies.compare.page import page
from layerlift.emulator.studies.compare.points import ecdf, fair_line
from layerlift.emulator.studies.compare.statistics import Interval, difference, interval, t_quantile, t_share
from layerlift.emulator.studies.compare.sweep import apportion
from layerlift.emulator.studies.compare.terminal import WIDEST, show
from layerlift.emulator.studies.compare.trials import Trial, Variant
from layerlift.emulator.studies.compare.words import verdicts
from layerlift.emulator.studies.compare.written import scale_of, shown
from layerlift.models.errors import RunError

NAN = math.nan
BY_KEY = {metric.key: metric for metric in METRICS}


def seen(slowdowns=(1.0, 2.0), jain=0.9, total=1.5, note="", **numbers):
    """A run of users who came at 0, 1, 2, ... with these slowdowns, and latencies ten times less."""
    values = dict.fromkeys((metric.key for metric in METRICS if metric.key != "price"), NAN)
    mean = sum(slowdowns) / len(slowdowns)
    values |= {"slowdown_mean_users": mean, "slowdown_worst_user": max(slowdowns), "jain": jain, "total": total}
    values |= {"answered": 10.0, "latency_mean_users_s": mean / 10, **numbers}
    users = tuple(UserSeen(float(place), cost / 10, cost) for place, cost in enumerate(slowdowns))
    return Seen(values, users, ((1.0, 0.5), (2.0, jain)), "digest", note)


def comparison(*rows, world="w", **rest):
    """Each row: a name and what was seen by seed 1, 2, ... (None: it failed)."""
    variants = tuple(Variant(name, name, "greedy", world=world) for name, _ in rows)
    trials = [
        Trial(number, seed, "failed" if one is None else "done", one, "no" if one is None else "")
        for number, (_, found) in enumerate(rows)
        for seed, one in enumerate(found, start=1)
    ]
    return Comparison("made", variants, tuple(trials), **rest)


def terminal(made):
    console = Console(width=WIDEST, record=True, file=StringIO())
    show(made, console)
    return console.export_text()


# Student's t


@pytest.mark.parametrize(
    ("freedom", "known"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_the_quantile_of_t_is_that_of_printed_tables(freedom, known):
    assert t_quantile(0.975, freedom) == pytest.approx(known, abs=5e-4)


@pytest.mark.long
def test_other_shares_and_many_degrees():
    assert t_quantile(0.95, 4) == pytest.approx(2.132, abs=5e-4)
    assert t_quantile(0.995, 7) == pytest.approx(3.499, abs=5e-4)
    assert t_quantile(0.975, 100_000) == pytest.approx(1.95996, abs=1e-4)
    assert t_quantile(0.5, 3) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.long
@given(st.floats(0.501, 0.9995), st.integers(1, 60))
def test_the_quantile_undoes_the_share(share, freedom):
    assert t_share(t_quantile(share, freedom), freedom) == pytest.approx(share, abs=1e-12)


# Intervals


def test_an_interval_worked_out_by_hand():
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.mean, found.n) == (3.0, 5)
    assert found.half == pytest.approx(2.7764451 * math.sqrt(2.5) / math.sqrt(5))
    assert found.apart
    assert not interval([-1.0, 2.0]).apart


def test_one_value_has_no_interval_and_nothing_has_no_mean():
    one = interval([7.0, NAN])
    assert (one.mean, one.n) == (7.0, 1)
    assert math.isnan(one.half)
    assert not one.apart
    assert interval([]).n == 0
    assert math.isnan(interval([]).mean)
    assert interval([math.inf, 1.0]).mean == math.inf


def test_what_a_seed_does_to_both_of_a_pair_falls_out_of_their_difference():
    first, other = {1: 1.0, 2: 10.0, 3: 100.0}, {1: 1.5, 2: 10.6, 3: 100.4, 9: 7.0}
    found = difference(other, first)
    assert (found.mean, found.n) == (pytest.approx(0.5), 3)
    assert found.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3))
    assert found.apart
    assert interval(other.values()).half > 50
    assert difference({1: math.inf}, {1: math.inf}).mean == 0.0


# Comparisons


def test_prices_are_against_the_best_of_the_same_seed_and_world():
    made = comparison(("a", [seen(total=4.0), seen(total=1.0)]), ("b", [seen(total=2.0), seen(total=5.0)]))
    assert made.values("price", 0) == {1: 0.0, 2: pytest.approx(0.8)}
    assert made.values("price", 1) == {1: pytest.approx(0.5), 2: 0.0}
    alone = comparison(("a", [seen()]))
    assert alone.values("price", 0) == {}
    elsewhere = comparison(("a", [seen(total=4.0)]), ("b", [seen(total=2.0)]), world="")
    assert elsewhere.values("price", 1) == {}


def test_a_sweep_is_held_against_the_first_at_the_same_value():
    names = [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]
    variants = tuple(Variant(name, name, "", value, value) for name, value in names)
    trials = [Trial(n, 1, "done", seen((float(n + 1),) * 2, total=float(n + 1))) for n in range(4)]
    made = Comparison("made", variants, tuple(trials), "users")
    assert [made.baseline(number) for number in range(4)] == [None, 0, None, 2]
    assert [made.mean("price", number).mean for number in range(4)] == [0.5, 0.0, 0.25, 0.0]
    [said] = verdicts(made)
    assert said.startswith("b, 2 against a, 2: ")
    only = Comparison("made", variants[::2], tuple(Trial(n, 1, "done", seen()) for n in range(2)), "users")
    assert [only.baseline(number) for number in range(2)] == [None, 0]


def test_a_failed_seed_is_a_row_with_its_reason_and_its_pair_is_left_out():
    made = comparison(("a", [seen((1.0, 1.0)), seen((2.0, 2.0))]), ("b", [None, seen((5.0, 5.0))]))
    assert made.against("slowdown_mean_users", 1) == (3.0, pytest.approx(NAN, nan_ok=True), 1)
    failed = [row for row in made.rows() if row["status"] == "failed"]
    assert [(row["variant"], row["seed"], row["reason"], row["value"]) for row in failed] == [("b", 1, "no", None)]
    assert "b failed: no (seed 1)" in made.remarks()
    rows = [row for row in made.rows() if row["metric"] == "slowdown_mean_users"]
    assert [(row["seed"], row["value"], row["vs_first"]) for row in rows] == [
        (1, 1.0, None), (2, 2.0, None), (2, 5.0, 3.0)
    ]  # fmt: skip
    told = json.loads(json.dumps(made.as_dict(), allow_nan=False))
    assert told["variants"][1]["metrics"]["slowdown_mean_users"]["vs_first"]["mean"] == 3.0
    assert told["variants"][1]["seeds"][0]["reason"] == "no"


def test_one_variant_has_one_result_a_seed():
    with pytest.raises(RunError, match="two results for one seed"):
        Comparison("made", (Variant("a", "a", ""),), (Trial(0, 1, "done", seen()),) * 2)


def test_sentences_say_what_is_mended_at_what_price_and_what_is_undecided():
    a = [seen((1.0, 5.0), 0.6, 2.0), seen((1.0, 5.2), 0.6, 2.0), seen((1.0, 4.8), 0.6, 2.0)]
    b = [seen((2.0, 2.0), 1.0, 1.5), seen((2.0, 2.2), 1.0, 1.5), seen((2.0, 1.8), 1.0, 1.5)]
    [said] = verdicts(comparison(("greedy", a), ("drf", b)))
    assert "slowdown, mean over users falls from 3 to 2 (-1 ±0)" in said
    assert "Jain's index rises from 0.600 to 1 (" in said
    assert "total benefit 25.0% lower" in said
    noisy = comparison(("a", [seen((1.0,) * 2), seen((3.0,) * 2)]), ("b", [seen((2.0,) * 2), seen((2.5,) * 2)]))
    assert "slowdown, mean over users 2 to 2.25, undecided (+0.25 ±9.53)" in verdicts(noisy)[0]


def test_numbers_are_written_with_as_many_decimals_as_their_interval():
    assert shown(Interval(1.2345, 0.0456, 3)) == "1.23 ±0.05"
    assert shown(Interval(-0.00004, 0.5, 3), signed=True) == "0.000 ±0.500"
    assert shown(Interval(7.0, NAN, 1)) == "7"
    assert shown(Interval(math.inf, NAN, 2)) == "inf"
    assert shown(interval([])) == shown(None) == "-"
    assert shown(Interval(0.25, NAN, 1), 100, signed=True) == "+25"
    assert scale_of(BY_KEY["upload_s"], [0.5, NAN]).unit == "ms"
    assert scale_of(BY_KEY["upload_s"], [0.5, 2.0]).unit == "s"
    money = [0.0, 2e-10, 3e-8, 2e-5, 0.002, 5.0]
    assert [scale_of(BY_KEY["money"], [most]).unit for most in money] == ["USD", "nUSD", "nUSD", "µUSD", "USD", "USD"]
    assert shown(Interval(3e-8, 1e-9, 3), scale_of(BY_KEY["money"], [3e-8]).factor) == "30.0 ±1.0"


@pytest.mark.parametrize("variants", [1, 3, 8, 14])
def test_the_terminal_table_is_never_wider_than_it_may_be(variants):
    rows = [(f"pso+recursive, policy{n}", [seen((1.0 + n, 2.0)), seen((1.1 + n, 2.5))]) for n in range(variants)]
    text = terminal(comparison(*rows))
    assert max(len(line) for line in text.splitlines() if not line.startswith("- ")) <= WIDEST
    for number in range(variants):
        assert f"policy{number}" in text
    assert ("Difference to pso+recursive, policy0 (paired by seed)" in text) == (variants > 1)


def test_variants_that_cover_each_other_on_charts_are_named():
    made = comparison(("a", [seen((1.0, 2.0))]), ("b", [seen((1.0, 3.0))]), ("c", [seen((1.0, 2.0))]))
    assert "the same for every user: a, c" in made.remarks()


# Charts


def test_distribution_and_fairness_over_time_are_those_of_all_seeds():
    made = comparison(("a", [seen((1.0, 3.0), jain=0.9), seen((2.0, 4.0), jain=0.7)]))
    assert ecdf(made, 0) == [(1.0, 0.0), (1.0, 0.25), (2.0, 0.5), (3.0, 0.75), (4.0, 1.0)]
    assert dict(fair_line(made, 0))[2.0] == pytest.approx(0.8)
    assert dict(fair_line(made, 0))[1.0] == 0.5
    many = comparison(("a", [seen(tuple(range(1, 2001)))]))
    points = ecdf(many, 0)
    assert len(points) < 300
    assert points[-1] == (2000, 1.0)
    assert all(share == pytest.approx(cost / 2000) for cost, share in points[1:])


def test_early_and_late_halves_are_within_each_seed():
    made = comparison(("a", [seen((1.0, 1.0, 9.0, 3.0, 3.0)), seen((1.0, 3.0))]))
    early, late = halves(made, 0)
    assert [user.slowdown for user in early] == [1.0, 1.0, 1.0]
    assert [user.slowdown for user in late] == [3.0, 3.0, 3.0]
    assert "3 times the cost of the early half under a." in arrival_told(made, [0])


def test_sentences_of_charts_come_from_the_numbers():
    made = comparison(("a", [seen((1.0, 5.0), 0.6, 2.0)]), ("b", [seen((2.0, 2.0), 1.0, 1.5)]))
    assert trade_told(made, [0, 1]) == "Fairest is b, Jain 1, with a total 25.0% below that of a (Jain 0.600)."
    assert spread_told(made, [0, 1]).startswith("Half of the users are below slowdown 2 under b, slowdown 3 under a;")


@pytest.mark.long
@pytest.mark.parametrize("variants", [1, 2, 8])
def test_every_chart_is_there_and_the_page_needs_no_network(variants):
    rows = [(f"v</script>{n}", [seen((1.0 + n, 2.0 + n)), seen((1.5, 2.5 + n))]) for n in range(variants)]
    made = comparison(*rows, swept="")
    assert [figure.key for figure in figures(made)] == ["spread", "arrival", "trade", "time", "bars"]
    text = page(made)
    for word in (' src="', " src='", 'href="', "<link", "@import"):
        assert word not in text.replace(text[text.index("<script>") : text.index("</script>")], "")
    assert text.count("</script>") == 2, "names cannot end a script"
    assert "v&lt;/script&gt;0" in text
    assert "fetch(" not in text[text.rindex("<script>") :]


@pytest.mark.long
def test_of_a_large_sweep_the_last_value_is_drawn_and_the_curve_has_all():
    variants = tuple(Variant(name, name, "", value, value) for value in "123" for name in "abc")
    trials = tuple(Trial(n, s, "done", seen((1.0 + n, 2.0 + s))) for n in range(9) for s in (1, 2))
    made = Comparison("made", variants, trials, "users")
    assert drawn(made) == [6, 7, 8]
    curve = figures(made)[0]
    assert curve.key == "sweep"
    rows = next(iter(curve.chart.to_dict()["concat"]))["layer"][0]
    assert rows["encoding"]["x"]["type"] == "quantitative"
    assert picture(made).to_dict()["concat"][0]
    words = Comparison("made", tuple(v._replace(value=f"x{v.value}") for v in variants), trials, "nodes.0.policy")
    chart = figures(words)[0].chart.to_dict()
    assert chart["concat"][0]["layer"][0]["encoding"]["x"]["type"] == "nominal"


# Sweeps


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 400))
def test_users_are_divided_in_whole_parts_that_add_up(weights, more):
    total = len(weights) + more
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert min(parts) >= 1
    for part, weight in zip(parts, weights, strict=True):
        if total * min(weights) >= sum(weights):
            assert abs(part - total * weight / sum(weights)) < 1 + 1e-9


def test_a_division_by_hand():
    assert apportion(30, [20, 10]) == [20, 10]
    assert apportion(10, [2, 1]) == [7, 3]
    assert apportion(2, [100, 1]) == [1, 1]


@pytest.mark.long
def test_energy_and_money_that_nobody_gave_are_not_given_and_a_failed_run_has_neither():
    made = comparison(("a", [seen(energy_j=5.0)]), ("b", [None]))
    assert [made.told("money", number) for number in (0, 1)] == ["not given", "-"]
    assert [made.told("energy_j", number) for number in (0, 1)] == ["5", "-"]
    [line] = [line for line in terminal(made).splitlines() if line.startswith("money")]
    assert line.split()[-3:] == ["not", "given", "-"]
    assert "not given" in page(made)
    assert "not given" in made._repr_html_()
