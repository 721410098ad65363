"""A server's policy at work: what it offers whom, whom it admits, from whom it takes memory back."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, isnan, nan
from numbers import Real
from typing import NamedTuple, Protocol, TypeVar

from layerlift.emulator import policies
from layerlift.emulator.kernel.disciplines import AnyCpu
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu
from layerlift.emulator.nodes.ports import Living
from layerlift.emulator.policies.allocation import Capacity, Claim, Grant, PolicyBase, flow_weights, share_of, victims
from layerlift.emulator.protocol.messages import ClaimRequest, Weigh
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.errors import LayerliftError, RunError, place_of, storable, words_of
from layerlift.models.sums import left_sum

T = TypeVar("T")


class Admitting(Living, Protocol):
    """What admission asks of its server."""

    @property
    def cpu(self) -> AnyCpu:
        """What pieces are served by."""
        ...

    @property
    def held_bytes(self) -> int:
        """Parameters that it holds."""
        ...

    def held_of(self, user: int) -> int:
        """Bytes that a user's parts take."""
        ...

    def room_for(self, user: int) -> float:
        """Bytes that a user's parts may take in all as far as there is room."""
        ...

    def seconds(self, model: int) -> tuple[float, ...]:
        """Seconds of each layer of a model, alone on the server."""
        ...

    def evict(self, user: int, wanted_bytes: float, reason: str) -> None:
        """Take memory back from a user."""
        ...


class Offer(NamedTuple):
    """What a server would give a user who asks."""

    memory_bytes: float
    load: float
    share: float
    link_share: float


def weighs_cpu(spec: NodeSpec) -> bool:
    """Whether the policy of a server shares its CPU by users' weights."""
    policy = policies.make(spec.policy)
    return policies.has(policy, "claims") and policies.has(policy, "weighs_cpu") and spec.discipline == "sharing"


class Admission:
    """Belongs to one server. Claims come from clients; grants follow from them, and from nothing else."""

    def __init__(self, server: Admitting) -> None:
        spec = server.spec
        self._server = server
        self._policy = policies.make(spec.policy)
        self._capacity = Capacity(spec.memory_bytes, _cores(server), min(spec.uplink_bytes_s, spec.downlink_bytes_s))
        self.active = policies.has(self._policy, "claims")
        self._claims: dict[int, Claim] = {}
        self._grants: dict[int, Grant] = {}
        self._weights: dict[int, float] = {}
        """What the network has been told, which outlives claims and crashes."""
        self._came = 0
        self._offers: dict[tuple[int, float], Offer] = {}

    def offer(self, user: int) -> Offer:
        """What a user who asks would get here, as things stand now."""
        server = self._server
        room = server.room_for(user)
        if not self.active:
            return Offer(room, float(len(server.cpu)), 1.0, 1.0)
        spec = server.host.world.users[user]
        key = spec.model, spec.weight
        known = self._offers.get(key) if user not in self._claims else None
        if known is None:
            known = self._imagine(user)
            if user not in self._claims:
                self._offers[key] = known
        free = known.memory_bytes if policies.has(self._policy, "revokes") else min(known.memory_bytes, room)
        return known._replace(memory_bytes=max(0.0, free))

    def claim(self, message: ClaimRequest) -> None:
        """Take what a user's plan wants of this server, and divide again."""
        if not self.active:
            return
        user = message.user
        if not message.layers:
            self.leave(user)
            return
        graph = self._server.host.model_of(user).graph
        made = self._made(user, graph.held_bytes(message.layers), message.work_s, message.link_bytes, message.period_s)
        if user not in self._claims:
            self._came += 1
        self._claims[user] = made
        self._divide()

    def leave(self, user: int) -> None:
        """A user wants nothing any more."""
        if self._claims.pop(user, None) is not None:
            self._grants.pop(user, None)
            self._divide()

    def clear(self) -> None:
        """Forget everybody: the server has crashed."""
        self._claims.clear()
        self._grants.clear()
        self._offers.clear()

    def refusal(self, user: int, size: int) -> str | None:
        """Why a user may not hold `size` bytes more here, in words; None when it may, after evictions if need be."""
        server = self._server
        free = server.spec.memory_bytes - server.held_bytes
        if not self.active:
            return _no_room(size, free) if size > free else None
        grant = self._grants.get(user)
        if grant is None:
            return "the user has claimed nothing here"
        if not grant.cpu:
            return grant.reason or "the policy gives it nothing"
        quota, own = grant.memory_bytes, server.held_of(user)
        if own + size > quota * (1.0 + 1e-12) + 0.5:
            return f"quota: {size} bytes wanted, {max(0.0, quota - own):.0f} of {quota:.0f} left to this user"
        if size <= free:
            return None
        return self._make_room(user, size, free)

    def _make_room(self, user: int, size: int, free: float) -> str | None:
        """Take memory back from those above their quota."""
        if not policies.has(self._policy, "revokes"):
            return _no_room(size, free)
        users = sorted(self._claims)
        claims = [self._now(other) for other in users]
        grants = [self._grants[other] for other in users]
        most = getattr(self._policy, "disruptions", PolicyBase.disruptions)
        taken = victims(self._capacity, claims, grants, size, user, most)
        if taken is None:
            return _no_room(size, free)
        name = self._server.host.user_names[user]
        for other, amount in taken:
            self._server.evict(other, amount, f"over its quota, for {name}")
        free = self._server.spec.memory_bytes - self._server.held_bytes
        return None if size <= free else _no_room(size, free)

    def _imagine(self, user: int) -> Offer:
        """What a user would get that wanted the whole of its model here."""
        server = self._server
        world, graph = server.host.world, server.host.model_of(user).graph
        work_s = left_sum(server.seconds(world.users[user].model))
        size = sum(graph.tensors[tensor].bytes for tensor in (*graph.inputs, *graph.outputs))
        claim = self._made(user, graph.held_bytes(range(len(graph))), work_s, size, max(work_s, 1e-9))
        others = [self._now(other) for other in sorted(self._claims) if other != user]
        claims = [*others, claim]
        grants = self._granted(claims)
        if not grants[-1].cpu:
            return Offer(0.0, 0.0, *share_of(self._capacity, grants, len(grants) - 1))
        return Offer(grants[-1].memory_bytes, 0.0, *share_of(self._capacity, grants, len(grants) - 1))

    def _made(self, user: int, memory: float, work_s: float, size: float, period_s: float) -> Claim:
        known = self._claims.get(user)
        order = known.order if known is not None else self._came
        weight = self._server.host.world.users[user].weight
        return Claim(user, order, weight, memory, work_s, size, period_s, self._server.held_of(user))

    def _now(self, user: int) -> Claim:
        claim = self._claims[user]
        return self._made(user, claim.memory_bytes, claim.work_s, claim.link_bytes, claim.period_s)

    def _divide(self) -> None:
        """Share out again; CPU weights hold at once, weights of links when the message has crossed them."""
        self._offers.clear()
        users = sorted(self._claims)
        grants = self._granted([self._now(user) for user in users])
        server = self._server
        for user, grant in zip(users, grants, strict=True):
            before = self._grants.get(user)
            changed = before is None or (before.cpu, before.cpu_cap) != (grant.cpu, grant.cpu_cap)
            if changed and grant.cpu > 0.0 and isinstance(server.cpu, WeightedCpu):
                server.cpu.weigh(user, grant.cpu, grant.cpu_cap)
        self._grants = dict(zip(users, grants, strict=True))
        if policies.has(self._policy, "weighs_links") and server.host.world.share_links:
            self._weigh_links(users, grants)

    def _weigh_links(self, users: list[int], grants: list[Grant]) -> None:
        server = self._server
        for user, weight in zip(users, flow_weights(grants), strict=True):
            if weight > 0.0 and self._weights.get(user, 1.0) != weight:
                self._weights[user] = weight
                server.send(server.host.client_of(user), server.host.world.header_bytes, Weigh(weight))

    def _granted(self, claims: list[Claim]) -> list[Grant]:
        """What the policy answers, checked: its author may be anybody."""
        name = self._server.spec.policy
        grants = _asked(name, lambda: list(self._policy.grants(self._capacity, claims, self._grants)))
        if len(grants) != len(claims):
            raise RunError(f"policy {name} answered {len(grants)} grants for {len(claims)} claims: expected one each")
        return [_sound(name, grant) for grant in grants]


def _cores(server: Admitting) -> int:
    """What policies divide: cores, or what the batches of the network that gains least by them come to."""
    world, index = server.host.world, server.spec.index
    if server.spec.discipline != "batch":
        return server.spec.cores
    return min(world.full_speed_pieces(model, index) for model in range(len(world.models)))


def _no_room(size: int, free: float) -> str:
    return f"memory: {size} bytes wanted, {free:.0f} free"


def _asked(name: str, call: Callable[[], T]) -> T:
    """What a policy answers; a stranger's may raise anything."""
    try:
        return call()
    except LayerliftError as error:
        raise RunError(f"policy {name}: {words_of(error)}") from error
    except (Exception, SystemExit) as error:
        raise RunError(f"policy {name} raised {words_of(error)} ({place_of(error)})") from error


def _sound(name: str, grant: object) -> Grant:
    """A grant that a server can go by. Raises `RunError` for anything else."""
    if not isinstance(grant, Grant):
        raise RunError(f"policy {name} answered a {type(grant).__name__}, expected a Grant for each claim")
    memory_bytes, cpu, link, cpu_cap = numbers = [
        _number(given) for given in (grant.memory_bytes, grant.cpu, grant.link, grant.cpu_cap)
    ]
    if any(isnan(number) or number < 0.0 for number in numbers) or not isfinite(cpu + link):
        raise RunError(f"policy {name} answered {grant}: expected numbers of at least 0, cpu and link finite")
    if cpu > 0.0 and cpu_cap <= 0.0:
        raise RunError(f"policy {name} answered {grant}: expected a cpu_cap above 0 where there is cpu")
    if not isinstance(grant.reason, str):
        raise RunError(f"policy {name} answered {grant}: expected a text as its reason")
    return Grant(memory_bytes, cpu, link, cpu_cap, storable(grant.reason))


def _number(given: object) -> float:
    """A number as the emulator computes with it; NaN for whatever is none."""
    try:
        return float(given) if isinstance(given, Real) else nan
    except OverflowError:
        return nan
