"""A network in a terminal: what it is made of, its layers or blocks, and where it is best cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report.formatting import seconds, size
from layerlift.emulator.report.screen import has_end
from layerlift.models.errors import shortened
from layerlift.models.report import summary
from layerlift.models.running.network import Network

_NAME: Final = 36
"""Characters of a layer's name on a terminal; elsewhere names are whole."""
_CUTS: Final = 30
"""Rows of cuts that are shown whole; of more, those of blocks alike are one."""
_OPERATORS: Final = 34
"""Characters of the operators of a row of blocks."""
_BLOCK_ROOM: Final = 51
"""Characters of all other columns of the table of blocks, but for the names of layers; and below, of that of cuts."""
_CUT_ROOM: Final = 68


def show_model(console: Console, network: Network, found: summary.ModelReport, every: bool) -> None:
    """Print what is known of a network; with `every` layer by layer and cut by cut, else by blocks."""
    width = console.width if has_end(console) else None
    _head(console, network, found)
    console.print(_operator_table(found))
    console.print(_layer_table(found, width) if every else _block_table(found, width))
    folded = [_Folded(row) for row in found.best_cuts] if every else _fold(found)
    console.print(_cut_table(found, folded, width))
    console.print(
        "* carries less than the input and every earlier cut, the others less than their neighbours", style="dim"
    )
    if not every:
        hidden = len(found.best_cuts) - sum(1 + row.alike for row in folded)
        more = f" and {hidden} more cuts" if hidden else ""
        some = " (+4: so many more between blocks alike)" if any(row.alike for row in folded) else ""
        console.print(f"--layers lists all {found.layers} layers{more}, --json everything{some}", style="dim")


def multiply_adds(network: Network) -> int:
    """Multiply-adds of one run."""
    return round(sum(layer.features.get("macs", 0.0) for layer in network.graph.layers))


def _head(console: Console, network: Network, found: summary.ModelReport) -> None:
    kind = "a chain" if found.is_chain else f"branching, cuts up to {max(found.cut_widths, default=0)} tensors wide"
    widths = ", ".join(f"{count} of width {width}" for width, count in found.cut_widths.items())
    weights = "seeded weights (errors are synthetic)" if network.synthetic else "its own weights"
    console.print(Text(found.name, style="bold") + f": {found.layers} layers, {kind}; {weights}, {network.digest}")
    console.print(
        f"{size(found.parameter_bytes)} of parameters, {multiply_adds(network) / 1e9:.3f} GMACs, "
        f"{found.flops / 1e9:.3f} GFLOP; input {size(found.input_bytes)}, output {size(found.output_bytes)}"
    )
    console.print(
        f"memory: {size(found.parameter_bytes)} to hold, {size(found.peak_live_bytes)} more to run; cuts: {widths}"
    )
    if found.seconds is not None:
        console.print(f"{seconds(found.seconds)} on one core at {found.ghz} GHz by its profile")


def _operator_table(found: summary.ModelReport) -> Table:
    table = Table("operator", "layers", "parameters", "MFLOP", "seconds", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found.operators:
        share = "" if row.seconds is None or not found.seconds else f"{row.seconds / found.seconds:.1%}"
        flops, held = f"{row.flops / 1e6:,.1f}", size(row.parameter_bytes)
        table.add_row(row.op_type, str(row.layers), held, flops, seconds(row.seconds), share)
    return table


def _layer_table(found: summary.ModelReport, width: int | None) -> Table:
    columns = ("#", "layer", "operator", "output", "bytes", "hold", "run", "MFLOP", "seconds", "cut after it")
    numbered = _numbered(found)
    table = Table(*columns[numbered:], title="Layers", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.justify = "left" if column.header in columns[1:4] else "right"
    for row in found.rows:
        shapes = ", ".join("x".join(map(str, shape)) for shape in row.output_shapes)
        cut = _cut(row.cut_tensors, row.cut_bytes)
        cells = (
            str(row.index),
            _name(row.name, _NAME if width else None),
            row.op_type,
            shapes,
            size(row.output_bytes),
            size(row.hold_bytes),
            size(row.run_bytes),
            f"{row.flops / 1e6:,.2f}",
            seconds(row.seconds),
            cut,
        )
        table.add_row(*cells[numbered:])
    return table


def _numbered(found: summary.ModelReport) -> bool:
    """Whether names say no more than numbers do: 80 columns are few."""
    return all(row.name == f"n{row.index}" for row in found.rows)


def _cut(tensors: int | None, count: int | None) -> str:
    return "" if tensors is None else f"{tensors}: {size(count)}"


def _name(name: str, most: int | None) -> str:
    """A layer's name, its middle left out where it is longer than that: exporters' names begin alike and end alike."""
    return name if most is None else shortened(name, max(12, min(most, _NAME)))


def _block_table(found: summary.ModelReport, width: int | None) -> Table:
    unit = "GFLOP" if found.seconds is None else "seconds"
    table = _bare("Blocks", "layers", "blocks", "operators", "hold", unit, "cut after it")
    room = None if width is None else width - _BLOCK_ROOM
    named = not _numbered(found) and (room is None or room > _OPERATORS)
    if named:
        table.add_column("after which")
    for row in found.blocks:
        cells = [
            str(row.first) if row.first == row.last else f"{row.first}..{row.last}",
            f"{row.times} x {row.layers}" if row.times > 1 else "",
            _operators(row, _OPERATORS if room is None else max(12, min(room, _OPERATORS))),
            size(row.parameter_bytes),
            _work(row.seconds, row.flops),
            _cut(row.cut_tensors, row.cut_bytes),
            *([_name(row.name, None if room is None else room - _OPERATORS)] if named else []),
        ]
        table.add_row(*cells)
    return table


def _bare(title: str, *names: str) -> Table:
    """A table without lines; numbers to the right, words to the left."""
    table = Table(*names, title=title, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.justify = "left" if column.header in ("operators", "layer", "blocks") else "right"
    return table


def _work(spent_s: float | None, flops: int) -> str:
    """Seconds by a profile; without one, operations in units of 10^9."""
    return f"{flops / 1e9:.3f}" if spent_s is None else seconds(spent_s)


def _operators(row: summary.BlockRow, room: int) -> str:
    """The operators of a block, the heaviest first, as far as there is room: `3 Conv, 2 Relu, 8 more`."""
    kinds = list(row.operators.items())
    named = [name if number == 1 else f"{number} {name}" for name, number in kinds]
    for shown in range(len(kinds), 0, -1):
        left = sum(number for _, number in kinds[shown:])
        said = ", ".join([*named[:shown], *([f"{left} more"] if left else [])])
        if len(said) <= room or shown == 1:
            return said
    return ""


@dataclass(frozen=True, slots=True)
class _Folded:
    """A row of cuts: that which carries least of those between blocks alike, and how many others stand behind it."""

    row: summary.CutRow
    alike: int = 0


def _fold(found: summary.ModelReport) -> list[_Folded]:
    """The best cuts on one page: those within a row of blocks are one, and the widest are left out."""
    if len(found.best_cuts) <= _CUTS:
        return [_Folded(row) for row in found.best_cuts]
    block_of = [number for number, block in enumerate(found.blocks) for _ in range(block.first, block.last + 1)]
    rows: list[_Folded] = []
    inside = -1
    for row in found.best_cuts:
        if not row.least and block_of[row.after] == inside:
            before = rows[-1]
            least = row if row.bytes < before.row.bytes and not before.row.least else before.row
            rows[-1] = _Folded(least, before.alike + 1)
        else:
            rows.append(_Folded(row))
        inside = block_of[row.after]
    kept = sorted(rows, key=lambda folded: (not folded.row.least, folded.row.bytes, folded.row.after))[:_CUTS]
    return sorted(kept, key=lambda folded: folded.row.after)


def _cut_table(found: summary.ModelReport, rows: Sequence[_Folded], width: int | None) -> Table:
    numbered = _numbered(found)
    unit = "GFLOP" if found.seconds is None else "seconds"
    names = ["after", "layer", "carries", f"{unit} before", "behind", "weights before", "behind"]
    table = _bare("Best cuts", *names[:1], *names[1 + numbered :])
    room = None if width is None else width - _CUT_ROOM
    for folded in rows:
        row = folded.row
        alike = f"(+{folded.alike})" if folded.alike else ""
        cells = [
            f"{'*' if row.least else ''}{row.after}{alike}",
            _name(row.name, room),
            f"{size(row.bytes)} in {row.tensors}",
            _work(row.seconds_before, row.flops_before),
            _work(row.seconds_after, row.flops_after),
            size(row.parameter_bytes_before),
            size(row.parameter_bytes_after),
        ]
        del cells[1 : 1 + numbered]
        table.add_row(*cells)
    return table
