"""What the conductor adds to the rows of nodes, with a ledger that says what a test wants."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import chain_graph, fixed, run_world, small_world

from layerlift.emulator.network.byte_ledger import ByteLedger, Sample
from layerlift.emulator.results.rows import UsageReading
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.row_books import RowBooks
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

POWER = {"idle_w": 2.0, "compute_w": 8.0, "radio_w": 5.0}
PRICES = {"price_per_s": 0.5, "price_per_byte_s": 0.25}


class Told(ByteLedger):
    """A ledger with one sample for each period and node."""

    def __init__(self, world: World, sample: Sample, whole: bool = False) -> None:
        super().__init__(world)
        self.sample, self.whole = sample, whole

    def take(self) -> dict[int, dict[int, Sample]]:
        return {1: {0: self.sample, 1: self.sample}} if self.whole else {}

    def last(self, until: float) -> dict[int, Sample]:
        return {} if self.whole else {0: self.sample, 1: self.sample}


def usage(sample: Sample, whole: bool, name: str = "c0") -> dict[str, Any]:
    """The row of a node that was busy for 0.5 s of a period of 2 s, on for 1.5 s, and held 16 byte-seconds."""
    world = small_world(chain_graph([0, 0], [1]), (0.1,), client=POWER, server=PRICES, sample_s=2.0)
    rows: list[tuple[Any, ...]] = []
    books = RowBooks(world, Told(world, sample, whole), lambda _, more: rows.extend(more))
    told = UsageReading(2.0, name, 2.0, 0.5, 9, 16.0, 1.5, on=False, idle=False, number=1, cut=not whole)
    books.close({"usage": [told]}, 2.0)
    (row,) = [row for row in rows if row[1] == name]
    return dict(zip((column for column, _ in TABLES["usage"]), row, strict=True))


@pytest.mark.parametrize("whole", [False, True])
def test_energy_is_idle_time_and_increments_and_money_all_that_costs(whole: bool) -> None:
    sample = Sample(100, 50, 1.25, 0.125)
    client, server = usage(sample, whole), usage(sample, whole, "s1")
    assert client["energy_j"] == 2.0 * 1.5 + 8.0 * 0.5 + 5.0 * 1.25
    assert (client["sent_bytes"], client["received_bytes"], client["radio_s"]) == (100, 50, 1.25)
    assert (client["money"], server["money"]) == (0.125, 0.5 * 0.5 + 0.25 * 16.0 + 0.125)


def test_no_radio_is_on_for_longer_than_the_last_period_was() -> None:
    """Spans are added up: their sum may be longer than the period by a rounding, which no row may say."""
    assert usage(Sample(radio_s=2.0000000000000004), False)["radio_s"] == 2.0


@pytest.mark.parametrize("sample_s", [0.3, 2.0])
@pytest.mark.parametrize("share", [False, True])
def test_the_radio_time_of_the_last_period_ends_with_the_run(share: bool, sample_s: float) -> None:
    """A part of 4 s is on air from 0.033036 s on, and 3 x 12 bytes were at 0.01 s; the run is cut at 1.25 s."""
    graph = chain_graph([0, 0], [4_000_000])
    world = small_world(
        graph, (0.01,), fixed((1,)), link=LinkSpec(0.01, 1e6), client=POWER, user={"queries": 90, "think_s": 0.5},
        share_links=share, until_s=1.25, sample_s=sample_s,
    )  # fmt: skip
    rows = [row for row in run_world(world).tables["usage"] if row["node"] == "c0"]
    on_air_s = 2 * 0.01 + 12e-6 + 0.003 + 0.01
    begins_s = [row["at_s"] - row["period_s"] for row in rows]
    assert rows[-1]["at_s"] == 1.25
    assert rows[-1]["radio_s"] == pytest.approx(1.25 - max(on_air_s, begins_s[-1]) + (12e-6 if len(rows) == 1 else 0.0))
    assert sum(row["radio_s"] for row in rows) == pytest.approx(1.25 - on_air_s + 12e-6)


def test_what_comes_after_the_end_is_cut_and_what_comes_at_the_end_is_not() -> None:
    world = small_world(chain_graph([0, 0], [1]), (0.1,))
    rows: list[tuple[Any, ...]] = []
    books = RowBooks(world, Told(world, Sample()), lambda _, more: rows.extend(more))
    books.close({"changes": [(1.0, "c0"), (2.0, "s1"), (2.5, "c0")]}, 2.0)
    assert [row for row in rows if len(row) == 2] == [(1.0, "c0"), (2.0, "s1")]


def test_rows_of_several_hosts_go_by_time_and_then_by_node() -> None:
    world = small_world(chain_graph([0, 0], [1]), (0.1,))
    rows = {"changes": [(2.0, "c0"), (1.0, "s1"), (1.0, "c0")]}
    RowBooks(world, Told(world, Sample()), lambda *_: None).sort(rows)
    assert rows == {"changes": [(1.0, "c0"), (1.0, "s1"), (2.0, "c0")]}


def test_rows_are_passed_on_at_once_and_queries_counted() -> None:
    world = small_world(chain_graph([0, 0], [1]), (0.1,))
    passed: list[tuple[str, int]] = []
    books = RowBooks(world, Told(world, Sample()), lambda table, rows: passed.append((table, len(rows))))
    books.add({"queries": [(1.0, "c0"), (1.5, "c0")], "plans": []})
    books.add({"queries": [(2.0, "c0")]})
    assert passed == [("queries", 2), ("queries", 1)]
    assert books.queries == 3
