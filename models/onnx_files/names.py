"""Names in a stranger's model: which are no text, and which are given twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def broken(message: Message) -> Iterator[bytes]:
    """Whatever should be text in `message` and is not UTF-8, which protobuf hands out as bytes."""
    waiting = [message]
    while waiting:
        current = waiting.pop()
        for field in current.DESCRIPTOR.fields:
            if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
                continue
            value = getattr(current, field.name)  # protobuf's own way to a field that is known at run time only
            if isinstance(value, Message):
                waiting.extend([value] if current.HasField(field.name) else [])
            elif not isinstance(value, str):
                for item in [value] if isinstance(value, bytes) else value:
                    if isinstance(item, Message):
                        waiting.append(item)
                    elif isinstance(item, bytes):
                        yield item


def repeated(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of tensors that are defined more than once; an initializer may be declared as an input too."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    defined = Counter(tensor.name for tensor in graph.initializer)
    defined.update(value.name for value in graph.input if value.name not in stored)
    defined.update(name for node in graph.node for name in node.output if name)
    declared = Counter(value.name for value in graph.input)
    return tuple(name for name, times in (defined | declared).items() if times > 1)
