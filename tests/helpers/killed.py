"""A run that is killed at a random moment: what it had made is told as it goes, what is left is read afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerlift.emulator import RunResult
from layerlift.emulator.results.tables import TABLES

LOST_S = 5.0


@dataclass(frozen=True)
class Kill:
    """What is left of a killed run."""

    made: dict[str, Any]
    """Its tables; empty when it had not begun."""
    owed: int
    """Queries that had ended `LOST_S` seconds before the kill."""
    standing: str

    @property
    def queries(self) -> int:
        return self.made["queries"].num_rows if self.made else 0


def kill_one(folder: Path, rng: random.Random, longest_s: float = 9.0) -> Kill:
    """Start a run that has no end, kill it after a while, and read what is left."""
    out, log = folder / "made", folder / "log"
    log.write_text("")
    process = subprocess.Popen([sys.executable, __file__, str(out), str(log)], start_new_session=True)
    try:
        begun_by, wait_s = time.monotonic() + 120, rng.uniform(0.0, longest_s)
        while not log.read_text() and time.monotonic() < begun_by and rng.random() < 0.999:
            assert process.poll() is None
            time.sleep(0.01)  # now and then it is killed while it starts
        time.sleep(wait_s)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        at_s = time.monotonic()
        process.wait()
    told = [line.split() for line in log.read_text().splitlines()]
    owed = max((int(line[1]) for line in told if len(line) == 2 and float(line[0]) <= at_s - LOST_S), default=0)
    if not (out / "run.json").exists():
        return Kill({}, owed, "")
    found = RunResult.load(out)
    return Kill({table: found.table(table) for table in TABLES if table != "measured"}, owed, found.standing)


def agree(kills: list[Kill]) -> None:
    """What is left of each is the beginning of the same run, and lacks less than `LOST_S` seconds of it."""
    longest = max(kills, key=lambda kill: kill.queries)
    for kill in kills:
        assert kill.queries >= kill.owed
        if kill.made:
            assert kill.standing.startswith("abandoned (process "), kill.standing
        for table, rows in kill.made.items():
            most = min(rows.num_rows, longest.made[table].num_rows)
            assert rows.slice(0, most).equals(longest.made[table].slice(0, most)), table
        if kill.queries:
            ends = [max(kill.made[table].column("at_s").to_pylist(), default=0.0) for table in ("queries", "usage")]
            assert abs(ends[0] - ends[1]) <= 2.5, "no table is behind another"  # a sample is taken every second


def _main(out: str, log: str) -> None:
    from run_world import phones

    from layerlift.emulator import run

    file, last = os.open(log, os.O_WRONLY | os.O_APPEND), [0.0]

    def tell(state: Any, world: Any) -> None:
        now = time.monotonic()
        if now - last[0] > 0.05:
            last[0] = now
            os.write(file, f"{now} {state.queries}\n".encode())

    run(phones("users.0.queries=100000", execution="none"), out=out, local=True, progress=tell)


if __name__ == "__main__":
    _main(*sys.argv[1:])
