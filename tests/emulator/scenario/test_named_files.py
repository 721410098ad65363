"""Files that a scenario names: whatever stands there, it is one sentence at once, or a file of bounded size."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_scenario import small

from layerlift.emulator.scenario import Scenario
from layerlift.models.errors import ScenarioError

USER: dict[str, Any] = {"model": "squeezenet", "queries": 3}
JOURNEY: dict[str, Any] = {"users": [{**USER, "kind": "walker"}]}


def naming(field: str, name: str) -> dict[str, Any]:
    """A scenario that names a file in one of the fields that may."""
    nodes: list[dict[str, Any]] = [dict(node) for node in small()["nodes"]]
    match field:
        case "profile":
            nodes[1]["profile"] = name
            return small(nodes=nodes, users=[USER])
        case "model":
            return small(users=[{**USER, "model": f"./{name}"}])
        case "source":
            return small(users=[{**USER, "model": "m"}], models={"m": {"source": f"./{name}"}})
        case "arrival" | "asks":
            return small(users=[{**USER, field: {"trace": name}}])
        case "link":
            return small(users=[USER], faults=[{"trace": "client-edge", "file": name}])
        case _:
            return small(users=[USER], faults=[{"journey": name}])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of things that are no files, each by the name of one."""
    monkeypatch.chdir(tmp_path)
    for ending in ("csv", "parquet", "json", "onnx"):
        os.mkfifo(f"pipe.{ending}")
        Path(f"folder.{ending}").mkdir()
        Path(f"zero.{ending}").symlink_to("/dev/zero")
        with Path(f"huge.{ending}").open("wb") as file:
            file.truncate(1 << 40)
    with socket.socket(socket.AF_UNIX) as there:
        there.bind("socket.csv")
        yield tmp_path


@pytest.mark.parametrize("what", ["pipe", "folder", "zero", "huge", "none", "nul\x00"])
@pytest.mark.parametrize("field", ["profile", "model", "source", "arrival", "asks", "link", "journey"])
def test_what_is_no_file_is_one_sentence(field: str, what: str, folder: Path) -> None:
    ending = {"profile": "json", "model": "onnx", "source": "onnx"}.get(field, "csv")
    data = naming(field, f"{what}.{ending}") | {"folder": str(folder)}
    with pytest.raises(ScenarioError) as said:
        Scenario.from_dict(data).resolve()
    assert str(said.value).isprintable()
    assert len(str(said.value)) <= 300 + len(str(folder))
    assert what.rstrip("\x00") in str(said.value)


def test_a_socket_is_none(folder: Path) -> None:
    with pytest.raises(ScenarioError, match="it is a socket, expected a file"):
        Scenario.from_dict(naming("arrival", "socket.csv") | {"folder": str(folder)}).resolve()


@pytest.mark.parametrize("what", ["pipe", "folder", "zero", "huge"])
def test_nor_is_a_scenario(what: str, folder: Path) -> None:
    with pytest.raises(ScenarioError):
        Scenario.load(folder / f"{what}.json")
