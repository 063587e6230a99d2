"""The container instances of a cluster that tasks may be placed on: listed, described, remembered for a while."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from weakref import WeakSet

import attrs

from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel, ClusterCapacity
from aioecs._logic.placement.waitlist import READ_SHARE
from aioecs._model.arn import short
from aioecs._model.limits import DESCRIBED_PER_CALL
from aioecs._model.placement import Constraint, MemberOf
from aioecs._model.shapes.container_instance import (
    ContainerInstance,
    DescribeContainerInstancesRequest,
    ListContainerInstancesRequest,
)
from aioecs._model.shapes.enums import ContainerInstanceStatus
from aioecs._runtime.background_tasks import TaskGroup
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_CONTAINER_INSTANCES, LIST_CONTAINER_INSTANCES
from aioecs.errors import ClientStateError, ECSError

MAX_AGE = 60.0  # in seconds: how old a snapshot may be, where nothing speaks against it
MISSING = "MISSING"  # the status, here, of an instance that was named and that ECS doesn't know
CREDIT = 4.0  # in seconds: how far refreshes may exceed their share of the rate of reads
WIDTH = 4  # reads of one load at a time: the rest of the read bucket is for others

T = TypeVar("T")

_OR = re.compile(r"(?:^|[\s)])or(?=[\s(])|\|\|", re.IGNORECASE)


def filter_of(constraints: Iterable[Constraint]) -> str | None:
    """Join the expressions of `MemberOf` by `and`; None if there are none.

    Only an expression that has an `or` is put in parentheses: a single one "can't contain" any [docs, cluster query
    language], so they are not sent where they aren't needed.
    """
    expressions = list(dict.fromkeys(each.expression.strip() for each in constraints if isinstance(each, MemberOf)))
    if len(expressions) > 1:
        expressions = [f"({each})" if _OR.search(each) else each for each in expressions]
    return " and ".join(expressions) or None


async def load(
    core: Core,
    cluster: str | None,
    *,
    constraints: Iterable[Constraint] = (),
    instances: Iterable[str] | None = None,
) -> list[ContainerInstance]:
    """Describe the cluster's ACTIVE container instances that match the constraints' expressions, as ECS evaluates them.

    `instances` narrows it to these, ids or ARNs; without expressions they are described as they are, whatever their
    status. One that ECS doesn't know comes with the status MISSING. A cancel abandons the reads.

    Raises:
        ECSError: a read failed, also when it was retried.
    """
    wanted = {short(instance): instance for instance in instances} if instances is not None else None
    expression = filter_of(constraints)
    if wanted is None or (wanted and expression is not None):
        listed = await _list(core, cluster, expression)
        wanted = {short(arn): arn for arn in listed if wanted is None or short(arn) in wanted}
    found: list[ContainerInstance] = []

    async def describe(some: list[str]) -> None:
        found.extend(await _describe(core, cluster, some))

    named = list(wanted.values())
    await _each([named[at : at + DESCRIBED_PER_CALL] for at in range(0, len(named), DESCRIBED_PER_CALL)], describe)
    return found


async def _list(core: Core, cluster: str | None, expression: str | None) -> list[str]:
    arns: list[str] = []
    token: str | None = None
    while True:
        request = ListContainerInstancesRequest(
            cluster=cluster, filter=expression, status=ContainerInstanceStatus.ACTIVE, next_token=token
        )
        answer = (await core.call_with_retries(LIST_CONTAINER_INSTANCES, request, Priority.READ)).answer
        arns += answer.container_instance_arns
        token = answer.next_token or None
        if token is None:
            return arns


async def _describe(core: Core, cluster: str | None, instances: list[str]) -> list[ContainerInstance]:
    request = DescribeContainerInstancesRequest(cluster=cluster, container_instances=instances)
    answer = (await core.call_with_retries(DESCRIBE_CONTAINER_INSTANCES, request, Priority.READ)).answer
    unknown = [
        ContainerInstance(container_instance_arn=each.arn, status=each.reason or MISSING) for each in answer.failures
    ]
    return [*answer.container_instances, *unknown]


async def _each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do the work for each, a few at a time; after the first error no other is begun, and it is raised."""
    todo = list(items)
    if len(todo) == 1:
        await work(todo[0])
        return
    errors: list[ECSError] = []

    async def one_after_another() -> None:
        while todo and not errors:
            try:
                await work(todo.pop(0))
            except ECSError as error:
                errors.append(error)

    async with TaskGroup() as group:
        for _ in range(min(WIDTH, len(todo))):
            group.create_task(one_after_another())
    if errors:
        raise errors[0]


@attrs.define(eq=False)
class _Load:
    """A load that is under way, and how many wait for it."""

    task: asyncio.Task[list[ContainerInstance]]
    number: int
    began: float
    waiting: int = 0


class Inventory:
    """A snapshot of one cluster through one filter, as a capacity model that any number of placers share.

    The capacity model stays the same object: a newer snapshot changes it, and its placers notice that. Concurrent
    callers share one load, which runs in a background task of the client: a cancel of one caller leaves it to the
    others, and a cancel of the last ends it. A load that failed leaves the snapshot as it was.

    Args:
        core: the inside of an open client.
        cluster: its name or ARN; None for the cluster named `default`.
        constraints: of these, the expressions of `MemberOf` are the filter.
        instances: only these, by id or ARN.
        max_age: how old a snapshot may be for `current`, in seconds.
        pool: the hosts of the cluster, which inventories through other filters share.
    """

    def __init__(
        self,
        core: Core,
        cluster: str | None,
        *,
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        max_age: float = MAX_AGE,
        pool: ClusterCapacity | None = None,
    ) -> None:
        self.capacity_model = CapacityModel(pool=pool)
        self.used_at = core.now
        """When it was last used, on the loop's clock."""
        self.max_age = max_age
        self._core = core
        self._cluster = cluster
        self._constraints = tuple(constraints)
        self._instances = tuple(instances) if instances is not None else None
        self._taken_at = self._began_at = float("-inf")
        self._taken = self._begun = 0  # loads are numbered from 1: a clock may stand still between two of them
        self._paid_until = float("-inf")
        self._under_way: _Load | None = None
        self._ended_on: dict[str, None] = {}
        self._to_wake: WeakSet[asyncio.Event] = WeakSet()

    @property
    def age(self) -> float:
        """How long ago the snapshot was begun, in seconds; infinitely long if there is none yet."""
        return self._core.now - self._taken_at

    @property
    def taken(self) -> int:
        """The number of the load whose snapshot this is; 0 if there is none yet."""
        return self._taken

    @property
    def taken_at(self) -> float:
        """When the snapshot was begun, on the loop's clock."""
        return self._taken_at

    @property
    def next_load(self) -> int:
        """The number of the first load that is begun after now."""
        return self._begun + 1

    @property
    def began_at(self) -> float:
        """When the last load was begun, on the loop's clock, whatever came of it."""
        return self._began_at

    @property
    def reads(self) -> int:
        """How many reads a load takes, by what the last one showed."""
        pages = max(1, -(-len(self.capacity_model.capacities) // DESCRIBED_PER_CALL))
        return pages if self._instances is not None and filter_of(self._constraints) is None else 2 * pages

    @property
    def may_load_at(self) -> float:
        """When the next load may be begun without taking more than its share of the reads."""
        return self._paid_until - CREDIT

    def wake(self, event: asyncio.Event) -> None:
        """Set this event from now on when a task is known to have ended on a host."""
        self._to_wake.add(event)

    def task_ended(self, instance: str) -> None:
        """Take note that a task has ended on a host: it is described again if starts wait for capacity."""
        if short(instance) in self.capacity_model.capacities:
            self._ended_on[short(instance)] = None
            for event in self._to_wake:
                event.set()

    @property
    def any_ended(self) -> bool:
        """Whether a task has ended on a host that was not described since."""
        return bool(self._ended_on)

    async def update(self) -> None:
        """Describe the hosts again on which tasks have ended, and no others.

        Raises:
            ECSError: a read failed, also when it was retried.
        """
        model, ended, self._ended_on = self.capacity_model, self._ended_on, {}
        hosts = [model.capacities[name].host.arn for name in ended if name in model.capacities]
        number = model.begin_update()
        self._charge_reads(-(-len(hosts) // DESCRIBED_PER_CALL))
        found = await load(self._core, self._cluster, instances=hosts) if hosts else []
        model.update((Host.of(instance) for instance in found), number)

    def _charge_reads(self, reads: int) -> None:
        rate = self._core.read_limiter.rate or 1.0
        self._paid_until = max(self._paid_until, self._core.now) + READ_SHARE * reads / rate

    async def current(self) -> CapacityModel:
        """Return the capacity model with a snapshot that is at most `max_age` seconds old.

        Raises:
            ECSError: a read failed, also when it was retried.
            ClientStateError: the client was closed meanwhile.
        """
        return self.capacity_model if self.age <= self.max_age else await self._with_load(self._taken + 1)

    async def renewed(self) -> CapacityModel:
        """Return the capacity model with a snapshot that was begun after this call: what was seen is out of date.

        Raises:
            ECSError: a read failed, also when it was retried.
            ClientStateError: the client was closed meanwhile.
        """
        return await self._with_load(self._begun + 1)

    async def _with_load(self, number: int) -> CapacityModel:
        """Return the capacity model once it has the snapshot of this load or of a later one."""
        while self._taken < number:
            under_way = self._under_way or self._begin()
            await self._wait_for(under_way)
            if under_way.task.cancelled():
                raise ClientStateError("the client was closed while it listed container instances")
            if under_way.number >= number:
                under_way.task.result()  # or its error; that of an earlier load was for others
        return self.capacity_model

    def _begin(self) -> _Load:
        number = self._begun + 1
        task = self._core.background_tasks.own(self._read(number), "aioecs lists container instances", awaited=True)
        under_way = self._under_way = _Load(task, number, self._core.now)
        task.add_done_callback(lambda _: self._loaded(under_way))
        return under_way

    async def _read(self, number: int) -> list[ContainerInstance]:
        self._began_at = self._core.now
        self._ended_on.clear()
        self._charge_reads(self.reads)
        self._begun = number  # not before: callers of the same round of the loop share it
        self.capacity_model.loading()
        return await load(self._core, self._cluster, constraints=self._constraints, instances=self._instances)

    def _loaded(self, under_way: _Load) -> None:
        """Take the snapshot; this runs before anyone who waits for it goes on."""
        if self._under_way is under_way:
            self._under_way = None
        if not under_way.task.cancelled() and under_way.task.exception() is None:
            self.capacity_model.refresh(Host.of(instance) for instance in under_way.task.result())
            self._taken, self._taken_at = under_way.number, under_way.began

    async def _wait_for(self, under_way: _Load) -> None:
        """Wait for the end of a load; it is cancelled when the last caller that waits for it is."""
        under_way.waiting += 1
        try:
            await asyncio.wait({under_way.task})
        finally:
            under_way.waiting -= 1
            if not under_way.waiting and not under_way.task.done():
                under_way.task.cancel()
                self._under_way = None
