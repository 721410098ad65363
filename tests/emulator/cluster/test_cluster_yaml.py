"""`cluster.yaml` is what Ray's own launcher accepts, and does what its comments promise."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

util = pytest.importorskip("ray.autoscaler._private.util")
jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def _accept(config: dict[str, Any]) -> dict[str, Any]:
    prepared = util.prepare_config(copy.deepcopy(config))
    util.validate_config(prepared)
    return prepared


def test_rays_schema_accepts_it(config: dict[str, Any]) -> None:
    prepared = _accept(config)
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])
    assert prepared["head_start_ray_commands"] == config["head_start_ray_commands"]
    assert prepared["worker_start_ray_commands"] == config["worker_start_ray_commands"]


def test_the_schema_would_refuse_a_misspelt_field(config: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _accept({**config, "setup_comands": []})


def test_every_node_gets_the_project_and_installs_it(config: dict[str, Any]) -> None:
    target = next(remote for remote, local in config["file_mounts"].items() if local == ".")
    assert any(f"pip install --quiet --upgrade {target}" in command for command in config["setup_commands"])
    assert (ROOT / "pyproject.toml").is_file()


def test_every_ray_start_keeps_statistics_home_and_asks_for_the_token(config: dict[str, Any]) -> None:
    starts = [
        command
        for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"])
        for command in commands
        if "ray start" in command
    ]
    assert len(starts) == 2
    for command in starts:
        assert "RAY_USAGE_STATS_ENABLED=0" in command
        assert "RAY_AUTH_MODE=token" in command
    assert "~/.ray/auth_token" in config["file_mounts"]
