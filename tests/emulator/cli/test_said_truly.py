"""What the command line says of what was given: the option, the unit, the bound, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from layerlift import Scenario, compare, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.studies.compare.directories import means_run
from layerlift.models.errors import LayerliftError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*words: str) -> str:
    """The sentence that refuses a command, which leaves nothing behind."""
    done = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert list(Path().iterdir()) == []
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("run quickstart --local --planner nope", "layerlift: --planner nope: users.0.planner is 'nope'"),
        ("run quickstart --local --policy nope", "layerlift: --policy nope: nodes.0.policy is 'nope'"),
        ("run quickstart --local --seed -1", "layerlift: --seed -1: seed is -1"),
        ("plan quickstart --planner nope", "layerlift: --planner nope: users.0.planner is 'nope'"),
        ("compare quickstart --local --planner nope", "layerlift: --planner nope: users.0.planner is 'nope'"),
        ("compare quickstart --local --sweep inputs=1,x", "layerlift: --sweep inputs=x: inputs is 'x'"),
        ("run quickstart --local --actors -1", "layerlift: actors is '-1', expected auto or a whole number"),
        ("run quickstart --local --actors abc", "layerlift: actors is 'abc', expected auto or a whole number"),
        ("run quickstart --compute measured --execution none", "layerlift: --execution none: execution is none, but"),
    ],
)
def test_the_option_that_was_given_is_named(words: str, begins: str) -> None:
    assert refused(*words.split()).startswith(begins)


def test_in_python_the_argument_is_named() -> None:
    with pytest.raises(LayerliftError, match=r"^planner nope: users\.0\.planner is 'nope'"):
        compare("quickstart", planners=["nope", "ionn"], local=True)


@pytest.mark.parametrize("command", ["run quickstart --local --out", "compare quickstart --local --out", "show"])
def test_an_empty_name_is_no_folder(command: str) -> None:
    assert "it is empty" in refused(*command.split(), "")


@pytest.mark.parametrize("call", [run, compare])
def test_nor_is_it_in_python(call: object) -> None:
    with pytest.raises(LayerliftError, match="out is empty"):
        call("quickstart", out="", local=True)  # type: ignore[operator]


def test_a_bundled_name_means_the_scenario(folder: Path) -> None:
    (folder / "paper").mkdir()
    (folder / "paper" / "run.json").write_text("{}")
    assert not means_run("paper")
    assert means_run("./paper")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("nodes.0.ghz=1e308", "expected a number above 0 and at most 1e+15"),
        ("nodes.0.ghz=1e-12", "expected a number above 0 and at least 1e-09"),
        ("nodes.0.ghz=0", "expected a number above 0, or a range"),
        ("links.client-edge.latency_ms=1e-12", "expected a number of at least 1e-09"),
        (
            "links.client-edge.bandwidth_mbps=80",
            "bandwidth_mb_s (MB/s of 2**20 bytes) or bandwidth_mbit_s (Mb",
        ),
        ("nodes.0.uplink_mbps=80", "uplink_mbit_s (Mbit/s of 10**6 bits, 8.39 to an MB/s)"),
        ("planner.at=client", ""),
    ],
)
def test_bounds_and_units_are_stated(setting: str, says: str) -> None:
    if says:
        assert says in refused("scenario", "quickstart", "--set", setting)
    else:
        assert Scenario.load("quickstart", [setting])


def test_a_rate_has_one_unit() -> None:
    world = Scenario.load("quickstart", ["links.client-edge.bandwidth_mbit_s=80", "nodes.0.uplink_mbit_s=[8, 16]"])
    resolved = world.resolve()
    assert resolved.links["client", "edge"].bandwidth_bytes_s == 10e6
    assert [node.uplink_bytes_s for node in resolved.nodes if node.tier == "edge"] == [1e6, 1.5e6, 2e6]
    told = {entry["path"] for entry in world.assumptions()}
    assert "nodes.0.uplink_mbit_s" in told
    assert "nodes.0.uplink_mb_s" not in told
    plain = Scenario.load("quickstart").model_dump(mode="json")
    plain["links"]["client-edge"]["bandwidth_mbit_s"] = 80
    with pytest.raises(LayerliftError, match=r"given beside bandwidth_mb_s: expected one of the two"):
        Scenario.from_dict(plain)
    plain["links"]["client-edge"] = {"latency_ms": 1}
    with pytest.raises(LayerliftError, match=r"bandwidth_mb_s is missing, and so is bandwidth_mbit_s"):
        Scenario.from_dict(plain)


def test_a_planner_that_other_clients_cannot_reach_is_refused() -> None:
    with pytest.raises(LayerliftError, match=r"planner\.at is 'phone-1', a client, which other clients"):
        Scenario.load("quickstart", ["planner.at=phone-1"])
