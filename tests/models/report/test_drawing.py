"""Pictures of networks and of plans: every layer, every line, text that fits, and nothing but text from strangers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import model, node, tensor
from strategies import layer_graphs

from layerlift import models
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import compile_route
from layerlift.models.report import drawing
from layerlift.models.report.canvas import fitting, width_of
from layerlift.models.report.sketch import BOXES, Placed, Sketch

SVG = "{http://www.w3.org/2000/svg}"


def parts(root: Xml.Element, kind: str) -> list[Xml.Element]:
    return [group for group in root.iter(f"{SVG}g") if group.get("class") == kind]


def rect(group: Xml.Element) -> tuple[float, float, float, float]:
    """The largest rectangle of a part: y, x, width, height."""
    found = [
        tuple(float(each.get(key)) for key in ("y", "x", "width", "height")) for each in group.findall(f"{SVG}rect")
    ]
    return max(found, key=lambda each: each[2] * each[3])


def check_page(root: Xml.Element) -> None:
    """No two boxes overlap, everything is on the page, and no text is wider than its box or the page."""
    wide, high = float(root.get("width")), float(root.get("height"))
    boxes = sorted(rect(group) for kind in ("box", "end") for group in parts(root, kind))
    for (y, x, width, height), (next_y, next_x, _, _) in pairwise(boxes):
        assert next_y >= y + height if next_y != y else next_x >= x + width
    assert all(x >= 0 and x + width <= wide and y + height <= high for y, x, width, height in boxes)
    for group in parts(root, "box"):
        _, x, width, _ = rect(group)
        for text in group.findall(f"{SVG}text"):
            begin = float(text.get("x"))
            assert x <= begin
            assert begin + width_of(text.text, float(text.get("font-size"))) <= x + width + 1e-6
    for y, _, _, height in boxes:
        for rule in list(root.iter(f"{SVG}line")):
            assert not y - 2 <= float(rule.get("y1")) <= y + height + 2
        for text in root.findall(f"{SVG}text"):
            assert not y - 2 <= float(text.get("y")) <= y + height + 10, "what stands between boxes touches none"
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("x")) + width_of(text.text, float(text.get("font-size"))) <= wide


@pytest.mark.parametrize("name", ["alexnet", "squeezenet"])
def test_a_short_network_is_drawn_layer_by_layer(name: str) -> None:
    graph = models.load(name).graph
    root = Xml.fromstring(drawing.svg(graph))
    assert len(parts(root, "box")) == len(graph)
    readers = {(t.producer, t.consumers) for t in graph.tensors if t.consumers}
    assert len(parts(root, "edge")) == len(readers) + 1, "one for each tensor, one to the answer"
    check_page(root)


@pytest.mark.long
@pytest.mark.parametrize("name", ["resnet50", "densenet121", "googlenet"])
def test_a_long_network_is_drawn_in_blocks(name: str) -> None:
    graph = models.load(name).graph
    root = Xml.fromstring(drawing.svg(graph))
    said = [group.find(f"{SVG}text").text for group in parts(root, "box")]
    spans = [tuple(int(word) for word in words.split(":")[0].split(" to ")) for words in said if " to " in words]
    assert 5 < len(said) <= BOXES
    assert sum(last - first + 1 for first, last in spans) + len(said) - len(spans) == len(graph)
    check_page(root)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data(), layer_graphs(max_layers=10))
def test_any_network_with_any_plan_is_a_page(data: st.DataObject, graph: LayerGraph) -> None:
    count = len(graph)
    placement = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    nodes = ("client", "near", data.draw(st.text(max_size=60)), "far")
    root = Xml.fromstring(drawing.svg(graph, Placed(placement, nodes)))
    check_page(root)
    sketch = Sketch(graph, Placed(placement, nodes))
    for first, second in pairwise(range(count)):
        if placement[first] != placement[second]:
            above = [sketch.levels[box] for box in sketch.box_of[: first + 1]]
            assert max(above) < min(sketch.levels[box] for box in sketch.box_of[second:]), "a line across parts them"
    route = compile_route(graph, placement)
    assert len(parts(root, "box")) == count
    # One more for the legend's own.
    assert len(list(root.iter(f"{SVG}line"))) == 1 + bool(route.opening) + sum(bool(step.sends) for step in route.steps)


def test_a_plan_is_seen() -> None:
    graph = models.load("resnet50").graph
    placement = [0] * 20 + [2] * 90 + [1] * (len(graph) - 110)
    sketch = Sketch(graph, Placed(placement, ("client", "r7", "r9")))
    assert {20, 110} <= {group.first for group in sketch.groups}
    root = Xml.fromstring(drawing.svg(graph, sketch.plan))
    fills: dict[str, set[str]] = {}
    for group in parts(root, "box"):
        texts = [text.text for text in group.findall(f"{SVG}text")]
        where = next(text for text in texts if text.startswith("on "))
        fills.setdefault(where, set()).add([r for r in group.findall(f"{SVG}rect") if r.get("rx")][-1].get("fill"))
    assert set(fills) == {"on client", "on r7", "on r9"}
    assert all(len(own) == 1 for own in fills.values())
    assert len(set.union(*fills.values())) == 3
    said = {text.text for text in root.iter(f"{SVG}text")}
    sent = compile_route(graph, placement).steps
    size = sum(send.bytes for send in sent[0].sends)
    assert f"client sends {size / 2**20:.1f} MiB to r9" in said
    assert "r9 sends 784.0 KiB to r7" in said
    assert "r7 sends 3.9 KiB to client" in said
    check_page(root)


def test_a_network_of_many_inputs_has_no_bundle_of_lines() -> None:
    graph = models.load("alexnet").graph
    late = len(graph.tensors)
    kind = type(graph.tensors[0])
    caches = tuple(kind(f"past{n}", 4096, -1, (10 + n,)) for n in range(6))
    layers = tuple(
        replace(layer, inputs=(*layer.inputs, late + layer.index - 10)) if 10 <= layer.index < 16 else layer
        for layer in graph.layers
    )
    inputs = (*graph.inputs, *range(late, late + 6))
    many = replace(graph, layers=layers, tensors=(*graph.tensors, *caches), inputs=inputs)
    root = Xml.fromstring(drawing.svg(many))
    assert len(parts(root, "edge")) == len(graph) + 1
    assert any(text.text.endswith("; not all 7 inputs have lines") for text in root.iter(f"{SVG}text"))
    check_page(root)


def test_names_from_a_strangers_file_cannot_break_the_picture() -> None:
    evil = node("Relu", ["x"], ["y"], name='</g><script>alert(1)</script>\x00"&')
    graph = models.from_model(model([evil], [tensor("x", 1)], ["y"]), "<b>&").graph
    root = Xml.fromstring(drawing.svg(graph))
    assert not list(root.iter(f"{SVG}script"))
    assert "<b>&" in "".join(root.itertext())


@pytest.mark.parametrize("letter", ["m", "網"])
def test_a_title_of_any_length_fits(letter: str) -> None:
    graph = replace(models.load("alexnet").graph, name=letter * 400)
    check_page(Xml.fromstring(drawing.svg(graph)))
    assert (width_of("mm", 10), width_of("網", 10)) == (12.0, 10.0)
    assert fitting("a" * 30 + "z", 10, 60.0) == "aaaa…aaaaz"
