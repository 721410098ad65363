"""Hostile words in every free text of a scenario, of a planner and of a run: each command shows them as text."""

from __future__ import annotations

import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner, Result

from layerlift import RunResult, Scenario, compare
from layerlift.emulator.cli.main import main

pytestmark = pytest.mark.long

WORDS = "</script><script>alert({})</script><img src=x onerror=alert(1)>[/red][b]\x1b[31m\x9b2J\u202e\x00"
MODULE = """
class Noting:
    def plan(self, problem, rng):
        from dataclasses import replace
        from layerlift.planners import make
        return replace(make("direct").plan(problem, rng), note={words!r})

class Raising:
    def plan(self, problem, rng):
        raise ValueError({words!r})
"""


def hostile(number: int) -> str:
    return WORDS.replace("{}", str(number))


def described() -> dict[str, Any]:
    """A scenario with hostile words wherever a text is free; kinds and nodes are named by them elsewhere too."""
    link = {"bandwidth_mb_s": 50, "latency_ms": 3}
    edge, far, phone, model = (hostile(number) for number in range(4))
    return {
        "name": hostile(4),
        "about": hostile(5),
        "nodes": [{"tier": "edge", "name": edge, "ghz": 80}, {"tier": "cloud", "name": far, "ghz": 90}],
        "links": {"client-edge": link, "client-cloud": link, "edge-cloud": link},
        "pairs": [{"between": [edge, far], "latency_ms": 2}],
        "users": [
            {
                "kind": phone,
                "count": 2,
                "device": {"ghz": 1, "names": hostile(6) + "{}"},
                "model": model,
                "planner": "ionn",
                "queries": 6,
            },
            {"kind": hostile(7), "device": {"ghz": 2}, "model": model, "planner": "direct", "queries": 6},
        ],
        "models": {model: {"source": "squeezenet"}},
        "faults": [{"crash": edge, "at_s": 0.2, "for_s": 0.05}],
        "planner": {"at": edge},
        "sources": {"nodes": hostile(8), "links": "see [see table 3] x"},
        "execution": "none",
    }


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scenario, a module of hostile planners, and a run of each."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "world.yaml").write_text(yaml.safe_dump(described()))
    (folder / "hostile_words.py").write_text(MODULE.format(words=hostile(9)))
    before, path = Path.cwd(), list(sys.path)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        for name, planner in (("plain", ()), ("noted", "Noting"), ("raised", "Raising")):
            typed = ("--planner", f"hostile_words:{planner}") if planner else ()
            assert call("run", "world.yaml", "--local", "--quiet", "--out", name, *typed).exit_code == 0
        assert call("run", "world.yaml", "--local").exit_code == 0
    finally:
        os.chdir(before)
        sys.path[:] = path
    return folder


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))


class Page(HTMLParser):
    """The elements of a page, and what its scripts say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip():
            self.scripts.append(data)


def tame(page: str) -> None:
    """A page has our two scripts, the program and its data; nothing else in it is an element that we did not write."""
    seen = Page(page)
    assert seen.tags.count("script") == 2
    ours = {"html", "head", "meta", "title", "style", "script", "body", "div", "h1", "h2", "p", "ul", "li"}
    assert set(seen.tags) <= ours | {"table", "tr", "td", "th", "br", "span"}
    assert set(seen.attributes) <= {"lang", "charset", "id", "class"}
    told = re.match(r"const specs = (.*);\nfor \(const key in specs\)", seen.scripts[-1])
    assert told
    json.loads(told.group(1))
    assert "alert(4)" in page


def plain(result: Result) -> str:
    """What a command said, which holds no escape, no control character and no traceback."""
    assert result.exit_code == 0, result.output
    for said in (result.stdout, result.stderr):
        assert "Traceback" not in said
        assert all(letter.isprintable() or letter == "\n" for letter in said)
    return result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("scenario", "world.yaml"),
        ("scenario", "world.yaml", "--assumptions"),
        ("plan", "world.yaml"),
        ("plan", "world.yaml", "--json"),
        ("plan", "world.yaml", "--planner", "hostile_words:Noting"),
        *(("show", name, *flags) for name in ("plain", "noted", "raised") for flags in ((), ("--json",))),
        ("verify", "plain"),
        ("replay", "plain"),
        ("fairness", "plain"),
        ("fairness", "plain", "--alone"),
        ("fairness", "plain", "--alone", "--json"),
        ("compare", "plain", "raised", "--no-alone"),
        ("compare", "plain", "--json"),
        ("compare", "world.yaml", "--local", "--seeds", "1", "--planner", "ionn", "--planner", "direct"),
    ],
)
def test_a_terminal_shows_words(command: tuple[str, ...]) -> None:
    said = plain(call(*command))
    if command[0] in ("scenario", "show", "fairness") and "--json" not in command and command[-1] != "--alone":
        folded = re.sub(r"[\s│]", "", said)
        assert "[/red]" in folded
        assert "\\x1b[31m" in folded
    if command[0] == "scenario":
        assert "[see table 3]" in said


def test_the_report_tells_what_planners_say() -> None:
    folded = {name: re.sub(r"\s", "", plain(call("show", name))) for name in ("noted", "raised")}
    for said in folded.values():
        assert "alert(9)" in said


def test_a_run_stays_in_its_folder(folder: Path) -> None:
    (made,) = (folder / "runs").iterdir()
    assert re.fullmatch(r"_*script_+script_alert_4[\w.-]*-\d{8}-\d{6}", made.name)
    assert RunResult.load(made).complete


def test_pages_hold_no_script_but_ours(folder: Path) -> None:
    for suffix in (".html", ".svg", ".png"):
        plain(call("show", "plain", "--chart", f"chart{suffix}"))
    tame((folder / "chart.html").read_text())
    drawn = ElementTree.parse(folder / "chart.svg")
    assert not any(found.tag.endswith("script") for found in drawn.iter())
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    plain(call("compare", "plain", "raised", "--out", "found", "--no-alone", "--chart", "all.html"))
    tame((folder / "found" / "compare.html").read_text())
    tame((folder / "all.html").read_text())


def test_notebooks_show_words() -> None:
    for shown in (RunResult.load("plain"), Scenario.load("world.yaml"), compare(["plain"], alone=False)):
        page = Page(shown._repr_html_())
        assert not set(page.tags) & {"script", "img"}
        assert repr(shown).isprintable()


def test_errors_show_words() -> None:
    for command in (
        ("plan", "world.yaml", "--user", hostile(1).replace("\x00", "")),
        ("run", "world.yaml", "--local", "--set", f"users.0.model={json.dumps(hostile(2))}"),
        ("show", hostile(3).replace("\x00", "").replace("/", "")),
    ):
        result = call(*command)
        assert result.exit_code == 2
        [line] = result.stderr.splitlines()
        assert line.isprintable()


# A run.json may say anything


@pytest.mark.parametrize("text", [WORDS, "\ud800", "[/x]"])
def test_a_run_that_was_tampered_with_shows_words(folder: Path, text: str) -> None:
    told = json.loads((folder / "plain" / "run.json").read_text())
    told |= {"status": "interrupted", "reason": text, "placing": text}
    told["operators"] = {text: {"measured_s": 1.0, "profiled_s": 1.0}}
    told["world"]["name"] = text
    for user in told["summary"]["users"]:
        user |= {"user": text, "client": text, "model": text, "planner": text}
    for server in told["summary"]["servers"]:
        server |= {"name": text, "tier": text}
    made = folder / "tampered"
    made.mkdir(exist_ok=True)
    for table in (folder / "plain").iterdir():
        if table.is_dir() and not (made / table.name).exists():
            (made / table.name).symlink_to(table)
    (made / "run.json").write_text(json.dumps(told))
    for command in (("show", "tampered"), ("fairness", "tampered"), ("compare", "tampered", "plain", "--no-alone")):
        result = call(*command)
        assert result.exit_code in (0, 2)
        for said in (result.stdout, result.stderr):
            assert all(letter.isprintable() or letter == "\n" for letter in said)
