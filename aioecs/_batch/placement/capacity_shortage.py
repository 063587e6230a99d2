"""What is reported where capacity is lacking: the failure of a refused start, and the hook `on_capacity_shortage`."""

from __future__ import annotations

from collections.abc import Iterable

from aioecs._batch.placement.placement_context import OnCapacityShortage
from aioecs._logic.placement.shortage import shortage
from aioecs._logic.placement.waitlist import DemandGroup, WaitingStart
from aioecs._model.shapes.task import Failure
from aioecs._runtime.client_core import log

LARGER_THAN_ANY = "the task is larger than any container instance"
"""How the detail of a failure begins that no waiting mends."""


def no_capacity(group: DemandGroup) -> Failure:
    """Return why a start of this group was placed nowhere, as the inventory shows it."""
    never = group.placer.never(group.demand)
    if never is not None:
        detail = f"{LARGER_THAN_ANY}, even an empty one: {never}"
        return Failure(reason=never, detail=detail)
    excluded = group.placer.excluded_for(group.demand)
    reasons = ", ".join(f"{reason} on {count}" for reason, count in excluded.items())
    detail = f"no container instance has capacity: {reasons or 'none is ACTIVE and matches the constraints'}"
    return Failure(reason=next(iter(excluded), "RESOURCE"), detail=detail)


class ShortageNotifier:
    """Calls the hook with what is lacking, whenever that has changed."""

    def __init__(self, hook: OnCapacityShortage | None) -> None:
        self._hook = hook
        self._last: object = None

    def notify(self, waiting: Iterable[tuple[DemandGroup, WaitingStart]]) -> None:
        """Call the hook with what these starts lack, unless it was called with the same before."""
        if self._hook is None:
            return
        for demand in shortage([(group.placer, group.demand, start.item.request.cluster) for group, start in waiting]):
            if demand == self._last:
                continue
            self._last = demand
            try:
                self._hook(demand)
            except Exception:  # noqa: BLE001 a defect of the user's function harms no start, and is logged
                log.exception("on_capacity_shortage raised")
