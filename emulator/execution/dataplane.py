"""The data plane's books: which tensors exist, who still needs them, what was measured, and whether answers are right.

Nodes speak only of tensor names; here they become references to arrays, wherever those live. Every reference is owned
here and dropped after its last use, so memory stays flat however long a run is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from layerlift.emulator.execution.answers import not_finite, relative_error
from layerlift.emulator.execution.backends import Backend, Ref
from layerlift.emulator.execution.engine import Task, Timing
from layerlift.emulator.execution.finished import Finished
from layerlift.emulator.nodes.events import Answered, Piece, Stored, Together
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.rows import MeasuredKind, MeasuredRow, Write
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError
from layerlift.models.running.cutting import Subgraph, subgraph
from layerlift.models.running.network import Network
from layerlift.models.running.session import Optimization, uncut_session
from layerlift.models.running.together import name_of, piece_of_several, several
from layerlift.models.sums import left_sum
from layerlift.models.timing.batch_sizes import between

Execution = Literal["every", "once", "none"]

_CHECK_AT_ONCE = 64
"""Timings are read, and answers compared, so many at a time."""
_UNDER_WAY = 256
"""The newest executions and answers are not waited for: who runs them shall not stand idle meanwhile."""


class _Use(NamedTuple):
    """One step of a route as the data plane sees it."""

    model: int
    first: int
    last: int
    inputs: tuple[int, ...]


class _Query:
    """Tensors of one query that somebody still needs, by index, and its logits."""

    __slots__ = ("left", "logits", "tensors")

    def __init__(self, left: Mapping[int, int]) -> None:
        self.left = dict(left)
        """How many steps have yet to read a tensor."""
        self.tensors: dict[int, Ref] = {}
        self.logits: dict[str, Ref] = {}


class _Run(NamedTuple):
    """An execution of a piece whose timing is still to be read."""

    piece: Piece
    use: _Use
    timing: Ref
    size: int = 1
    """How many queries ran with it at once, itself included."""


class DataPlane:
    """Runs what the hosts say has run. `execution` is `every` query, or `once`: the first query of each route, and of
    each size of batch on it whose inputs are there.

    `write` receives rows of the `measured` table.
    """

    def __init__(
        self,
        world: World,
        networks: Sequence[Network],
        backend: Backend,
        write: Write,
        *,
        execution: Execution,
        inputs: int,
        optimization: Optimization,
    ) -> None:
        self._world, self._networks, self._backend, self._write = world, networks, backend, write
        self._routes = Routes([model.graph for model in world.models])
        self._once, self._inputs, self._optimization = execution == "once", inputs, optimization
        self._revocable = world.revocable
        self._queries: dict[tuple[int, int], _Query] = {}
        self._over: defaultdict[int, Finished] = defaultdict(Finished)
        self._chosen: dict[str, tuple[int, int]] = {}
        self._uses: dict[str, tuple[dict[int, _Use], dict[int, int]]] = {}
        self._pieces: dict[tuple[int, int, int], Subgraph] = {}
        self._stacked: dict[tuple[int, int, int, int], Subgraph | None] = {}
        self._many: dict[tuple[int, int], Network] = {}
        self._samples: dict[tuple[int, int], dict[int, Ref]] = {}
        self._expected: dict[tuple[int, int], dict[str, np.ndarray]] = {}
        self._runs: list[_Run] = []
        self._answers: list[tuple[Answered, dict[str, Ref]]] = []
        self.executed = 0
        """Pieces run so far."""
        self.operators: dict[str, tuple[float, float]] = {}
        """Seconds per operator, measured here and profiled, over pieces that hold all layers between them."""
        self._timed: list[set[int]] = [set() for _ in networks]
        for user in world.users:
            graph = networks[user.model].graph
            backend.hold(user.client, user.index, user.model, list(graph.forms))

    # What the conductor calls

    def store(self, stored: Stored) -> None:
        """A server holds more of a user's parameters, or none any longer."""
        if not stored.parameters:
            self._backend.release(stored.node, stored.user)
            return
        model = self._world.users[stored.user].model
        parameters = self._networks[model].graph.parameters
        self._backend.hold(
            stored.node, stored.user, model, [name for p in stored.parameters for name in parameters[p].names]
        )

    def execute(self, piece: Piece) -> None:
        """Run a piece, in order.

        A query may go on under another route, after a `~` in its name, when a server has died: those pieces read what
        earlier ones made. What still runs elsewhere of a query that is over is let be.
        """
        if piece.query in self._over[piece.user] or (self._once and not self._wanted(piece)):
            return
        self._run(piece)
        if len(self._runs) >= _UNDER_WAY + _CHECK_AT_ONCE:
            self._read_timings(_CHECK_AT_ONCE)

    def execute_together(self, together: Together) -> None:
        """Run pieces alike in one batch, in order.

        With `once`, one that is wanted runs beside copies of itself, as many as there were others.
        """
        pieces = [piece for piece in together.pieces if piece.query not in self._over[piece.user]]
        if self._once:
            size = len(together.pieces)
            batches = [[piece] * size for piece in pieces if self._wanted(piece, f"{piece.route} {size}")]
        else:
            batches = [pieces] if pieces else []
        for batch in batches:
            self._run_batch(batch)
        if len(self._runs) >= _UNDER_WAY + _CHECK_AT_ONCE:
            self._read_timings(_CHECK_AT_ONCE)

    def measure(self, piece: Piece) -> float:
        """Run a piece now; its CPU seconds, scaled to its node's speed."""
        run = self._run(piece)
        timing: Timing = self._backend.fetch([run.timing])[0]
        node = self._world.nodes[piece.node]
        return timing.seconds * self._world.models[run.use.model].reference_ghz[node.profile] * node.cores / node.ghz

    def answered(self, answered: Answered) -> None:
        """Compare the answer with the uncut network's, now or a little later; forget the query."""
        query = self._queries.pop((answered.user, answered.query), None)
        if self._revocable:
            self._over[answered.user].add(answered.query)
        if query is not None and query.logits:
            self._answers.append((answered, query.logits))
        if len(self._answers) >= _UNDER_WAY + _CHECK_AT_ONCE:
            self._compare(_CHECK_AT_ONCE)

    def forget(self, user: int, query: int) -> None:
        """A query has failed: let go of its tensors. With `once`, its route is free for the next query on it."""
        self._over[user].add(query)
        if self._queries.pop((user, query), None) is not None and self._once:
            self._chosen = {route: chosen for route, chosen in self._chosen.items() if chosen != (user, query)}

    def close(self) -> None:
        """Wait for everything under way, and compare and report what is left."""
        self._read_timings(len(self._runs))
        self._compare(len(self._answers))

    # How

    def _wanted(self, piece: Piece, kind: str = "") -> bool:
        """With `once`: whether a piece belongs to a query that is executed, or begins one of its `kind` (its route)."""
        query = piece.user, piece.query
        chosen = query in self._queries or (
            "~" not in piece.route and self._chosen.setdefault(kind or piece.route, query) == query
        )
        if not chosen:
            return False
        if self._lacking(piece):
            # It took a route that another query has left free since, and its first pieces were passed over.
            self.forget(*query)
            return False
        return True

    def _query(self, piece: Piece) -> _Query:
        """The piece's query, which may begin with it."""
        query = self._queries.get((piece.user, piece.query))
        if query is None:
            uses, left = self._uses_of(piece.route)
            query = self._queries[piece.user, piece.query] = _Query(left)
            query.tensors.update(self._sample(uses[piece.step].model, piece.query % self._inputs))
        return query

    def _lacking(self, piece: Piece) -> list[int]:
        """Tensors that a piece reads and nobody has made."""
        known = self._query(piece).tensors
        return [tensor for tensor in self._uses_of(piece.route)[0][piece.step].inputs if tensor not in known]

    def _run(self, piece: Piece) -> _Run:
        use = self._uses_of(piece.route)[0][piece.step]
        subgraph = self._piece(use)
        inputs = self._read(piece, use)
        layers = range(use.first, use.last + 1)
        task = Task(
            piece.node, piece.user, use.model, use.first, use.last, not self._timed[use.model].issuperset(layers)
        )
        self._timed[use.model].update(layers)
        made, timing = self._backend.run(task, subgraph, inputs)
        return self._ran(_Run(piece, use, timing), made)

    def _run_batch(self, pieces: Sequence[Piece]) -> None:
        """Run pieces of the same layers at once, or one after the other where they cannot be stacked."""
        size, first = len(pieces), pieces[0]
        use = self._uses_of(first.route)[0][first.step]
        subgraph = self._piece_of_several(use, size) if size > 1 else None
        own = list(dict.fromkeys(pieces))
        if subgraph is None:
            for piece in own:
                self._run(piece)
            return
        uses = [self._uses_of(piece.route)[0][piece.step] for piece in pieces]
        inputs = {
            name_of(name, number): ref
            for number, piece in enumerate(pieces)
            for name, ref in self._read(piece, uses[number]).items()
        }
        task = Task(first.node, first.user, use.model, use.first, use.last)
        made, timing = self._backend.run(task, subgraph, inputs)
        for number, piece in enumerate(own):
            mine = name_of("", number)
            found = {name.removeprefix(mine): ref for name, ref in made.items() if name.startswith(mine)}
            self._ran(_Run(piece, uses[number], timing, size), found)

    def _read(self, piece: Piece, use: _Use) -> dict[str, Ref]:
        """The tensors that a piece reads, by name. Raises `RunError` where nobody has made one."""
        query, names = self._query(piece), self._networks[use.model].graph.tensors
        for tensor in self._lacking(piece):
            raise RunError(
                f"query {piece.query} of user {piece.user} was to run layers {use.first} to {use.last} without "
                f"{names[tensor].name!r}: expected a piece before that makes it"
            )
        return {names[tensor].name: query.tensors[tensor] for tensor in use.inputs}

    def _ran(self, run: _Run, made: Mapping[str, Ref]) -> _Run:
        """Keep what a piece has made."""
        query, use = self._query(run.piece), run.use
        network = self._networks[use.model]
        names = network.graph.tensors
        query.logits.update({name: made[name] for name in network.logits if name in made})
        outputs = network.graph.boundary(use.first, use.last)[1]
        self._keep(query, use, {tensor: made[names[tensor].name] for tensor in outputs})
        self.executed += 1
        self._runs.append(run)
        return run

    def _keep(self, query: _Query, use: _Use, made: Mapping[int, Ref]) -> None:
        """Keep what will be read, and drop what was read for the last time; all of it where a server may die."""
        if self._revocable:
            query.tensors.update(made)
            return
        query.tensors.update({tensor: ref for tensor, ref in made.items() if query.left.get(tensor)})
        for tensor in use.inputs:
            query.left[tensor] -= 1
            if not query.left[tensor]:
                del query.tensors[tensor]

    def _uses_of(self, route: str) -> tuple[dict[int, _Use], dict[int, int]]:
        found = self._uses.get(route)
        if found is None:
            itinerary = self._routes[route]
            graph = self._networks[itinerary.model].graph
            uses: dict[int, _Use] = {}
            for number, step in enumerate(itinerary.route.steps):
                first, last = step.segment.first, step.segment.last
                uses[number] = _Use(itinerary.model, first, last, graph.boundary(first, last)[0])
            left = Counter(tensor for use in uses.values() for tensor in use.inputs)
            found = self._uses[route] = uses, dict(left)
        return found

    def _piece(self, use: _Use) -> Subgraph:
        key = use[:3]
        if key not in self._pieces:
            self._pieces[key] = subgraph(self._networks[use.model], use.first, use.last)
        return self._pieces[key]

    def _piece_of_several(self, use: _Use, size: int) -> Subgraph | None:
        """Layers of a network for several queries at once; None where they cannot be stacked."""
        key = *use[:3], size
        if key not in self._stacked:
            network = self._networks[use.model]
            if (use.model, size) not in self._many:
                self._many[use.model, size] = several(network, size)
            many = self._many[use.model, size]
            self._stacked[key] = piece_of_several(network, many, size, use.first, use.last)
        return self._stacked[key]

    def _sample(self, model: int, number: int) -> dict[int, Ref]:
        if (model, number) not in self._samples:
            network = self._networks[model]
            arrays = network.sample_inputs(number)
            graph = network.graph
            self._samples[model, number] = {
                tensor: self._backend.keep(arrays[graph.tensors[tensor].name]) for tensor in graph.inputs
            }
        return self._samples[model, number]

    def _answer(self, model: int, number: int) -> dict[str, np.ndarray]:
        """What the uncut network says, at the same optimisation, its weights aliased."""
        if (model, number) not in self._expected:
            network = self._networks[model]
            exact = self._optimization == "off"
            session = uncut_session(network, exact=exact, optimization=self._optimization, alias=True)
            for other in range(self._inputs):
                found = session.run(network.sample_inputs(other))
                self._expected[model, other] = {name: found[name] for name in network.logits}
        return self._expected[model, number]

    def _read_timings(self, oldest: int) -> None:
        runs, self._runs = self._runs[:oldest], self._runs[oldest:]
        rows: list[MeasuredRow] = []
        for run, timing in zip(runs, self._backend.fetch([run.timing for run in runs]), strict=True):
            piece, use = run.piece, run.use
            node, model = self._world.nodes[piece.node], self._world.models[use.model]
            known = model.seconds[node.profile]
            if run.size > 1:
                known = between(known, model.batches[node.profile], run.size)
            profile = known[use.first : use.last + 1]
            if timing.operators:
                self._compare_speed(use, timing.operators, profile)
            user = self._world.users[piece.user].name
            name = f"{model.name}:{use.first}-{use.last}"
            rows.append(
                MeasuredRow(
                    at_s=piece.at,
                    node=node.name,
                    kind="execution_s",
                    user=user,
                    query=piece.query,
                    step=piece.step,
                    name=name,
                    value=timing.seconds / run.size,
                    expected=left_sum(profile) / run.size,
                )
            )
        if rows:
            self._write("measured", rows)

    def _compare_speed(self, use: _Use, operators: Mapping[str, float], profile: Sequence[float]) -> None:
        profiled: dict[str, float] = {}
        for layer, seconds in zip(self._networks[use.model].graph.layers[use.first :], profile, strict=False):
            profiled[layer.op_type] = profiled.get(layer.op_type, 0.0) + seconds
        for operator in profiled.keys() & operators.keys():
            measured, expected = self.operators.get(operator, (0.0, 0.0))
            self.operators[operator] = measured + operators[operator], expected + profiled[operator]

    def _compare(self, oldest: int) -> None:
        answers, self._answers = self._answers[:oldest], self._answers[oldest:]
        rows: list[MeasuredRow] = []
        for answered, logits in answers:
            user = self._world.users[answered.user]
            expected = self._answer(user.model, answered.query % self._inputs)
            for name, array in zip(logits, self._backend.fetch(list(logits.values())), strict=True):
                found = relative_error(array, expected[name])
                told: dict[MeasuredKind, float] = {} if found is None else {"output_error": found}
                unknown = not_finite(array)
                if unknown:
                    told["not_a_number"] = unknown
                rows += [
                    MeasuredRow(
                        at_s=answered.at,
                        node=self._world.nodes[user.client].name,
                        kind=kind,
                        user=user.name,
                        query=answered.query,
                        step=-1,
                        name=name,
                        value=float(value),
                        expected=0.0,
                    )
                    for kind, value in told.items()
                ]
        if rows:
            self._write("measured", rows)
