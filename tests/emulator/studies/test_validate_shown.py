"""Validating: what is shown and kept, and the command."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from some_validations import MB, QUIET, row, validation

import layerlift
from layerlift.emulator.cli.commands import validate as command
from layerlift.emulator.cli.main import main
from layerlift.emulator.report import validated
from layerlift.emulator.studies.validate import page
from layerlift.emulator.studies.validate.study import validate
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.models.errors import LayerliftError, RunError

# What is shown and kept


@pytest.mark.long
def test_the_page_is_whole_and_shows_text_as_text(tmp_path: Path) -> None:
    found = validation([row("network", 0.3, 0.36), row("upload", 9.0, 9.0)], network="<script>x</script>")
    page.write(found, tmp_path / "out")
    text = (tmp_path / "out" / "validate.html").read_text(encoding="utf-8")
    assert "<script>x" not in text
    assert '<tr class="beyond">' in text
    assert "a machine &lt;b&gt;" in text
    assert found.sentences()[1].split(";")[0] in text
    told = json.loads((tmp_path / "out" / "validate.json").read_text(encoding="utf-8"))
    assert told["holds"] is False
    assert [each["verdict"] for each in told["rows"]] == ["beyond", "holds"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["validate.html", "validate.json"]
    with pytest.raises(RunError, match="already holds a validation"):
        page.check(tmp_path / "out", force=False)
    page.check(tmp_path / "out", force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        page.check(tmp_path / "file", force=False)
    assert "<table>" in found._repr_html_()
    assert "Validation" in repr(found)


def test_the_last_validation_is_told_of_later_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    assert validated.last() is None
    validated.keep("2026-01-31", 0.0123, True, "squeezenet, a link of 2 MB/s")
    said = "The emulation was validated on this machine on 2026-01-31: within 1.2% (squeezenet, a link of 2 MB/s)."
    assert validated.last() == said
    validated.keep("2026-01-31", 0.2, False, "squeezenet")
    assert "within 20.0%, beyond its bounds" in (validated.last() or "")
    told = json.loads((tmp_path / "validate.json").read_text())
    for change in (
        {"host": "another"},
        {"date": 7},
        {"date": "today"},
        {"worst": math.nan},
        {"worst": "0"},
        {"what": []},
    ):
        (tmp_path / "validate.json").write_text(json.dumps(told | change))
        assert validated.last() is None
    for text in ("", "{", "[]", "null", "[" * 9000, '{"host": 1}', "\x00"):
        (tmp_path / "validate.json").write_text(text)
        assert validated.last() is None


@pytest.mark.long
def test_reports_tell_of_it_and_digests_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    said: list[str] = []
    for out in ("before", "after"):
        line = ["run", "quickstart", "--local", "--set", "execution=none", "--out", str(tmp_path / out)]
        done = CliRunner().invoke(main, line, catch_exceptions=False, env={"COLUMNS": ""})
        said.append(done.stdout)
        validated.keep("2026-01-31", 0.0123, True, "squeezenet")
    digests = [json.loads((tmp_path / out / "run.json").read_text())["digest"] for out in ("before", "after")]
    assert digests[0] == digests[1]
    assert ["was validated on this machine on 2026-01-31: within 1.2%" in text for text in said] == [False, True]


# The command


def shown(monkeypatch: pytest.MonkeyPatch, found: Validation, *line: str, **env: str) -> Any:
    given: dict[str, Any] = {}

    def instead(model: str | None, **more: Any) -> Validation:
        given.update(more, model=model)
        return found

    monkeypatch.setattr(command, "validated", instead)
    done = CliRunner(env=env).invoke(main, ["validate", *line], catch_exceptions=False)
    return done, given


def test_exit_codes_and_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = validation([row("network", 0.3, 0.3)]), validation([row("network", 0.3, 0.5)])
    none = validation([row("network", 0.3, 0.5)], dataclasses.replace(QUIET, interference=0.5))
    for found, code in ((right, 0), (wrong, 1), (none, 0)):
        done, given = shown(monkeypatch, found, COLUMNS="")
        assert done.exit_code == code
        assert done.stdout.startswith(found.sentences()[0])
        assert done.stdout.splitlines()[-1].split()[0] == "plain"
        assert given["bandwidth_bytes_s"] is None
    done, given = shown(monkeypatch, right, "--bandwidth", "80mbit", "--json")
    assert given["bandwidth_bytes_s"] == 10e6
    assert json.loads(done.stdout)["holds"] is True
    assert shown(monkeypatch, right, "--bandwidth", "1.5 MB/s")[1]["bandwidth_bytes_s"] == 1.5 * MB
    for columns in ("40", "80"):
        done, _ = shown(monkeypatch, wrong, COLUMNS=columns)
        assert "…" not in done.stdout
        assert "BEYOND" in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--bandwidth", "fast"], "--bandwidth is 'fast', expected a number above 0 in MB/s"),
        (["--bandwidth", "0"], "--bandwidth is '0', expected a number above 0"),
        (["--bandwidth", "1.2.3"], "--bandwidth is '1.2.3', expected a number"),
        (["--bandwidth", "9000"], "expected 50000 to 2e+08"),
        (["--model", "sqeezenet"], "did you mean squeezenet"),
        (["--model", "nowhere.onnx"], "nowhere.onnx"),
        (["--out", "README.md"], "is a file, expected a directory"),
    ],
)
def test_mistakes_are_sentences(line: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    done = CliRunner().invoke(main, ["validate", *line], catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stderr.startswith("layerlift: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_from_python() -> None:
    assert layerlift.validate is validate
    for wrong in (
        {"repeats": 0},
        {"bandwidth_off": 0.0},
        {"ghz_off": 200.0},
        {"bandwidth_bytes_s": math.nan},
        {"repeats": 10**6},
    ):
        with pytest.raises(LayerliftError, match="expected"):
            validate("squeezenet", **wrong)  # type: ignore[arg-type]
