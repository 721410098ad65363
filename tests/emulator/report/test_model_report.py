"""A network of a thousand layers in a terminal: one page, names that fit, and everything for who asks for it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from layerlift import models
from layerlift.emulator.report.model_report import show_model
from layerlift.emulator.report.screen import Screen
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor
from layerlift.models.report import summary
from layerlift.models.running.network import Network

KINDS = ("MatMul", "Relu", "MatMul", "Relu", "Add")


@pytest.fixture(scope="module")
def long() -> Network:
    """Two hundred residual blocks of five layers, whose names are as long as exporters make them."""
    network = models.load("alexnet")
    layers: list[Layer] = []
    tensors = [Tensor("x", 4000, -1, (0, 4), shape=(1000,))]
    for index in range(1000):
        part = index % 5
        reads = (index, index - 4) if part == 4 else (index,)
        readers = () if index == 999 else (index + 1, index + 5) if part == 4 else (index + 1,)
        tensors.append(Tensor(f"t{index}", 4000, index, readers, not readers, shape=(1000,)))
        name = f"/model/encoder/layer.{index // 5}/attention/output/dense/{KINDS[part]}_{index}"
        features = {"macs": 10.0} if part in (0, 2) else {}
        layers.append(Layer(index, name, KINDS[part], reads, (index + 1,), (), 20, 100, features))
    graph = LayerGraph("long", tuple(layers), tuple(tensors), (), (0,), (1000,))
    return replace(network, graph=graph)


def printed(network: Network, every: bool, width: int = 80) -> list[str]:
    file = io.StringIO()
    show_model(Screen(file=file, width=width), network, summary.report(network.graph), every)
    return file.getvalue().splitlines()


def test_a_thousand_layers_are_a_page(long: Network) -> None:
    lines = printed(long, every=False)
    assert len(lines) < 60
    assert max(map(len, lines)) <= 80
    assert any("0..999" in line and "200 x 5" in line and "2 MatMul, 2 Relu, Add" in line for line in lines)
    assert any(line.lstrip().startswith("4(+198)") for line in lines), "cuts between blocks alike are one row"
    assert any("--layers lists all 1000 layers" in line for line in lines)


@pytest.mark.long
def test_every_layer_and_every_cut_for_who_asks(long: Network) -> None:
    lines = printed(long, every=True)
    cuts = next(number for number, line in enumerate(lines) if line.strip() == "Best cuts")
    assert sum("layer." in line or "/mod" in line for line in lines[:cuts]) == 1000
    assert len(lines) - cuts >= 199
    assert not any("--layers" in line for line in lines)


def test_names_lose_their_middle_on_a_terminal_only(long: Network) -> None:
    whole = long.graph.layers[4].name
    near = printed(long, every=False, width=120)
    assert not any(whole in line for line in near)
    assert any("/model/enc" in line and "Add_4" in line and "…" in line for line in near)
    assert any(whole in line for line in printed(long, every=False, width=100_000))


def cuts_of(network: Network, found: summary.ModelReport) -> list[str]:
    file = io.StringIO()
    show_model(Screen(file=file, width=100), network, found, every=False)
    lines = file.getvalue().splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip() == "Best cuts")
    return [line.strip() for line in lines[first:] if " in 1 " in line or " more cuts" in line]


@pytest.mark.long
def test_of_many_cuts_those_that_carry_least_are_shown() -> None:
    network = models.load("densenet121")
    found = summary.report(network.graph)
    least = {77, 215, 485, 666, 60}  # the last of them is the widest
    cuts = tuple(replace(row, least=row.after in least) for row in found.best_cuts)
    alone = tuple(replace(found.blocks[0], first=n, last=n) for n in range(len(network.graph)))
    *rows, more = cuts_of(network, replace(found, best_cuts=cuts, blocks=alone))
    assert len(rows) == 30
    assert {int(row.split()[0][1:]) for row in rows if row.startswith("*")} == least
    assert f"and {len(found.best_cuts) - 30} more cuts" in more


@pytest.mark.long
def test_a_cut_that_carries_less_than_all_before_is_never_put_together_with_others() -> None:
    network = models.load("densenet121")
    found = summary.report(network.graph)
    cuts = tuple(replace(row, least=row.least or row.after == 110) for row in found.best_cuts)
    rows = cuts_of(network, replace(found, best_cuts=cuts))
    assert [row.split()[0] for row in rows[3:5]] == ["88(+1)", "*110(+8)"]
