"""What the nodes of a scenario are called, in the order of `World.nodes`: clients, brought clients, servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath


def node_names(scenario: Description) -> Iterator[tuple[FieldPath, str]]:
    """Yield each node's section and name. A pattern counts on over all groups that use it: r1, r2, then r3 ..."""
    numbers: Counter[str] = Counter()
    listed: list[tuple[FieldPath, str, str]] = []
    for index, group in enumerate(scenario.nodes):
        pattern = group.names or f"{group.tier}{{}}"
        for _ in range(group.count or 1):
            if group.name is None:
                numbers[pattern] += 1
            listed.append((("nodes", index), group.tier, group.name or pattern.replace("{}", str(numbers[pattern]))))
    yield from ((path, name) for path, tier, name in listed if tier == "client")
    for index, kind in enumerate(scenario.users):
        if kind.device is not None:
            pattern = kind.device.names or f"{kind_name(scenario, index)}-{{}}"
            for _ in range(kind.count or 1):
                numbers[pattern] += 1
                yield ("users", index, "device"), pattern.replace("{}", str(numbers[pattern]))
    yield from ((path, name) for path, tier, name in listed if tier != "client")


def kind_name(scenario: Description, index: int) -> str:
    """Return what users of a kind are called: given, or `user`, numbered where there are several kinds."""
    return scenario.users[index].kind or ("user" if len(scenario.users) == 1 else f"user{index + 1}")
