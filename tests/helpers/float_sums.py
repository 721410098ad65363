"""Where the builtin `sum` adds what may be floats: in the rooms whose numbers reach a digest it adds only integers.

What is added shows that it is an integer by its shape (a comparison, `len`, a whole number) or by its name,
as units are in names: `..._bytes`, `count`. Else `left_sum` or `int_sum` of
`layerlift.models.sums` says it, where mypy checks it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from house import Tree, nodes

SPARED = tuple(
    f"layerlift.{room}"
    for room in ("models.sums", "models.report", "emulator.report", "emulator.studies", "emulator.cli")
)
"""What only shows numbers, and the one module that may."""
INTEGERS = frozenset(("bytes", "count", "flops", "finals", "is_output", "given", "taken"))
SUMS = frozenset(("sum", "math.sumprod", "statistics.fmean", "statistics.mean"))
"""What rounds otherwise in another version."""


def float_sums(tree: Tree) -> list[str]:
    """One sentence for each `sum` that may add floats where digested numbers are made."""
    return [
        f"{name}, line {line}: the builtin sum rounds otherwise under Python 3.12: take left_sum, int_sum or fsum"
        for name, source in tree.items()
        if not name.startswith(SPARED)
        for line in _lines(nodes(source))
    ]


def _lines(module: Sequence[ast.AST]) -> Iterator[int]:
    called = {id(node.func): node for node in module if isinstance(node, ast.Call)}
    for node in module:
        if isinstance(node, ast.Name) and node.id == "sum":
            call = called.get(id(node))
            if call is None or not (call.args and _whole(_element(call.args[0]))):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in ("sumprod", "fmean"):
            yield node.lineno


def _element(added: ast.expr) -> ast.expr:
    if isinstance(added, (ast.GeneratorExp, ast.ListComp, ast.SetComp)):
        return added.elt
    mapped = isinstance(added, ast.Call) and isinstance(added.func, ast.Name) and added.func.id == "map"
    return ast.Call(added.args[0], [], []) if isinstance(added, ast.Call) and mapped else added


def _whole(node: ast.expr) -> bool:
    """Whether an expression shows that it is an integer."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int)
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=parts):
            return all(map(_whole, parts))
        case ast.IfExp(body=first, orelse=second):
            return _whole(first) and _whole(second)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv(), right=right):
            return _whole(left) and _whole(right)
        case ast.Call(func=ast.Attribute(attr="values", value=holder)):
            return _whole(holder)
        case ast.Call(func=ast.Name(id="len" | "int")):
            return True
        case ast.Call(func=ast.Name(id="max" | "min" | "abs"), args=parts):
            return all(map(_whole, parts))
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Attribute(attr=name) | ast.Name(id=name):
            return name in INTEGERS or name.endswith(("_bytes", "_count"))
    return False
