"""The README is run: its planner, its scenario, its Python, its links. `.ci/run` runs its commands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from click import Context

from layerlift import RunResult, Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.planners.testing import check_planner

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, first: str) -> str:
    """The fenced block of a language that begins with a line."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    [found] = [each for each in blocks if each.startswith(first + "\n")]
    return found


def code_lines(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


@pytest.fixture
def my_planner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    text = block("python", "# my_planner.py")
    (tmp_path / "my_planner.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_planner", raising=False)
    return "my_planner:BestTail"


@pytest.mark.long
def test_the_planner_is_one_of_20_lines_and_conforms(my_planner: str) -> None:
    assert code_lines(block("python", "# my_planner.py")) <= 20
    assert check_planner(my_planner) > 50


@pytest.mark.long
def test_the_planner_runs_and_keeps_its_promise(my_planner: str) -> None:
    scenario = Scenario.load("quickstart", [f"users.0.planner={my_planner}", "users.0.count=1", "execution=once"])
    made = run(scenario, local=True, strict=True)
    [user] = made.summary["users"]
    assert user["plan"]["predicted_s"] < user["plan"]["local_s"]
    assert user["latency_s"]["after"]["median"] == pytest.approx(user["plan"]["predicted_s"], rel=1e-9)
    assert user["output_error"] == 0.0


@pytest.mark.long
def test_the_scenario_is_two_dozen_lines_and_runs(tmp_path: Path) -> None:
    text = block("yaml", "# my_world.yaml")
    assert code_lines(text) <= 24
    path = tmp_path / "my_world.yaml"
    path.write_text(text)
    made = run(path, local=True, strict=True)
    assert made.complete
    assert made.queries.num_rows == 12 * 20
    assert set(made.queries["status"].to_pylist()) == {"answered"}
    assert made.summary["totals"]["output_error"] == 0.0


@pytest.mark.long
def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = block("python", "from layerlift import Scenario, compare, fairness, run, sweep")
    exec(compile(text, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    ran, spread, compared, swept = lines
    assert ran.startswith("<RunResult quickstart: complete, 5 users, 100 queries answered, 0 failed in ")
    assert "phone-5" in ran
    assert "'mean': " in spread
    assert compared.startswith("<Comparison quickstart: 3 variants (local, direct, ionn), 2 seeds, 6 of 6 runs done>")
    assert float(compared.partition("mean=")[2].partition(",")[0]) < 0, "ionn is faster than staying local"
    assert "one user of each kind ran alone" in swept


def test_the_report_is_that_of_the_paper_scenario() -> None:
    """All but what the digest does not cover is the same on every machine of a platform."""
    report = block("", "paper: 2 users, 10 servers, seed 1")
    made = run(Scenario.load("paper", ["execution=none"]), local=True)
    shown = capture(made)
    for line in report.splitlines():
        if line.startswith("user-") and "MiB" in line:
            line = line.rsplit(None, 1)[0]
            assert re.search(re.escape(line), shown), line
        elif line.strip():
            assert line in shown, line


def capture(result: RunResult) -> str:
    from io import StringIO

    from rich.console import Console

    from layerlift.emulator.report.report import show

    out = StringIO()
    show(result, Console(file=out, width=80))
    return out.getvalue()


def test_commands_that_are_named_exist() -> None:
    named = set(re.findall(r"(?<!from )\blayerlift ([a-z]+)\b", TEXT)) - {"run"}
    known = set(main.list_commands(Context(main)))
    assert named <= known, named - known


def test_links_and_paths_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r"`((?:tests|emulator|docs)/[\w/.]+)`", TEXT)
    assert len(links) > 8
    for link in links:
        assert (ROOT / link).exists(), link


def test_ci_runs_its_first_commands() -> None:
    assert re.search(r"^<!-- ci -->\n```bash\npip install \. && layerlift run paper\n```$", TEXT, re.MULTILINE)
    assert re.search(r"^<!-- ci dev -->\n```bash\npip install '\.\[dev\]' && pytest\n```$", TEXT, re.MULTILINE)
    assert "commands" in (ROOT / ".ci" / "run").read_text()


def test_it_stays_short() -> None:
    assert len(TEXT.splitlines()) < 250
