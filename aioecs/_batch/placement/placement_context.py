"""Before tasks are placed: what one takes, and where there may be capacity for it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

import attrs

from aioecs._batch.placement.inventory import MAX_AGE, Inventory, filter_of
from aioecs._calls.call_preparation import Preparer
from aioecs._calls.reconciler import GATHERING, Reconciler
from aioecs._logic.calls import token as tokens
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._logic.calls.matching import oldest_first, withdrawn
from aioecs._logic.placement.demand import Demand, demand, expressions_of
from aioecs._logic.placement.host_capacity import ClusterCapacity
from aioecs._model.arn import short
from aioecs._model.checks.request_json import checked_json
from aioecs._model.options import plain_function
from aioecs._model.placement import (
    CapacityDemand,
    Constraint,
    MemberOf,
    Placement,
    checked_constraints,
    checked_instances,
    checked_placement,
)
from aioecs._model.shapes.definition.task_definition import DescribeTaskDefinitionRequest, TaskDefinition
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Task
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASK_DEFINITION
from aioecs.errors import AccessDeniedException, CallTimeout, ClientStateError, InvalidRequest

OnCapacityShortage = Callable[[CapacityDemand], object]
"""Called with what is lacking where starts wait for capacity, or are refused for want of it."""

DEFAULT_CLUSTER = "default"  # [model] the cluster of a request that names none
DEFINITION_AGE = 5.0  # in seconds: for how long a family is taken to be its last revision; a revision never changes
REMEMBERED = 500  # task definitions, and demands of each


class PlacementRecord(Protocol):
    """Remembers, beyond the life of this process, where starts that bear an idempotency key are sent.

    ECS may show a stopped task only to those who name its instance, or list the stopped tasks of the whole cluster.
    """

    @property
    @abstractmethod
    def instances(self) -> tuple[str, ...]:
        """Where earlier attempts of the key may have been sent."""
        ...

    async def add(self, instance: str) -> None:
        """Remember where a start is sent, before it is.

        Raises:
            ECSError: it is not remembered; then nothing is sent.
        """


@attrs.frozen
class PlacementOptions:
    """How tasks are to be placed."""

    placement: Placement
    constraints: tuple[Constraint, ...]
    instances: tuple[str, ...] | None
    wait_for_capacity: float
    confirm_refusals: bool
    on_capacity_shortage: OnCapacityShortage | None = None
    record: PlacementRecord | None = None


def options_of(
    placement: Placement,
    constraints: Iterable[Constraint],
    instances: Iterable[str] | None,
    wait_for_capacity: float,
    confirm_refusals: bool = False,
    on_capacity_shortage: OnCapacityShortage | None = None,
) -> PlacementOptions:
    """Put together how tasks are to be placed.

    Raises:
        InvalidRequest: an argument is not what it must be.
    """
    return PlacementOptions(
        checked_placement(placement),
        checked_constraints(constraints),
        checked_instances(instances),
        wait_for_capacity,
        confirm_refusals,
        plain_function(on_capacity_shortage, "on_capacity_shortage"),
    )


@attrs.define(eq=False)
class PlacementContext:
    """Where tasks of one definition may go, and what one takes."""

    definition: TaskDefinition
    inventory: Inventory
    rules: tuple[Constraint, ...]
    confirm: Reconciler | None
    """Where a refusal is confirmed before its start is moved, if that is wished."""
    _demands: dict[object, Demand] = attrs.Factory(dict)

    def demand(self, overrides: TaskOverride | None) -> Demand:
        """Return what one task takes with these overrides; equal demands are the same object."""
        sizes = _sizes(overrides)
        known = self._demands.get(sizes)
        if known is None:
            if len(self._demands) >= REMEMBERED:
                self._demands.clear()
            known = self._demands[sizes] = _first_equal(demand(self.definition, overrides))
        return known


@lru_cache(maxsize=REMEMBERED)
def _first_equal(of: Demand) -> Demand:
    """Return the equal demand that was given first, by any stream: the same object is found faster."""
    return of


_NO_SIZES = (None, None, None, None)


def _sizes(overrides: TaskOverride | None) -> object:
    """Return what of the overrides a demand depends on: environments and commands don't count."""
    if overrides is None:
        return None
    containers: tuple[object, ...] = ()
    for each in overrides.container_overrides or ():
        if (
            each.cpu is not None
            or each.memory is not None
            or each.memory_reservation is not None
            or each.resource_requirements is not None
        ):
            containers += ((each.name, each.cpu, each.memory, each.memory_reservation, each.resource_requirements),)
    return overrides.cpu, overrides.memory, containers


@attrs.define(eq=False)
class _Described:
    """A task definition that was, or is being, described."""

    until: float
    task: asyncio.Task[TaskDefinition]


@attrs.define(eq=False)
class PlacementContexts:
    """The placement contexts of a client, over inventories that equal placements share."""

    _preparer: Preparer
    on_capacity_shortage: OnCapacityShortage | None = None
    _inventories: dict[tuple[str | None, str | None, tuple[str, ...] | None], Inventory] = attrs.Factory(dict)
    _pools: dict[str | None, ClusterCapacity] = attrs.Factory(dict)
    _definitions: dict[str, _Described] = attrs.Factory(dict)
    _keys: dict[str, asyncio.Future[None]] = attrs.Factory(dict)

    def check(self, request: StartTaskRequest) -> None:
        """Check a request that names no instances against every documented limit.

        Raises:
            InvalidRequest: it breaks one.
        """
        if request.container_instances:
            raise InvalidRequest("container_instances", "empty in a request to be placed: aioecs chooses the instances")
        written = checked_json(request) is not None  # then it keeps all limits but those of what varies, and its place
        if not (written and request.started_by is None and request.cluster in self._pools):
            self._preparer.check(request.replace(container_instances=["0" * 32]))

    async def find(self, request: StartTaskRequest, options: PlacementOptions) -> PlacementContext:
        """Find out where tasks of a request's definition may go; a cancel cuts the reads.

        Raises:
            ECSError: what came of a read in the end.
        """
        definition = await self._definition(request.task_definition)
        rules = (*options.constraints, *map(MemberOf, expressions_of(definition)))
        inventory = self._inventory(request.cluster, rules, options.instances)
        await inventory.current()
        reconciler = self._preparer.reconciler(request.cluster) if options.confirm_refusals else None
        return PlacementContext(definition, inventory, rules, reconciler)

    def task_ended(self, cluster: str, task: Task) -> None:
        """Take note that a task has ended: starts that wait for capacity may find some on its instance."""
        instance = task.container_instance_arn
        for (name, _, _), inventory in self._inventories.items():
            if instance and (short(name) if name else DEFAULT_CLUSTER) == cluster:
                inventory.task_ended(instance)

    async def _definition(self, name: str) -> TaskDefinition:
        """Describe a task definition; concurrent callers share the read."""
        core = self._preparer.core
        known = self._definitions.get(name)
        if known is None or known.until < core.now or (known.task.done() and not _went_well(known.task)):
            if len(self._definitions) >= REMEMBERED:
                self._definitions.clear()
            task = core.background_tasks.own(self._describe(name), "aioecs describes a task definition", awaited=True)
            age = MAX_AGE if ":" in short(name) else DEFINITION_AGE
            known = self._definitions[name] = _Described(core.now + age, task)
        await asyncio.wait({known.task})
        if known.task.cancelled():
            raise ClientStateError("the client was closed while it described a task definition")
        return known.task.result()

    async def _describe(self, name: str) -> TaskDefinition:
        asked = DescribeTaskDefinitionRequest(task_definition=name)
        answer = await self._preparer.core.call_with_retries(DESCRIBE_TASK_DEFINITION, asked, Priority.READ)
        return answer.answer.task_definition or TaskDefinition()

    def _inventory(
        self, cluster: str | None, rules: tuple[Constraint, ...], instances: Iterable[str] | None
    ) -> Inventory:
        """Return the inventory of a cluster through one filter, the same object for equal arguments."""
        core = self._preparer.core
        self._forget(core.now)
        only = tuple(sorted({short(each): each for each in instances}.values())) if instances is not None else None
        key = cluster, filter_of(rules), only
        known = self._inventories.get(key)
        if known is None:
            pool = self._pools.setdefault(cluster, ClusterCapacity())
            known = Inventory(core, cluster, constraints=rules, instances=only, pool=pool)
        self._inventories.pop(key, None)
        self._inventories[key] = known  # the one that was used last comes last
        known.used_at = core.now
        return known

    def _forget(self, now: float) -> None:
        """Forget the inventories that were not used while their snapshot was valid."""
        for key, each in list(self._inventories.items()):
            if now - each.used_at <= MAX_AGE and len(self._inventories) <= KEPT:
                return
            del self._inventories[key]

    # Keys ------------------------------------------------------------------------------------------------------------

    async def claim_key(self, key: str) -> None:
        """Wait until no other placement of this client has the key, and take it."""
        while (other := self._keys.get(key)) is not None:
            await asyncio.wait({other})
        self._keys[key] = self._preparer.core.loop.create_future()

    def release(self, key: str) -> None:
        """Let the next one have the key."""
        claim = self._keys.pop(key, None)
        if claim is not None and not claim.done():
            claim.set_result(None)

    async def find_started(self, cluster: str | None, key: str, instances: tuple[str, ...] = ()) -> Task | None:
        """Return what an earlier attempt with this key started, on whatever instance; None if certainly nothing.

        `instances` are known to be where it may have been sent: they are asked for their stopped tasks too.

        Raises:
            ECSError: it can't be known; so nothing may be sent.
        """
        core, token = self._preparer.core, tokens.derived(key)
        sought = AmbiguousCall(token, token, instances, confirm=True, sent=False, anywhere=not instances)
        reconciler = self._preparer.reconciler(cluster)
        ends = core.now + core.timeouts.call
        backoff = core.retries.initial_backoff
        while True:
            found_now = await reconciler.look_up(sought, GATHERING)
            found = oldest_first(task for task in found_now.tasks if not withdrawn(task, token))
            if found:
                return found[0]
            if found_now.whole:
                return None
            if isinstance(found_now.error, AccessDeniedException) or core.now + backoff >= ends:
                raise found_now.error or CallTimeout("it could not be known whether the key was used before")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, core.retries.max_backoff)


KEPT = 32  # inventories: each holds the list of its hosts, which those of one cluster share


def _went_well(task: asyncio.Task[TaskDefinition]) -> bool:
    return not task.cancelled() and task.exception() is None
