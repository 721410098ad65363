"""The tables of IONN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerlift.emulator.report.formatting import seconds, share
from layerlift.emulator.studies.reproduce.ionn.findings import MIB, PRINTED
from layerlift.emulator.studies.reproduce.ionn.rows import mapped
from layerlift.emulator.studies.reproduce.ionn.runs import ORDERS, UPLOADS, Upload, link_s
from layerlift.emulator.studies.reproduce.reproduction import Table
from layerlift.models.running.network import Network


def order_table(raced: Sequence[Upload]) -> Table:
    """The four planners against each other."""
    names = {"direct": "Direct", "ionn": "IONN", "efficiency": "Efficiency", "recursive": "Recursive"}
    return Table(
        f"{raced[0].network} under the four planners",
        (
            "link, pause",
            "planner",
            "pieces",
            "uploaded after",
            "answers in it",
            "longest",
            "answers in that",
            "mean latency",
        ),
        tuple(
            (
                f"{each.links}, {each.pause_s:g} s" if each.planner == ORDERS[0] else "",
                names[each.planner],
                str(len(each.client.parts)),
                seconds(each.client.ended_s),
                str(each.during),
                seconds(each.until_s),
                str(each.by(each.until_s)),
                seconds(each.delay_s),
            )
            for each in raced
        ),
        "Answers in it: during its own upload; then up to the end of the longest of the four, over which the mean "
        "latency of a query begun at any time is taken, too.",
    )


def completion_table(timed: Mapping[str, Sequence[Upload]]) -> Table:
    """How long uploads take, printed and here."""
    rows = []
    for name, (printed_mb, *printed) in PRINTED.items():
        if name in timed:
            here = [seconds(each.client.ended_s) for each in timed[name]]
            parts = [str(len(each.client.parts)) for each in timed[name]]
        else:
            here, parts = ["not emulated"] * 3, ["-"] * 3
        alone = seconds(link_s(printed_mb * MIB))
        rows += [
            (name if number == 0 else "", how, parts[number], f"{printed[number]:.1f} s", here[number], alone)
            for number, how in enumerate(UPLOADS)
        ]
    return Table(
        "Upload times",
        ("network", "how", "pieces here", "published", "here", "the link alone, for the printed MB"),
        tuple(rows),
        "Not emulated: networks that are not asked for, or that the zoo does not have (Inception with 21,841 "
        "classes, MobileNet of the first version); their rows find no layers.",
    )


def mapping_table(loaded: Mapping[str, Network]) -> Table:
    """How many rows found a layer, and what of the time."""
    rows = []
    for name, network in loaded.items():
        found = mapped(network)
        rows.append(
            (
                name,
                str(len(network.graph)),
                str(len(network.graph) - len(found.without)),
                str(len(found.strange)),
                *(share(found.lost(side)) for side in ("client", "server")),
            )
        )
    return Table(
        "How the published rows map",
        ("network", "layers", "with a row", "rows without a layer", "their time: board", "server"),
        tuple(rows),
        "Layers without a row reshape, which Caffe does without a layer: they take nothing. Rows without a layer are "
        "the input and Caffe's copies; a row of scaling belongs to the normalisation before it.",
    )
