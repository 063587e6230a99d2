"""The starts of a stream that are placed alike: a placer for each inventory and shape, a group for each demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from aioecs._batch.placement.inventory import Inventory
from aioecs._batch.placement.placement_context import REMEMBERED, PlacementContext
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.placer import Placer
from aioecs._logic.placement.waitlist import DemandGroup
from aioecs._model.placement import Placement
from aioecs._model.shapes.start_task import StartTaskRequest


class DemandGroups:
    """Finds the group of a request; all groups count the stream's tasks together."""

    def __init__(self, placement: Placement, random_number: Callable[[], float]) -> None:
        self._placement = placement
        self._random_number = random_number
        self._counts: Counter[str] = Counter()
        self._placers: dict[tuple[int, object], Placer] = {}
        self._inventories: dict[Placer, Inventory] = {}
        self._groups: dict[tuple[Placer, object], DemandGroup] = {}
        self._last: tuple[PlacementContext, Demand, DemandGroup] | None = None
        self._reconcilers: WeakKeyDictionary[DemandGroup, Reconciler] = WeakKeyDictionary()

    def find(self, context: PlacementContext, request: StartTaskRequest) -> DemandGroup:
        """Return the group of a request; groups and placers are kept for a bounded number of demands."""
        demand = context.demand(request.overrides)
        last = self._last
        if last is not None and last[0] is context and last[1] is demand:  # equal demands are the same object
            return last[2]
        if len(self._groups) >= 2 * REMEMBERED:
            self._groups.clear()
            self._placers.clear()
            self._inventories.clear()
        placer = self._placers.get((id(context.inventory), demand.shape)) or self._new_placer(context, request)
        group = self._groups.get((placer, demand))
        if group is None:
            group = self._groups[placer, demand] = DemandGroup(placer, demand, context.inventory)
            if context.confirm is not None:
                self._reconcilers[group] = context.confirm
        self._last = context, demand, group
        return group

    def _new_placer(self, context: PlacementContext, request: StartTaskRequest) -> Placer:
        model, demand = context.inventory.capacity_model, context.demand(request.overrides)
        placer = Placer(model, demand, self._placement, context.rules, self._random_number, counts=self._counts)
        self._placers[id(context.inventory), demand.shape] = placer
        self._inventories[placer] = context.inventory
        return placer

    def reconciler_of(self, group: DemandGroup) -> Reconciler | None:
        """Return what confirms refusals of this group, if they are to be confirmed."""
        return self._reconcilers.get(group)

    def outdated(self, *, in_use: bool) -> Iterator[Inventory]:
        """Yield the inventories that are worth a refresh: ECS contradicted much of them, or they are old and in use."""
        for placer, inventory in self._inventories.items():
            if placer.contradicted or (in_use and inventory.age > inventory.max_age):
                yield inventory
