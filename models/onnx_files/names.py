"""Names in a stranger's model: which are no text, and which are given twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import onnx
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message


def broken(message: Message) -> Iterator[bytes]:
    """Whatever should be text in `message` and is not UTF-8, which protobuf hands out as bytes."""
    waiting = [message]
    while waiting:
        current = waiting.pop()
        for name, holds_messages, alone in _readable(current.DESCRIPTOR):
            # A message that is not there would be made by being looked at.
            if holds_messages and alone and not current.HasField(name):
                continue
            value = getattr(current, name)  # protobuf's own way to a field that is known at run time only
            if holds_messages:
                waiting.extend([value] if alone else value)
            else:
                yield from (item for item in ([value] if alone else value) if isinstance(item, bytes))


@cache
def _readable(kind: Descriptor) -> tuple[tuple[str, bool, bool], ...]:
    """Of every field that holds text or messages: its name, whether it holds messages, and whether only one."""
    return tuple(
        (field.name, field.type == FieldDescriptor.TYPE_MESSAGE, field.has_presence)
        for field in kind.fields
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)
    )


def repeated(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of tensors that are defined more than once; an initializer may be declared as an input too."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    defined = Counter(tensor.name for tensor in graph.initializer)
    defined.update(value.name for value in graph.input if value.name not in stored)
    defined.update(name for node in graph.node for name in node.output if name)
    declared = Counter(value.name for value in graph.input)
    return tuple(name for name, times in (defined | declared).items() if times > 1)
