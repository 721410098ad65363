"""Laws of time against the theory of their processes; traces of files, and what is wrong with them."""

from __future__ import annotations

import math
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise, takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layerlift.emulator.scenario.schema import trace_files
from layerlift.emulator.scenario.schema.arrival_files import recorded
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.world.laws import (
    AllAt,
    Asks,
    Bursts,
    Day,
    Draw,
    Exponential,
    Fixed,
    RecordedInstants,
    Regular,
    Steady,
    Uniform,
)
from layerlift.models.errors import ScenarioError

SPREAD = 4.0
"""Standard errors that a right law may be off by; the seeds are fixed, so this is no matter of luck."""
LAWS: list[Asks] = [
    AllAt(2.0),
    Regular(33.3, 0.7),
    Steady(5.0, 2.5),
    Bursts(1.0, 20.0, 3.0, 0.5, 1.25),
    Bursts(0.0, 50.0, 2.0, 0.2),
    Day(0.0, 20.0, 60.0, 15.0, 40.0),
    RecordedInstants((0.0, 0.5, 0.5, 2.0), 1.0, 2.0),
]


def until(law: Asks, end_s: float, seed: int = 1) -> list[float]:
    return list(takewhile(lambda at: at < end_s, law.instants(random.Random(seed))))


def in_windows(times: list[float], width_s: float, count: int) -> list[int]:
    found = Counter(int(at / width_s) for at in times)
    return [found[k] for k in range(count)]


def mean_and_variance(values: list[int]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_every_law_is_ascending_repeatable_lazy_and_can_be_pickled(law: Asks) -> None:
    times = law.times(500, random.Random("3/arrival"))
    assert len(times) == 500
    assert all(a <= b for a, b in pairwise(times))
    assert times[0] >= getattr(law, "start_s", 0.0)
    assert all(round(at, 9) == at for at in times) or isinstance(law, Regular)
    again = pickle.loads(pickle.dumps(law))
    assert again == law
    assert list(islice(again.instants(random.Random("3/arrival")), 500)) == times
    if not isinstance(law, AllAt | Regular | RecordedInstants):
        assert law.times(500, random.Random("4/arrival")) != times


def test_a_regular_law_does_not_drift() -> None:
    assert Regular(100.0, 0.5).times(4, random.Random(1)) == [0.5, 0.6, 0.7, 0.5 + 0.3]
    assert Regular(33.3).times(10_001, random.Random(1))[-1] == 333.0


def test_poisson_is_the_running_sum_of_exponential_gaps() -> None:
    rng, now, expected = random.Random(9), 2.5, []
    for _ in range(50):
        now += rng.expovariate(4.0)
        expected.append(round(now, 9))
    assert Steady(4.0, 2.5).times(50, random.Random(9)) == expected


def test_poisson_has_its_rate_and_an_index_of_dispersion_of_one() -> None:
    windows = 4000
    mean, variance = mean_and_variance(in_windows(until(Steady(5.0), 2.0 * windows), 2.0, windows))
    assert mean == pytest.approx(10.0, abs=SPREAD * math.sqrt(10.0 / windows))
    assert variance / mean == pytest.approx(1.0, abs=SPREAD * math.sqrt(2.0 / windows))


@pytest.mark.long
@pytest.mark.parametrize(
    ("quiet", "busy", "quiet_s", "busy_s"), [(1.0, 20.0, 30.0, 5.0), (0.0, 8.0, 10.0, 10.0), (0.1, 10.0, 2.0, 2.0)]
)
def test_bursts_have_the_rate_and_the_dispersion_of_a_two_state_mmpp(
    quiet: float, busy: float, quiet_s: float, busy_s: float
) -> None:
    """Var N(t) = m t + 2 p q (b - a)^2 (t / r - (1 - e^-rt) / r^2), the states' autocovariance integrated twice."""
    width_s, windows = 40.0, 3000
    times = until(Bursts(quiet, busy, quiet_s, busy_s), width_s * (windows + 10))
    counts = in_windows(times, width_s, windows + 10)[10:]  # the first windows still know of the quiet start
    share, r = busy_s / (quiet_s + busy_s), 1.0 / quiet_s + 1.0 / busy_s
    rate = quiet * (1 - share) + busy * share
    swing = 2.0 * share * (1 - share) * (busy - quiet) ** 2
    expected = rate * width_s + swing * (width_s / r - (1.0 - math.exp(-r * width_s)) / r**2)
    mean, variance = mean_and_variance(counts)
    long_run = 1.0 + swing / r / rate
    assert mean / width_s == pytest.approx(rate, abs=SPREAD * math.sqrt(long_run * rate / (width_s * windows)))
    # The kurtosis of these counts is below 6, so the variance of their variance is below 5 / windows of its square.
    assert variance == pytest.approx(expected, rel=SPREAD * math.sqrt(5.0 / windows))
    assert expected / (rate * width_s) > 5


def test_bursts_begin_quiet() -> None:
    law = Bursts(0.0, 1000.0, 5.0, 5.0, start_s=3.0)
    firsts = [next(law.instants(random.Random(seed))) - 3.0 for seed in range(2000)]
    assert sum(firsts) / 2000 == pytest.approx(5.0, abs=SPREAD * 5.0 / math.sqrt(2000) + 1e-3)


def swing(away: float) -> float:
    """The documented curve, written another way: 1 - 3u^2 + 2u^3."""
    return 1.0 - 3.0 * away**2 + 2.0 * away**3


@pytest.mark.long
def test_a_day_has_its_rate_at_every_hour() -> None:
    law, days, bins = Day(1.0, 10.0, 240.0, 60.0), 60, 24
    times = until(law, 240.0 * days)
    counted = Counter(int(at % 240.0 / 10.0) for at in times)
    expected = []
    for k in range(bins):
        instants = [10.0 * k + (j + 0.5) / 10 for j in range(100)]
        gaps = [min((at - 60.0) % 240.0, (60.0 - at) % 240.0) / 120.0 for at in instants]
        expected.append(days * 10.0 * sum(1.0 + 9.0 * swing(gap) for gap in gaps) / 100)
    assert sum(expected) == pytest.approx(days * 240.0 * 5.5, rel=1e-3)
    statistic = sum((counted[k] - expected[k]) ** 2 / expected[k] for k in range(bins))
    assert statistic < 60  # chi-square with 24 degrees of freedom is above that less than once in 10,000


@pytest.mark.long
def test_whole_days_are_poisson() -> None:
    days = 1500
    mean, variance = mean_and_variance(in_windows(until(Day(0.5, 4.0, 20.0, 0.0), 20.0 * days), 20.0, days))
    assert mean == pytest.approx(20.0 * 2.25, abs=SPREAD * math.sqrt(45.0 / days))
    assert variance / mean == pytest.approx(1.0, abs=SPREAD * math.sqrt(2.0 / days))


def test_a_day_that_starts_late_keeps_its_clock() -> None:
    times = until(Day(0.0, 50.0, 100.0, 50.0, start_s=90.0), 200.0)
    assert times[0] >= 90.0
    assert sum(1 for at in times if at < 110.0) < sum(1 for at in times if 140.0 <= at < 160.0) / 5


@given(
    st.floats(0.0, 100.0),
    st.floats(0.0, 100.0),
    st.floats(1e-3, 1e6),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e6),
)
def test_a_day_is_near_a_raised_cosine_and_never_above_its_envelope(
    low: float, more: float, period_s: float, peak_s: float, at_s: float
) -> None:
    high = low + more + 1e-6
    law = Day(low, high, period_s, peak_s)
    rate = law.rate(at_s)
    assert low <= rate <= high
    phase = (at_s - peak_s) % period_s / period_s
    cosine = low + (high - low) * (1.0 + math.cos(2.0 * math.pi * phase)) / 2.0
    assert abs(rate - cosine) <= 0.0101 * (high - low) + 1e-9 * high  # the largest difference is 0.01001
    assert law.rate(peak_s) == high
    assert law.rate(peak_s + period_s / 2.0) == pytest.approx(low, abs=1e-6 * high)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 5.0), st.floats(0.1, 20.0), st.floats(0.01, 50.0), st.floats(0.0, 99.0))
def test_thinning_keeps_instants_only_where_the_rate_allows(
    seed: int, low: float, more: float, period_s: float, start_s: float
) -> None:
    """Every kept instant is one of the envelope's, and its coin was below its rate there."""
    law = Day(low, low + more, period_s, 7.0, start_s)
    rng, now, expected = random.Random(seed), 0.0, []
    for _ in range(400):
        now += rng.expovariate(law.high_per_s)
        chance = law.rate(start_s + now) / law.high_per_s
        coin = rng.random()
        assert chance <= 1.0
        assume(abs(coin - chance) > 1e-9)  # the law knows its phase, not its clock: another last bit
        if coin < chance:
            expected.append(round(start_s + now, 9))
    assert law.times(len(expected), random.Random(seed)) == expected


@pytest.mark.parametrize("draw", [Fixed(0.3), Exponential(2.0), Uniform(1.0, 4.0)], ids=lambda draw: draw.words())
def test_draws_have_their_mean_and_are_rounded(draw: Draw) -> None:
    rng = random.Random(5)
    values = [draw.value(rng) for _ in range(20_000)]
    deviation = {Fixed: 0.0, Exponential: 2.0, Uniform: 3.0 / math.sqrt(12.0)}[type(draw)]
    assert sum(values) / 20_000 == pytest.approx(draw.mean_s, abs=SPREAD * deviation / math.sqrt(20_000) + 1e-12)
    assert all(round(value, 9) == value >= 0.0 for value in values)
    variance = sum((value - draw.mean_s) ** 2 for value in values) / 20_000
    assert variance == pytest.approx(deviation**2, rel=0.1)
    assert pickle.loads(pickle.dumps(draw)) == draw


def test_a_fixed_draw_draws_nothing() -> None:
    rng = random.Random(5)
    state = rng.getstate()
    assert Fixed(1 / 3).value(rng) == 1 / 3
    assert rng.getstate() == state


def test_a_trace_ends_unless_it_is_repeated() -> None:
    rows = (0.25, 1.0, 1.0)
    assert RecordedInstants(rows, 10.0).times(9, random.Random(1)) == [10.25, 11.0, 11.0]
    again = RecordedInstants(rows, 10.0, 0.75)
    assert again.times(7, random.Random(1)) == [10.25, 11.0, 11.0, 11.0, 11.75, 11.75, 11.75]


def test_traces_of_both_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffwho, time_s ,second\nann,0.5,1\n\nbob,2,3\neve, 2.0 ,3\n", encoding="utf-8")
    assert recorded(Files(tmp_path), "a.csv") == (0.5, 2.0, 2.0)
    assert recorded(Files(tmp_path), "a.csv", "second") == (1.0, 3.0, 3.0)
    for kind in (pa.float64(), pa.float32(), pa.int64(), pa.decimal128(25, 2)):
        pq.write_table(pa.table({"x": ["a", "b"], "time_s": pa.array([1, 4]).cast(kind)}), tmp_path / "a.parquet")
        assert recorded(Files(tmp_path), "a.parquet") == (1.0, 4.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_s\n1\nx\n", "t.csv, line 3: time_s is 'x', expected a finite number"),
        ("time_s\n1\n-2\n", "t.csv, line 3: time_s is -2, expected seconds of at least 0"),
        ("time_s\n1\nnan\n", "line 3: time_s is 'nan'"),
        ("time_s\ninf\n", "line 2: time_s is 'inf'"),
        ("time_s\n1e16\n", "line 2: time_s is 1e+16, 3.17e+08 years after the beginning"),
        ("time_s\n1_0\n", "line 2: time_s is '1_0'"),
        ("a,time_s\n1,2\n\n\n7\n", "t.csv, line 5: has 1 cells, expected 2"),
        ("a,time_s\n1,\n", "line 2: time_s is empty, expected a number"),
        ("time_s\n1\n5\n\n4.5\n", "t.csv, line 5: time_s is 4.5, before 5 in the row above: expected ascending times"),
        ("time\n1\n", "t.csv has no column time_s; did you mean time?"),
        ("", "t.csv has no column time_s"),
        ("time_s\n", "t.csv has no rows"),
        ("time_s\n" + "9" * 200_000 + "\n", "t.csv, line 2: this is not CSV"),
    ],
)
def test_a_wrong_csv_trace_is_told_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        recorded(Files(tmp_path), "t.csv")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def broken_files(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder / "none.csv", "none.csv cannot be read: No such file"
    yield folder / "none.parquet", "none.parquet cannot be read"
    (folder / "t.txt").write_text("time_s\n1\n")
    yield folder / "t.txt", "t.txt is no table: expected a file that ends in .csv or .parquet"
    (folder / "latin.csv").write_bytes(b"time_s\n\xff\n")
    yield folder / "latin.csv", "latin.csv is neither Parquet nor text in UTF-8"
    (folder / "folder.csv").mkdir()
    yield folder / "folder.csv", "folder.csv cannot be read: it is a folder"
    (folder / "fake.parquet").write_text("time_s\n1\n")
    yield folder / "fake.parquet", "fake.parquet is no Parquet file: expected its name to end in .csv"
    for name, column, says in (
        ("null", pa.array([1.0, None]), "null.parquet, row 2: time_s is empty"),
        ("nan", pa.array([1.0, math.nan]), "nan.parquet, row 2: time_s is nan"),
        ("back", pa.array([1.0, 0.5]), "back.parquet, row 2: time_s is 0.5, before 1 in the row above"),
        ("text", pa.array(["1"]), "text.parquet: time_s holds string, expected numbers"),
        ("date", pa.array([1], pa.timestamp("ms")), "date.parquet: time_s holds timestamp[ms], expected numbers"),
        ("empty", pa.array([], pa.float64()), "empty.parquet has no rows"),
    ):
        pq.write_table(pa.table({"time_s": column}), folder / f"{name}.parquet")
        yield folder / f"{name}.parquet", says
    pq.write_table(pa.table({"t": [1.0]}), folder / "other.parquet")
    yield folder / "other.parquet", "other.parquet has no column time_s; known: t"


def test_files_that_are_no_traces(tmp_path: Path) -> None:
    for path, says in broken_files(tmp_path):
        with pytest.raises(ScenarioError) as caught:
            recorded(Files(path.parent), path.name)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_trace_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_files, "MOST_ROWS", 3)
    for count, fits in ((3, True), (4, False)):
        (tmp_path / "t.csv").write_text("time_s\n" + "1\n" * count)
        pq.write_table(pa.table({"time_s": [1.0] * count}), tmp_path / "t.parquet")
        for name in ("t.csv", "t.parquet"):
            if fits:
                assert len(recorded(Files(tmp_path), name)) == 3
            else:
                with pytest.raises(ScenarioError, match=f"{name} has more than 3 rows"):
                    recorded(Files(tmp_path), name)


def test_a_trace_may_be_repeated_only_after_its_end(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s\n1\n4\n")
    assert recorded(Files(tmp_path), "t.csv", repeat_s=3.0) == (1.0, 4.0)
    with pytest.raises(ScenarioError, match=r"t.csv lasts 3 s, longer than repeat_s \(2.9\)"):
        recorded(Files(tmp_path), "t.csv", repeat_s=2.9)
