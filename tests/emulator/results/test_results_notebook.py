"""What notebooks and terminals show of results: one line, escaped tables, and no trust in what a file says."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from run_world import phones

from layerlift import RunResult, compare, run
from layerlift.emulator.results.notebook import html_table
from layerlift.models.text import printable

EVIL = "<script>alert('1')</script>&\nline"


class Tags(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def tags(page: str) -> set[str]:
    return set(Tags(page).tags)


PLAIN = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}


def saved(folder: Path, **told: Any) -> RunResult:
    """A run whose run.json nobody has looked at."""
    return RunResult(folder, {"status": "complete", **told})


def test_a_run_is_one_line_and_a_table(tmp_path: Path) -> None:
    made = run(phones("execution=none", "users.0.queries=2"), local=True, out=tmp_path / "made")
    line = repr(made)
    assert line.startswith("<RunResult phones: complete, 2 users, 4 queries answered, 0 failed in ")
    assert line.endswith(f" s of virtual time, digest {made.digest[:8]}, {tmp_path / 'made'}>")
    page = made._repr_html_()
    assert tags(page) == PLAIN
    assert line[1:-1] in Tags(page).text
    assert Tags(page).tags.count("tr") == 2
    assert repr(run(phones("execution=none", "users.0.queries=1"), local=True)).endswith(", in memory>")


def test_a_run_that_goes_on_tells_what_it_can(tmp_path: Path) -> None:
    made = saved(tmp_path / "a", status="running", world={"name": "w", "users": [], "nodes": []})
    assert repr(made) == f"<RunResult w: running, {tmp_path / 'a'}>"
    assert tags(made._repr_html_()) == PLAIN - {"td"}


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    kinds = [{"kind": EVIL, "users": EVIL, "answered": 3, "failed": {EVIL: 1, "b": EVIL}, "latency_s": EVIL}] * 1000
    made = saved(tmp_path / "a", digest=EVIL, world={"name": EVIL}, summary={"kinds": kinds, "totals": {}})
    assert "\n" not in repr(made)
    page = made._repr_html_()
    assert tags(page) == PLAIN
    assert "<script>alert('1')</script>& line" in Tags(page).text
    assert Tags(page).tags.count("tr") < 100


@pytest.mark.parametrize("wrong", [None, 5, "text", [], [[]], {"kinds": 5, "totals": [1]}, {"kinds": [None, "a"]}])
def test_whatever_run_json_holds_it_can_be_shown(tmp_path: Path, wrong: Any) -> None:
    made = saved(tmp_path / "a", world=wrong, summary=wrong, digest=wrong)
    assert repr(made).startswith("<RunResult run: complete")
    assert tags(made._repr_html_()) <= PLAIN


def test_a_comparison_is_one_line_and_a_table_of_means() -> None:
    small = phones("execution=none", "users.0.queries=2", name="<b>w</b>\x1b[31m")
    found = compare(small, planners=["ionn", "local"], seeds=2, alone=False, local=True)
    told = "<b>w</b> [31m: 2 variants (ionn, local), 2 seeds, 4 of 4 runs done"
    assert repr(found) == f"<Comparison {told}>"
    page = found._repr_html_()
    assert tags(page) == PLAIN
    assert told in Tags(page).text
    assert "latency, mean over users (ms)" in Tags(page).text
    assert "slowdown" not in Tags(page).text


def test_a_table_escapes_every_cell() -> None:
    page = html_table(EVIL, [EVIL, "b"], [[EVIL, EVIL]])
    assert tags(page) == PLAIN
    assert Tags(page).text.count(printable(EVIL)) == 4
