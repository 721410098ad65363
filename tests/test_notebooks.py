"""docs/notebooks.md: every block of it is run, in order, and what it returns shows itself and gives a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

TEXT = (Path(__file__).parent.parent / "docs" / "notebooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_every_block_runs_and_gives_what_the_page_says() -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/notebooks.md", "exec"), names)
    assert names["by_user"].num_rows == 2
    assert names["assumed"]["users.0.retries"] == 5
    assert names["means"].num_rows == 4
    assert names["gain"].mean < 0
    table = names["table"]
    assert isinstance(table, pa.Table)
    assert table["nodes.0.ghz"].to_pylist() == [None, None, 8, 8, 16, 16]
    assert table["links.client-edge.latency_ms"].to_pylist() == [None, None, None, None, 10, 10]
    assert names["best"][0]["planner"] == "ionn"
    for name, rows in (("sized", 3), ("rests", 2 * (1 + 4 + 3))):
        assert names[name].to_arrow().num_rows == rows
    for name in ("result", "scenario", "compared", "sized", "rests"):
        assert "<table" in names[name]._repr_html_()
        assert "\n" not in repr(names[name])
    assert "gzh" in names["sentence"]


def test_the_page_names_all_studies() -> None:
    import layerlift

    functions = {name for name in layerlift.__all__ if name.islower() and not name.startswith("_")}
    named = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert functions == named
