"""Law 5 for charge: what a battery holds is what it had less what was drawn, counted from the tables alone."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import Run


def charge_is_kept(run: Run) -> None:
    """Hold the use of every device with a battery against its charge, its user's arrival and its end.

    Its energy is its watts times the seconds that it was on, worked and sent; never more than its charge, nothing
    before its user came and nothing after it was empty; and what is called empty holds no more than is drawn at full
    power between two readings.
    """
    world = run.world
    for user in world.users:
        spec = world.nodes[user.client]
        if spec.battery_j is None:
            continue
        rows = [row for row in run.tables["usage"] if row["node"] == spec.name]
        ends = [row["at_s"] for row in run.tables["changes"] if _is_end(row, spec.name)]
        assert len(ends) <= 1, "a battery is empty once"
        off_s = ends[0] if ends else run.ending.at_s
        on_s = max(0.0, off_s - user.arrival_s)
        drawn_j = sum(row["energy_j"] for row in rows)
        used_j = spec.compute_w * sum(row["busy_s"] for row in rows) + spec.radio_w * sum(
            row["radio_s"] for row in rows
        )
        assert drawn_j == pytest.approx(spec.idle_w * on_s + used_j, rel=1e-9, abs=1e-9)
        assert drawn_j <= spec.battery_j * (1.0 + 1e-9), "a battery gives no more than it holds"
        full_w = spec.idle_w + spec.compute_w * spec.cores + spec.radio_w
        if ends:
            held_j = spec.battery_j - drawn_j
            assert held_j <= full_w * max(0.01, world.lookahead_s) + 1e-6, "what is empty holds nothing"
        for row in rows:
            if row["at_s"] <= user.arrival_s or row["at_s"] - row["period_s"] >= off_s:
                assert row["energy_j"] == row["busy_s"] == row["radio_s"] == 0.0, "off is off"


def _is_end(row: dict[str, Any], node: str) -> bool:
    return row["kind"] == "battery empty" and row["node"] == node
