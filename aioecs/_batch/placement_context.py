"""Before tasks are placed: what one takes, and where there may be room for it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from aioecs._batch.inventory import Inventory, filter_of
from aioecs._calls.call_preparation import Preparer
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.placement.demand import demand
from aioecs._logic.placement.placer import Placer
from aioecs._model import limits
from aioecs._model.placement import Constraint, MemberOf, Placement
from aioecs._model.shapes.definition.task_definition import DescribeTaskDefinitionRequest, TaskDefinition
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASK_DEFINITION
from aioecs.errors import InvalidRequest


@attrs.frozen
class PlacementOptions:
    """How tasks are to be placed."""

    placement: Placement
    constraints: tuple[Constraint, ...]
    instances: Iterable[str] | None
    wait_for_capacity: float
    confirm_refusals: bool


@attrs.frozen
class Layout:
    """What places the tasks of a template."""

    placer: Placer
    inventory: Inventory
    confirm: Reconciler | None
    """Where a refusal is confirmed before its start is moved, if that is wished."""


@attrs.define(eq=False)
class Survey:
    """Lays out what a client is to place, over inventories that all who ask alike share."""

    _preparer: Preparer
    _inventories: dict[tuple[str | None, str | None, tuple[str, ...] | None], Inventory] = attrs.Factory(dict)

    async def lay_out(self, request: StartTaskRequest, wish: PlacementOptions) -> Layout:
        """Find out what a task of the template takes, and where there may be room for it; a cancel cuts the reads.

        Raises:
            InvalidRequest: the template breaks a rule.
            ECSError: what came of a read in the end.
        """
        limits.expect(request, StartTaskRequest)
        if request.container_instances:
            raise InvalidRequest("container_instances", "empty in a template: place_tasks chooses them")
        self._preparer.check(request.replace(container_instances=["0" * 32]))
        core = self._preparer.core
        definition = DescribeTaskDefinitionRequest(task_definition=request.task_definition)
        described = (await core.harmless(DESCRIBE_TASK_DEFINITION, definition, Priority.READ)).answer.task_definition
        need = demand(described or TaskDefinition(), request.overrides)
        rules = (*wish.constraints, *(MemberOf(expression) for expression in need.expressions))
        inventory = self._inventory(request.cluster, rules, wish.instances)
        placer = Placer(await inventory.current(), need, wish.placement, rules, core.jitter)
        return Layout(placer, inventory, self._preparer.reconciler(request.cluster) if wish.confirm_refusals else None)

    def _inventory(
        self, cluster: str | None, rules: tuple[Constraint, ...], instances: Iterable[str] | None
    ) -> Inventory:
        """Return the inventory of a cluster through one filter, the same for all who ask alike."""
        only = tuple(instances) if instances is not None else None
        known = self._inventories.get((cluster, filter_of(rules), only))
        if known is None:
            known = Inventory(self._preparer.core, cluster, constraints=rules, instances=only)
            self._inventories[cluster, filter_of(rules), only] = known
        return known
