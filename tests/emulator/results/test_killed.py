"""Whatever dies leaves what it had: drivers that are killed, disks that are full, Ray that is gone."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner
from killed import agree, kill_one

from layerlift.emulator.cli.main import main
from layerlift.emulator.results import heartbeat


def kills(number: int, folder: Path) -> None:
    rng = random.Random(7)
    found = []
    for each in range(number):
        place = folder / str(each)
        place.mkdir()
        found.append(kill_one(place, rng))
    agree(found)


@pytest.mark.long
def test_a_killed_driver_loses_less_than_five_seconds(tmp_path: Path) -> None:
    kills(3, tmp_path)


@pytest.mark.slow
def test_a_hundred_killed_drivers_lose_less_than_five_seconds_each(tmp_path: Path) -> None:
    kills(100, tmp_path)


@pytest.mark.long
def test_every_command_says_in_a_sentence_that_nobody_writes_any_more(tmp_path: Path) -> None:
    rng = random.Random(1)
    places = (tmp_path / str(number) for number in count())
    place = next(place for place in places if not place.mkdir() and kill_one(place, rng).queries)
    made = str(place / "made")
    said = {}
    for command in ("show", "verify", "replay", "fairness", "compare"):
        result = CliRunner().invoke(main, [command, made, *(["--no-alone"] if command == "compare" else [])])
        text = " ".join(result.output.split())
        said[command] = text
        assert "abandoned (process " in text, (command, text)
        assert " is no more, last heard of at " in text, (command, text)
        assert result.exit_code == (2 if command in ("verify", "replay") else 0), text
    assert said["verify"].count(".") <= 6
    assert "run it again with --force" in said["verify"]
    assert "expected a complete one" in said["replay"]
    again = CliRunner().invoke(main, ["run", "quickstart", "--local", "--quiet", "--out", made, "--force"])
    assert again.exit_code == 0, again.output
    assert not (place / "made" / heartbeat.HEARTBEAT_FILE).exists()
