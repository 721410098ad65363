"""What documents say of the code and of shipped data: columns, states, rooms, profiles, predictions, preprocessing."""

from __future__ import annotations

import importlib
import math
import sys

from benchmarks.docs.blocks import ROOT, table
from layerlift.emulator.nodes.client import parts
from layerlift.emulator.report.formatting import size
from layerlift.emulator.results import tables
from layerlift.emulator.scenario import families
from layerlift.models import Network, load
from layerlift.models.loading import zoo
from layerlift.models.preprocess import modules, pipeline
from layerlift.models.preprocess.report import StepReport, size_of
from layerlift.models.timing import training
from layerlift.models.timing.profiles import reference

TITLES = {
    "densenet121": "DenseNet-121",
    "googlenet": "GoogLeNet",
    "inception_v2": "Inception-v2",
    "resnet50": "ResNet-50",
    "shufflenet": "ShuffleNet",
    "squeezenet": "SqueezeNet",
    "alexnet": "AlexNet",
    "vgg19": "VGG-19",
}
GRAPH_STEPS = {"collapse": "collapse", "split": "split", "merge": "merge", "merge printed": "merge:rule=printed"}
LOSSY_STEPS = {
    "alexnet": ("low_rank:energy=0.9", "sparse_low_rank:rank=256", "prune:keep=0.1"),
    "vgg19": ("separate:energy=0.9", "tucker:energy=0.9", "patterns:kernels=0.3"),
}
SPECTRUM = 0.8


def columns() -> str:
    """Every column of every table, as the code defines it."""
    return tables.page()


def states() -> str:
    """What becomes of a part at each event."""
    return parts.page()


def rooms() -> str:
    """The picture of the rooms, drawn from today's imports."""
    helpers = str(ROOT / "tests" / "helpers")
    if helpers not in sys.path:
        sys.path.insert(0, helpers)
    drawer, house = importlib.import_module("draw_rooms"), importlib.import_module("house")
    return str(drawer.draw(house.tree_on_disk()))


def networks() -> str:
    """The zoo: what each network reads, how many layers it has, what it weighs and multiplies."""
    rows = []
    for name in zoo.names():
        graph = load(name).graph
        also = ", ".join(sorted(alias for alias, of in zoo.ALIASES.items() if of == name))
        shapes = dict.fromkeys("x".join(map(str, graph.tensors[t].shape)) for t in graph.inputs)
        macs = math.fsum(layer.features["macs"] for layer in graph.layers)
        weights = size(graph.held_bytes(range(len(graph))))
        rows.append([name, also, ", ".join(shapes), str(len(graph)), weights, f"{macs / 1e9:.3g}"])
    return table(["network", "also", "input", "layers", "parameters", "GMACs"], rows)


def random_worlds() -> str:
    """The families that ship, and what they catch."""
    shipped = [families.load(name) for name in families.shipped()]
    rows = [[f"`{each.name}`", each.about.rstrip("."), each.catches] for each in shipped]
    return table(["family", "its worlds", "catches"], rows, left=3)


def fused() -> str:
    """Layer by layer against fused, of the shipped profiles."""
    rows = []
    for name in zoo.classics():
        profile = reference(load(name))
        blocks_s = math.fsum(block[2] for block in profile.blocks)
        times = [f"{second * 1e3:.1f}" for second in (profile.uncut_s, blocks_s, profile.fused_s)]
        rows.append([name, *times, f"{profile.fused_s / profile.uncut_s:.2f}"])
    return table(["network", "layer by layer (ms)", "fused in blocks (ms)", "fused whole (ms)", "whole / layers"], rows)


def held_out() -> str:
    """How well regressions predict networks that they have not seen."""
    report = training.held_out(training.shipped_pairs())
    networks = [[one.network, _marked(one.ratio)] for one in report.networks]
    operators = [
        [one.kind, str(one.layers), f"{one.r2:.3f}", f"{one.rmse_ms:.3f}"] for one in report.operators if one.r2 >= 0.5
    ]
    poor = [one.kind for one in report.operators if one.r2 < 0.5]
    return "\n\n".join(
        [
            table(["network", "predicted / measured"], networks),
            table(["operator", "layers", "R2", "RMSE (ms)"], operators),
            f"An R2 below 0.5 have: {', '.join(sorted(poor))}.",
        ]
    )


def _marked(ratio: float) -> str:
    return f"{ratio:.3f}" if abs(ratio - 1) <= 0.15 else f"**{ratio:.3f}**"


def anchor() -> str:
    """The one published measurement that a reference clock is tied to."""
    profile = reference(load("alexnet"))
    total_s = math.fsum(profile.seconds)
    clock = 0.822 * 2.0 / total_s
    return (
        "The published anchor is IONN's Odroid XU4: AlexNet in 822 ms at 2.0 GHz. The shipped profile of AlexNet\n"
        f"takes {total_s * 1e3:.1f} ms at {profile.ghz:g} GHz; the board's time is reached at `reference_ghz` =\n"
        f"0.822 x 2.0 / {total_s:.4f} = {clock:.1f}, which is {clock / profile.ghz:.1f} times the cycles. The bundled "
        "scenarios take that number."
    )


def grouped() -> str:
    """Layers of the zoo before and after the steps that change the graph only."""
    rows = []
    for name, title in TITLES.items():
        network = load(name)
        found = [unit for unit in modules.modules(network.graph) if len(unit.layers) > 1]
        if found:
            after = [str(len(pipeline.apply(network, [step]).graph)) for step in GRAPH_STEPS.values()]
            rows.append([title, str(len(network.graph)), str(len(found)), *after])
    names = [f"`{name.split()[0]}`{name.removeprefix(name.split()[0])}" for name in GRAPH_STEPS]
    return table(["network", "layers", "modules", *names], rows)


def lossy() -> str:
    """Sizes and errors of steps that are not exact."""
    rows = []
    for name, steps in LOSSY_STEPS.items():
        network = load(name, spectrum=SPECTRUM)
        rows.append([TITLES[name], *_sizes(network), ""])
        for step in steps:
            after, reports = pipeline.reported(network, pipeline.parse([step]), 1)
            rows.append([f"`{step}`", *_sizes(after), _error(reports[0])])
    return table(["network and step", "held", "to upload", "FLOPs", "output error"], rows)


def _sizes(network: Network) -> list[str]:
    found = size_of(network)
    return [size(found.held_bytes), size(found.upload_bytes), f"{found.flops / 1e9:.3g} G"]


def _error(report: StepReport) -> str:
    assert report.error is not None
    return f"{report.error.relative:.2f}"
