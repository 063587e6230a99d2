"""Starts whose container instance aioecs chooses: placed, refused, and placed elsewhere while that is possible."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from functools import partial
from typing import Any

from aioecs._batch.batch_call import BatchCall, ends_all
from aioecs._batch.engine import Engine
from aioecs._batch.placement.capacity_shortage import ShortageNotifier, no_capacity
from aioecs._batch.placement.inventory import Inventory
from aioecs._batch.placement.placement_context import PlacementContexts, PlacementOptions
from aioecs._batch.placement.refusal_confirmation import found_running, look_up
from aioecs._batch.placement.unplaced_starts import UnplacedStarts
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.placement.waitlist import SLACK, DemandGroup, WaitingStart, Waitlist, refresh_interval
from aioecs._logic.sending.packing import Entry, Group, Stage
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Source
from aioecs.errors import ClientStateError, ECSError

MIN_REFRESH_INTERVAL = 0.25  # in seconds, between two refreshes of an inventory
MAX_LATE_REFUSALS = 2  # refusals by ECS, once the time of a start is over, against snapshots that show capacity
UNCERTAIN_INTERVAL = 0.1  # in seconds, between refreshes while other starts of this client make capacity uncertain


class PlacementStream(UnplacedStarts):
    """Starts of any requests, placed as they are drawn.

    A start that ECS refuses where it was placed is placed elsewhere; an ambiguous one is never moved. A start that
    finds no capacity waits (`_logic.placement.waitlist` has the rules), and the inventory is refreshed for it: at once
    before a start is refused, else from time to time. Waiting starts count as drawn ahead, so memory stays bounded.
    """

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, str | None], Group],
        on_cancel: OnCancel,
        source: Source | None,
        *,
        contexts: PlacementContexts,
        options: PlacementOptions,
        key: Callable[[StartTaskRequest], Any] | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__(engine, group_of, on_cancel, source, contexts=contexts, options=options, key=key, keep=keep)
        self._shortage = ShortageNotifier(options.on_capacity_shortage or contexts.on_capacity_shortage)
        self._until: dict[int, float] = {}
        self._late_refusals: Counter[int] = Counter()
        self._waitlist = Waitlist()
        self.waiting: Sized = self._waitlist
        self._refusals: dict[int, StartResult] = {}
        self._looked_up: dict[int, int] = {}
        """Starts that are looked up, and how many snapshots had been begun when the answer was lost."""
        self._refreshes: dict[Inventory, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._capacity_came_at = 0.0
        self._freed_seen = -1

    # -------------------------------------------------------------------------------------------------- placing

    def _place(self, entry: Entry, group: DemandGroup, *, again: bool = False) -> None:
        instance = group.placer.choose(group.demand) if again or not group.waiting else None
        if instance is None:
            self._wait(entry, group)
        else:
            if len(self._waitlist):
                self._waitlist.overtaken_by(entry.at)
            self._send(entry, instance, again=again)

    def _wait(self, entry: Entry, group: DemandGroup) -> None:
        if not len(self._waitlist):
            self._capacity_came_at = self._core.now
        until = self._until.setdefault(entry.at, self._core.now + self._options.wait_for_capacity)
        if entry.at not in self._refusals or group.need == 0:
            group.need = group.inventory.next_load
        group.inventory.wake(self._wake)
        self._waitlist.add(group, WaitingStart(entry.at, entry, until))

    # -------------------------------------------------------------------------------------------------- results

    def settled(
        self, entry: Entry, start: StartResult, error: ECSError | None, batch_call: BatchCall | None, /
    ) -> None:
        """Take the result of one start; one that ECS itself refused is placed elsewhere."""
        group = self._group_of_start.get(entry.at)
        looked_up_since = self._looked_up.pop(entry.at, None) if self._looked_up else None
        runs = start.outcome not in (Outcome.REFUSED, Outcome.NOT_SENT)
        if looked_up_since is not None and group is not None and not runs:
            group.placer.send_again(entry.instance, group.demand, looked_up_since)
        refused = start.outcome is Outcome.REFUSED and start.failure is not None
        if refused and group is not None and entry.withdrawn is None and entry.at in self._entries and not self._ending:
            self._engine.uncount(start)
            self._refusals[entry.at] = start
            reconciler = self._demand_groups.reconciler_of(group)
            if reconciler is None or batch_call is None:
                self._move(entry, group, start)
            else:
                work = self._confirm(reconciler, entry, start, batch_call.known)
                ended = partial(self._confirmed, entry, group, start)
                self._core.background_tasks.own(work, "aioecs confirms a refusal", ended=ended)
            return
        if group is not None and not runs:
            group.placer.unsent(entry.instance, group.demand)
        elif group is not None and looked_up_since is None:
            group.placer.started(entry.instance, group.demand)
        self._forget(entry.at)
        super().settled(entry, start, error, batch_call)

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Let the next snapshot show whether a start runs whose answer was lost; debit it once it is sent again."""
        group = self._group_of_start.get(entry.at)
        if group is None:
            return
        if in_lookup:
            self._looked_up[entry.at] = group.placer.capacity_model.pool.begun
            group.placer.started(entry.instance, group.demand)
        elif entry.at in self._looked_up:
            group.placer.send_again(entry.instance, group.demand, self._looked_up.pop(entry.at))

    def _move(self, entry: Entry, group: DemandGroup, start: StartResult) -> None:
        """Place a refused start elsewhere, unless its time is over."""
        before = group.placer.contradictions
        group.placer.refused(entry.instance, _reason(start), group.demand)
        late = False
        if group.placer.contradictions > before:
            group.need = group.inventory.next_load
        elif self._until.get(entry.at, float("inf")) <= self._core.now:
            # Its time is over, and ECS refuses it again where a snapshot begun since shows capacity.
            group.uncertain = True
            self._late_refusals[entry.at] += 1
            late = self._late_refusals[entry.at] > MAX_LATE_REFUSALS
        if late or self._ending or entry.at not in self._entries:
            self._end(entry, start)
        else:
            del self._entries[entry.at]
            self._place(entry, group, again=True)
            self._wake.set()

    def _end(self, entry: Entry, start: StartResult) -> None:
        self._engine.count(start)
        self._forget(entry.at)
        super().settled(entry, start, None, None)

    def _forget(self, at: int) -> None:
        if self._until or self._refusals:  # most starts are placed at once: this is done for each of them
            self._until.pop(at, None)
            self._late_refusals.pop(at, None)
            self._refusals.pop(at, None)
        super()._forget(at)

    async def _confirm(
        self, reconciler: Reconciler, entry: Entry, start: StartResult, known: set[str | None]
    ) -> StartResult | None:
        """Look up the token of a refused start before it is moved: a failure may not prove that no task runs."""
        return found_running(entry, start, await look_up(reconciler, entry, start), known)

    def _confirmed(
        self, entry: Entry, group: DemandGroup, start: StartResult, confirming: asyncio.Task[StartResult | None]
    ) -> None:
        """Move a refused start that certainly does not run; else its result is what was found.

        Where the lookup is not certain, or is cancelled, the start stays refused where it was.
        """
        result = start if confirming.cancelled() or confirming.exception() is not None else confirming.result()
        if result is None:
            self._move(entry, group, start)
            return
        if result is start:
            group.placer.refused(entry.instance, _reason(start), group.demand)
        else:
            unwanted = entry.at not in self._entries or (self._ending and self._stopped is None)
            self._engine.count(result)
            if unwanted and self._engine.stop_settled(entry, result, self._on_cancel):
                return
            self._engine.uncount(result)
            group.placer.started(entry.instance, group.demand)
        self._end(entry, result)

    # ------------------------------------------------------------------------------------------ waiting for capacity

    def _make_progress(self) -> None:
        """Place waiting starts where capacity has come back, and refresh the inventories that are due."""
        if self._ending:
            self._end_waiting(None)
            return
        if len(self._waitlist):
            self._place_waiting()
        self._refresh_where_due()

    def _place_waiting(self) -> int:
        """Place waiting starts as far as there is capacity; return how many were placed.

        It does nothing if no capacity has become free since the last time.
        """
        inventories = {group.inventory for group in self._waitlist.groups}
        freed = sum(inventory.capacity_model.pool.freed for inventory in inventories)
        if freed == self._freed_seen:
            return 0
        count = 0
        for _, start, instance in self._waitlist.placed():
            self._send(start.item, instance, again=start.at in self._refusals)
            count += 1
        self._freed_seen = freed
        return count

    def _refuse_due(self, inventory: Inventory) -> None:
        """Refuse the starts whose time is over, by a snapshot that has just come: an older one is no reason."""
        now = self._core.now
        for group in [group for group in self._waitlist.groups if group.inventory is inventory]:
            ours = self._any_in_flight
            refused = self._waitlist.refusable(group, now, inventory.taken, inventory.taken_at, ours_in_flight=ours)
            if refused:
                self._shortage.notify([(group, start) for start in refused])
                self._refuse(group, refused)

    def _refresh_where_due(self) -> None:
        """Begin the refreshes that are due, and set the timer for the next one."""
        now = self._core.now
        due: dict[Inventory, float] = {}
        for group in self._waitlist.groups:
            at = self._refresh_at(group, now)
            due[group.inventory] = min(at, due.get(group.inventory, at))
        for inventory in self._demand_groups.outdated(in_use=bool(self._entries)):
            due.setdefault(inventory, inventory.began_at + MIN_REFRESH_INTERVAL)
        updates = {inventory: inventory.may_load_at for inventory in due if inventory.any_ended}
        for inventory, at in due.items():
            whole = at <= now + SLACK
            if (whole or updates.get(inventory, at) <= now + SLACK) and inventory not in self._refreshes:
                work = self._refresh(inventory, whole=whole)
                self._refreshes[inventory] = self._own(work, "aioecs refreshes an inventory")
        later = [at for each in (due, updates) for inventory, at in each.items() if inventory not in self._refreshes]
        self._set_timer(min([*later, self._waitlist.next_end()], default=None), now)

    @property
    def _any_in_flight(self) -> bool:
        """Whether results of starts are awaited that may change what a snapshot shows: not of those looked up."""
        return len(self._entries) > len(self._looked_up)

    def _refresh_at(self, group: DemandGroup, now: float) -> float:
        """Return when to refresh the inventory for the waiting starts of a group."""
        inventory: Inventory = group.inventory
        needs_newer = inventory.taken < group.need
        if not self._any_in_flight and self._waitlist.any_over(group, now):
            return max(inventory.may_load_at, inventory.began_at + UNCERTAIN_INTERVAL * group.uncertain)
        waited = 0.0 if needs_newer else now - self._capacity_came_at
        interval = refresh_interval(waited, inventory.reads, self._core.read_limiter.rate, MIN_REFRESH_INTERVAL)
        return inventory.began_at + interval

    def _set_timer(self, at: float | None, now: float) -> None:
        self._cancel_timer()
        if at is not None and at != float("inf"):
            at = at if at > now + SLACK else now + UNCERTAIN_INTERVAL
            self._timer = self._core.loop.call_at(at, self._wake.set)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _refresh(self, inventory: Inventory, *, whole: bool) -> None:
        """Refresh an inventory, or the hosts alone on which tasks have ended, and place waiting starts.

        A refresh that fails has found nothing: starts that have no time left for another end with its error.
        """
        try:
            await (inventory.renewed() if whole else inventory.update())
        except ECSError as error:
            everything = ends_all(error) or isinstance(error, ClientStateError)
            self._end_some_waiting(self._waitlist.of(inventory, float("inf") if everything else self._core.now), error)
        else:
            if not self._ending:
                self._move_from_closed(inventory)
            if len(self._waitlist) and not self._ending:
                if self._place_waiting():
                    self._capacity_came_at = self._core.now
                self._refuse_due(inventory)
                self._shortage.notify((group, start) for group in self._waitlist.groups for start in group.waiting)
        finally:
            del self._refreshes[inventory]
            self._wake.set()

    def _move_from_closed(self, inventory: Inventory) -> None:
        """Place starts elsewhere that are still queued for hosts which a snapshot shows as closed."""
        closed: dict[str, bool] = {}
        for entry in list(self._entries.values()):
            group = self._group_of_start.get(entry.at)
            if group is None or group.inventory is not inventory or entry.stage is not Stage.QUEUED:
                continue
            if entry.instance not in closed:
                closed[entry.instance] = group.placer.is_closed(entry.instance)
            if closed[entry.instance] and entry.at not in self._keys:
                self._engine.take_back(entry)
                group.placer.unsent(entry.instance, group.demand)
                del self._entries[entry.at]
                self._place(entry, group, again=True)

    async def _wait_for_more(self) -> bool:
        if not self._held:
            return False
        await self._results.next_wake()
        return True

    def _refuse(self, group: DemandGroup, refused: Iterable[WaitingStart]) -> None:
        """Refuse starts: with ECS's own failure where there is one, else with what the inventory shows."""
        failure = no_capacity(group)
        for start in refused:
            entry: Entry = start.item
            never = StartResult(request=entry.request, container_instance="", outcome=Outcome.REFUSED, failure=failure)
            self._settle_refused(entry, self._refusals.get(start.at, never))

    # ------------------------------------------------------------------------------------------------------ ends

    def _end_waiting(self, error: ECSError | None) -> None:
        super()._end_waiting(error)
        self._end_some_waiting(self._waitlist.all(), error)

    def _end_some_waiting(self, waiting: Iterable[tuple[DemandGroup, WaitingStart]], error: ECSError | None) -> None:
        """End starts that wait for capacity: they were never sent, or ECS has refused them before."""
        for _, start in waiting:
            refusal = self._refusals.get(start.at)
            if refusal is None:
                self._settle_unsent(start.item, error or self._stopped)
            else:
                self._settle_refused(start.item, refusal)

    def _settle_refused(self, entry: Entry, start: StartResult) -> None:
        self._forget(entry.at)
        self._engine.count(start)
        self._results.add(entry.at, start)

    def _cancel_background(self) -> None:
        super()._cancel_background()
        self._cancel_timer()

    def _known_result(self, entry: Entry) -> StartResult:
        confirming = entry.stage is Stage.DONE
        return self._refusals[entry.at] if confirming else super()._known_result(entry)


def _reason(start: StartResult) -> str | None:
    return start.failure.reason if start.failure is not None else None
