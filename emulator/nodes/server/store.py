"""What users have uploaded to a server, and the memory that it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from layerlift.emulator.nodes.index_set import IndexSet
from layerlift.emulator.protocol.messages import UploadPart
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.sums import int_sum

Key = tuple[int, int]
"""Plan version and part."""


class Store:
    """What one user has uploaded here."""

    __slots__ = ("building", "held_bytes", "layers", "parameters", "parts", "trusted")

    def __init__(self) -> None:
        self.layers = IndexSet()
        """Layers that can run here."""
        self.parameters = IndexSet()
        self.parts: dict[Key, tuple[int, ...]] = {}
        """Layers of each part, in the order of their coming."""
        self.building: dict[Key, list[UploadPart]] = {}
        """Parts that are not ready yet: every copy of them that wants a confirm result."""
        self.held_bytes = 0
        """What is charged to the user: of what is shared, what it came with first of those who have it by now."""
        self.trusted: set[str] = set()
        """Routes whose layers here have been checked against the store."""

    def lacking(self, layers: Iterable[int]) -> tuple[int, ...]:
        """Which of these layers cannot run here."""
        return tuple(layer for layer in layers if layer not in self.layers)


class Shelves:
    """All stores of one server. With `shared`, users of one model share its parameters: each is held once.

    A parameter that is shared is charged to one user, the first of those who have it; who leaves hands it on. So what
    all users are charged is what the server holds.
    """

    def __init__(self, shared: bool) -> None:
        self._shared = shared
        self._users: dict[tuple[int, int], dict[int, None]] = defaultdict(dict)
        """Who has a parameter of a model (by model and parameter), in the order of their coming."""
        self.stores: dict[int, Store] = {}

    def of(self, user: int) -> Store:
        """The store of a user; an empty one for whoever has none yet."""
        return self.stores.setdefault(user, Store())

    def there(self, model: int, graph: LayerGraph) -> tuple[int, ...]:
        """Parameters of a model that somebody holds here already and others may use."""
        if not self._shared:
            return ()
        return tuple(number for number in range(len(graph.parameters)) if self._users.get((model, number)))

    def more_bytes(self, model: int, graph: LayerGraph, parameters: Iterable[int]) -> int:
        """Memory that these parameters would take in addition."""
        new = (p for p in parameters if not (self._shared and self._users.get((model, p))))
        return sum(graph.parameters[p].held_bytes for p in new)

    def add(self, user: int, model: int, graph: LayerGraph, part: UploadPart, fresh: Collection[int]) -> int:
        """Store a part whose parameters `fresh` this user has not got here yet; the bytes that it takes in addition."""
        store = self.of(user)
        size = self.more_bytes(model, graph, fresh)
        for parameter in fresh:
            self._users[model, parameter][user] = None
        store.parameters.update(fresh)
        store.parts[part.version, part.part] = part.layers
        store.building[part.version, part.part] = [part]
        store.held_bytes += size
        return size

    def keep(self, user: int, model: int, graph: LayerGraph, layers: Collection[int]) -> int:
        """Let go of whatever of a user's the given layers do not need; the bytes that this frees."""
        store = self.stores.get(user)
        if store is None:
            return 0
        store.parts = {key: own for key, own in store.parts.items() if all(layer in layers for layer in own)}
        store.building = {key: copies for key, copies in store.building.items() if key in store.parts}
        store.layers.intersection_update(layers)
        store.trusted.clear()
        needed = graph.parameters_of({*store.layers, *(layer for own in store.parts.values() for layer in own)})
        gone = [parameter for parameter in store.parameters if parameter not in needed]
        freed = int_sum(
            self._let_go(user, model, parameter, graph.parameters[parameter].held_bytes) for parameter in gone
        )
        store.parameters.intersection_update(needed)
        if not store.parts and not store.layers:
            del self.stores[user]
        return freed

    def _let_go(self, user: int, model: int, parameter: int, size: int) -> int:
        """Take a parameter of `size` bytes from a user; the bytes that this frees, 0 while others have it."""
        users = self._users[model, parameter]
        charged = not self._shared or next(iter(users)) == user
        del users[user]
        if charged:
            self.stores[user].held_bytes -= size
        if self._shared and users:
            if charged:
                self.stores[next(iter(users))].held_bytes += size
            return 0
        if not users:
            del self._users[model, parameter]
        return size

    def validate(self, held_bytes: int, graph_of: Callable[[int], LayerGraph]) -> None:
        """Hold the stores against each other and against what the server says that it holds."""
        # What users share is held as long as any of them is there, and charged to one of them.
        taken = {
            (id(graph_of(user)) if self._shared else user, parameter): graph_of(user).parameters[parameter].held_bytes
            for user, store in self.stores.items()
            for parameter in store.parameters
        }
        assert sum(taken.values()) == held_bytes, "memory is held by somebody, and what is shared is held once"
        assert sum(store.held_bytes for store in self.stores.values()) == held_bytes, "all that is held is charged"
        for user, store in self.stores.items():
            assert store.held_bytes >= 0, "nobody is charged less than nothing"
            assert store.building.keys() <= store.parts.keys(), "what is being built is a part"
            parts = {layer for layers in store.parts.values() for layer in layers}
            held = graph_of(user).parameters_of({*store.layers, *parts})
            assert set(store.parameters) == set(held), "parameters are held for a layer, and layers have theirs"

    def clear(self) -> None:
        """Forget everything."""
        self.stores.clear()
        self._users.clear()
