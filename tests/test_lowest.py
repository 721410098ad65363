"""The constraints that CI installs for its leg with the lowest declared versions."""

from __future__ import annotations

import re

import pytest
from lowest import ROOT, constraints


def test_every_dependency_has_a_floor_that_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pins = constraints(text)
    for line in pins:
        name, version = line.split("==")
        assert f'"{name}>={version}"' in text
    assert {"ray", "numpy", "onnx", "onnxruntime", "highspy", "networkx"} <= {pin.split("==")[0] for pin in pins}


def test_a_dependency_without_a_floor_is_refused() -> None:
    text = '[project]\ndependencies = ["ray"]\noptional-dependencies = {exact = [], flow = []}\n'
    with pytest.raises(ValueError, match="'ray' has no floor"):
        constraints(text)
    assert constraints(text.replace('"ray"', '"ray>=2"')) == ["ray==2"]


def test_the_pythons_that_ci_looks_for_are_those_that_the_project_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"for version in {' '.join(named)}; do" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
