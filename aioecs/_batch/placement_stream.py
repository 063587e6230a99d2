"""Starts whose container instance aioecs chooses: placed, refused, placed elsewhere, until there is no elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import repeat
from typing import Any, cast

import attrs

from aioecs._batch.engine import BatchCall, Engine
from aioecs._batch.inventory import Inventory
from aioecs._batch.placement_context import REMEMBERED, PlacementOptions, Site, Survey
from aioecs._batch.refusal_confirmation import as_found, found_running, look_up
from aioecs._batch.start_stream import StartStream, ends_all
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.placement.placer import Placer
from aioecs._logic.placement.shortage import shortage
from aioecs._logic.placement.waitlist import SLACK, Kind, Waiting, Waitlist, look_interval
from aioecs._logic.sending.packing import Entry, Group, Stage
from aioecs._model.limits import expect
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Cancellable
from aioecs._runtime.client_core import log
from aioecs.errors import ClientStateError, ECSError, InvalidRequest

LOOK_AGAIN = 0.25  # in seconds, between two looks for capacity, at least
LATE = 2  # more tries where ECS refuses what every snapshot has capacity for, once the time of a start is over
OTHERS = 0.1  # in seconds, until what others of this client have in flight is held against a refusal again


@attrs.frozen
class Copies:
    """So many of one request, made as they are drawn. They have a size: what isn't drawn in the end is told as well."""

    request: StartTaskRequest
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[StartTaskRequest]:
        return repeat(self.request, self.count)


class PlacementStream(StartStream):
    """Starts of any requests, placed as they are drawn.

    A start that ECS refuses where it was placed is placed elsewhere; an ambiguous one is never moved. What finds no
    capacity waits (`_plan.waitlist` has the rules), and the inventory is renewed for it: at once before anything is
    refused, else by and by. What waits counts among what is drawn ahead, so that memory stays bounded.
    """

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, str | None], Group],
        on_cancel: OnCancel,
        source: Cancellable | None,
        *,
        survey: Survey,
        wish: PlacementOptions,
        key: Callable[[StartTaskRequest], Any] | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__(engine, lambda request, _: group_of(request, None), on_cancel, source, keep=keep)
        self._grouped = group_of
        self._survey = survey
        self._wish = wish
        self._key = key
        self._checked: StartTaskRequest | None = None
        self._wanted: Copies | None = None
        self._sites: dict[tuple[str | None, str], Site] = {}
        self._for_sites: dict[tuple[str | None, str], list[Entry]] = {}
        self._for_keys: dict[int, Entry] = {}
        self._placers: dict[tuple[int, object], Placer] = {}
        self._counts: Counter[str] = Counter()
        self._kinds: dict[tuple[Placer, object], Kind] = {}
        self._kind_of: dict[int, Kind] = {}
        self._desk_of: dict[Kind, Reconciler] = {}
        self._keys: dict[int, str] = {}
        self._turns: dict[int, str] = {}
        self._until: dict[int, float] = {}
        self._late: Counter[int] = Counter()
        self.waiting = self._waitlist = Waitlist()
        self._refusals: dict[int, StartResult] = {}
        self._looks: dict[Inventory, asyncio.Task[None]] = {}
        self._works: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._gained_at = 0.0
        self._freed = -1
        self._told_of: object = None

    def requests(self, template: StartTaskRequest, count: int) -> Copies:
        """Return what to draw."""
        self._wanted = Copies(template, count)
        return self._wanted

    @property
    def _tells_undrawn(self) -> bool:
        # `_stopped`: then each is told of the error that would meet it.
        return self._kept is not None or self._stopped is not None

    def knows(self, request: StartTaskRequest, site: Site) -> None:
        """Take a site that was surveyed before anything is drawn."""
        self._sites[request.cluster, request.task_definition] = site

    # --------------------------------------------------------------------------------------------------- drawing

    def _wants_more(self) -> bool:
        return len(self._entries) + len(self._out) + self._held < self._most

    @property
    def _held(self) -> int:
        """How many wait for something before they are sent."""
        return len(self._waitlist) + len(self._for_keys) + sum(map(len, self._for_sites.values()))

    def _add(self, request: StartTaskRequest) -> None:
        entry = Entry(request, "", self, self._next())
        if self._leaving:
            self._tell(entry, self._stopped)
            return
        try:
            self._check(request)
        except InvalidRequest as broken:
            self._tell(entry, broken)
            return
        place = request.cluster, request.task_definition
        site = self._sites.get(place)
        if site is not None:
            self._begin(entry, site)
            return
        waiting = self._for_sites.setdefault(place, [])
        waiting.append(entry)
        if len(waiting) == 1:
            self._own(self._find_site(place, request), "aioecs surveys a cluster")

    def _check(self, request: StartTaskRequest) -> None:
        """Hold a request against the rules; the very one that was checked last needs no second look."""
        if request is not self._checked:
            expect(request, StartTaskRequest)
            self._survey.check(request)
            self._checked = request

    def _own(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Do something in a task of the client's, for as long as this stream wants it."""
        task = self._core.background_tasks.own(work, name)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return task

    async def _find_site(self, place: tuple[str | None, str], request: StartTaskRequest) -> None:
        try:
            site = await self._survey.site(request, self._wish)
        except ECSError as error:
            for entry in self._for_sites.pop(place, ()):
                self._tell(entry, error)
            if ends_all(error) or isinstance(error, ClientStateError):
                self._stop(error)
        else:
            if len(self._sites) >= REMEMBERED:
                self._sites.clear()
            self._sites[place] = site
            for entry in self._for_sites.pop(place, ()):
                self._begin(entry, site)
        self._news.set()

    def _begin(self, entry: Entry, site: Site) -> None:
        """Place a start, once it is known that none runs under its key."""
        kind = self._kind_of[entry.at] = self._kind(site, _request_of(entry))
        if self._key is None:
            self._place(entry, kind)
            return
        try:
            key = self._keys[entry.at] = self._key(_request_of(entry))
        except Exception as error:  # noqa: BLE001 the caller's own, which goes to the caller
            self._broken = error
            self._tell(entry, None)
            return
        if entry.request.started_by is not None or not (isinstance(key, str) and key):
            self._send(entry, "")  # which tells what is wrong with it
            return
        self._for_keys[entry.at] = entry
        self._own(self._find_earlier(entry, kind, key), "aioecs looks a key up")

    def _kind(self, site: Site, request: StartTaskRequest) -> Kind:
        need = site.demand(request.overrides)
        where = id(site.inventory), need.shape
        if len(self._kinds) >= 2 * REMEMBERED:
            self._kinds.clear()
            self._placers.clear()
        placer = self._placers.get(where)
        if placer is None:
            capacity_model, dice = site.inventory.capacity_model, self._core.jitter
            placer = Placer(capacity_model, need, self._wish.placement, site.rules, dice, counts=self._counts)
            self._placers[where] = placer
        kind = self._kinds.get((placer, need))
        if kind is None:
            kind = self._kinds[placer, need] = Kind(placer, need, site.inventory)
            if site.confirm is not None:
                self._desk_of[kind] = site.confirm
        return kind

    # ---------------------------------------------------------------------------------------------------- keys

    async def _find_earlier(self, entry: Entry, kind: Kind, key: str) -> None:
        """Send a start where an earlier attempt of its key has started it, and the call will adopt that; else place it.

        Of one key only one start at a time is placed: the next one finds what this one has started.
        """
        task: Task | None = None
        error: ECSError | None = None
        try:
            await self._survey.has_turn(key)
            self._turns[entry.at] = key
            task = await self._survey.earlier(entry.request.cluster, key)
        except ECSError as failed:
            error = failed
        finally:
            wanted = self._for_keys.pop(entry.at, None) is not None
            if not wanted:
                self._forget(entry.at)
        if not wanted:
            return
        if error is not None:
            self._tell(entry, error)
        elif task is not None:
            self._send(entry, task.container_instance_arn or "")
        else:
            self._place(entry, kind)
        self._news.set()

    # -------------------------------------------------------------------------------------------------- placing

    def _place(self, entry: Entry, kind: Kind, *, again: bool = False) -> None:
        """Queue it for the host that is chosen now, or let it wait."""
        instance = kind.placer.choose(kind.demand) if again or not kind.waiting else None
        if instance is None:
            self._wait(entry, kind)
        else:
            if len(self._waitlist):
                self._waitlist.overtaken_by(entry.at)
            self._send(entry, instance, again=again)

    def _send(self, entry: Entry, instance: str, *, again: bool = False) -> None:
        entry.instance = instance
        self._queue(entry, self._grouped(_request_of(entry), self._keys.get(entry.at)), again=again)

    def _wait(self, entry: Entry, kind: Kind) -> None:
        if not len(self._waitlist):
            self._gained_at = self._core.now
        until = self._until.setdefault(entry.at, self._core.now + self._wish.wait_for_capacity)
        if entry.at not in self._refusals or kind.need == 0:
            kind.need = kind.inventory.next_load
        self._waitlist.add(kind, Waiting(entry.at, entry, until))

    # ------------------------------------------------------------------------------------------ what they came to

    def settled(
        self, entry: Entry, start: StartResult, error: ECSError | None, batch_call: BatchCall | None, /
    ) -> None:
        """Hear what one came to; a refusal of ECS's own words sends it elsewhere."""
        kind = self._kind_of.get(entry.at)
        refused = start.outcome is Outcome.REFUSED and start.failure is not None
        if refused and kind is not None and entry.gone is None and entry.at in self._entries and not self._leaving:
            self._engine.uncount(start)
            self._refusals[entry.at] = start
            reconciler = self._desk_of.get(kind)
            if reconciler is None or batch_call is None:
                self._move(entry, kind, start)
            else:
                confirming = self._confirm(reconciler, entry, kind, start, batch_call.known)
                self._core.background_tasks.own(confirming, "aioecs confirms a refusal")
            return
        if kind is not None and start.outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
            kind.placer.unsent(entry.instance, kind.demand)
        elif kind is not None:
            kind.placer.started(entry.instance, kind.demand)
        self._forget(entry.at)
        super().settled(entry, start, error, batch_call)

    def _move(self, entry: Entry, kind: Kind, start: StartResult) -> None:
        before = kind.placer.surprises
        kind.placer.refused(entry.instance, _reason(start), kind.demand)
        late = False
        if kind.placer.surprises > before:
            kind.need = kind.inventory.next_load
        elif self._until.get(entry.at, float("inf")) <= self._core.now:
            # Its time is over, and ECS refuses it again where a snapshot begun since shows capacity.
            kind.unsure = True
            self._late[entry.at] += 1
            late = self._late[entry.at] > LATE
        if late or self._leaving or entry.at not in self._entries:
            self._end(entry, start)
        else:
            del self._entries[entry.at]
            self._place(entry, kind, again=True)
            self._news.set()

    def _end(self, entry: Entry, start: StartResult) -> None:
        self._engine.count(start)
        self._forget(entry.at)
        super().settled(entry, start, None, None)

    def _forget(self, at: int) -> None:
        """Forget what was known of a start that has come to its end."""
        self._kind_of.pop(at, None)
        self._until.pop(at, None)
        self._late.pop(at, None)
        self._refusals.pop(at, None)
        self._keys.pop(at, None)
        if (key := self._turns.pop(at, None)) is not None:
            self._survey.release(key)

    async def _confirm(
        self, reconciler: Reconciler, entry: Entry, kind: Kind, start: StartResult, known: set[str | None]
    ) -> None:
        """Look the token up before a refused start is moved: an entry of `failures` may not prove that none runs.

        Where the lookup can't tell, or is cut, it stays refused where it was.
        """
        comes_to: StartResult | None = start
        try:
            looked = await look_up(reconciler, entry, start)
            found = found_running(entry, start, looked, known)
            if isinstance(found, Task):
                withdrawn = self._leaving and self._stopped is None and self._on_cancel == "stop"
                comes_to = await as_found(self._core, start, found, stop=withdrawn)
            else:
                comes_to = found
        finally:
            if comes_to is None:
                self._move(entry, kind, start)
            else:
                if comes_to is start:
                    kind.placer.refused(entry.instance, _reason(start), kind.demand)
                else:
                    kind.placer.started(entry.instance, kind.demand)
                self._end(entry, comes_to)

    # ------------------------------------------------------------------------------------------ waiting for capacity

    def _go_on(self) -> None:
        """Place what waits where capacity has come back, and look where it is time to."""
        if self._leaving:
            self._give_back(None)
            return
        if len(self._waitlist):
            self._place_waiting()
        self._look_where_due()

    def _place_waiting(self) -> int:
        """Place what waits, as far as there is capacity; return how many were placed."""
        freed = sum(
            inventory.capacity_model.pool.freed for inventory in {kind.inventory for kind in self._waitlist.kinds}
        )
        if freed == self._freed:
            return 0
        count = 0
        for _, start, instance in self._waitlist.placed():
            self._send(start.item, instance, again=start.at in self._refusals)
            count += 1
        self._freed = freed
        return count

    def _refuse_due(self, inventory: Inventory) -> None:
        """Refuse what is to be refused by a snapshot that has just come: an older one is no reason."""
        now = self._core.now
        for kind in [kind for kind in self._waitlist.kinds if kind.inventory is inventory]:
            ours = bool(self._entries)
            refused = self._waitlist.refusable(kind, now, inventory.taken, inventory.taken_at, ours_in_flight=ours)
            if refused:
                self._tell_of_shortage([(kind, start) for start in refused])
                self._refuse(kind, refused)

    def _look_where_due(self) -> None:
        """Begin the looks that are due, and set the timer to the next one."""
        now = self._core.now
        due: dict[Inventory, float] = {}
        for kind in self._waitlist.kinds:
            at = self._due(kind, now)
            due[kind.inventory] = min(at, due.get(kind.inventory, at))
        for placer in self._placers.values():
            inventory = self._inventory_of(placer)
            if placer.contradicted and inventory is not None:
                due.setdefault(inventory, inventory.began_at + LOOK_AGAIN)
        for inventory, at in due.items():
            if at <= now + SLACK and inventory not in self._looks:
                self._looks[inventory] = self._own(self._look(inventory), "aioecs looks for capacity")
        later = [at for inventory, at in due.items() if inventory not in self._looks]
        self._set_timer(min([*later, self._waitlist.next_end()], default=None), now)

    def _inventory_of(self, placer: Placer) -> Inventory | None:
        return next(
            (site.inventory for site in self._sites.values() if site.inventory.capacity_model is placer.capacity_model),
            None,
        )

    def _due(self, kind: Kind, now: float) -> float:
        """Return when to look for capacity for a kind of starts."""
        inventory: Inventory = kind.inventory
        lacks = inventory.taken < kind.need
        if not self._entries and any(start.until <= now + SLACK for start in kind.waiting):
            return max(inventory.may_look_at, inventory.began_at + OTHERS * kind.unsure)
        waited = 0.0 if lacks else now - self._gained_at
        interval = look_interval(waited, inventory.reads, self._core.read_limiter.rate, LOOK_AGAIN)
        return inventory.began_at + interval

    def _set_timer(self, at: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None and at != float("inf"):
            at = at if at > now + SLACK else now + OTHERS
            self._timer = self._core.loop.call_at(at, self._news.set)

    async def _look(self, inventory: Inventory) -> None:
        """Renew an inventory, and place what waits.

        A look that fails has found nothing. What has no time left for another then ends with its error.
        """
        try:
            await inventory.renewed()
        except ECSError as error:
            everything = ends_all(error) or isinstance(error, ClientStateError)
            self._give_some_back(self._waitlist.of(inventory, float("inf") if everything else self._core.now), error)
        else:
            if len(self._waitlist) and not self._leaving:
                if self._place_waiting():
                    self._gained_at = self._core.now
                self._refuse_due(inventory)
                self._tell_of_shortage([(kind, start) for kind in self._waitlist.kinds for start in kind.waiting])
        finally:
            del self._looks[inventory]
            self._news.set()

    async def _more(self) -> bool:
        """Wait for what waits, once all else has settled; False when there is nothing left to do."""
        if not self._held:
            return False
        self._news.clear()
        await self._news.wait()
        return True

    def _tell_of_shortage(self, waiting: list[tuple[Kind, Waiting]]) -> None:
        """Tell the hook what is lacking, if that isn't what it was told last."""
        hook = self._wish.on_capacity_shortage or self._survey.on_capacity_shortage
        if hook is None:
            return
        lacking = shortage([(kind.placer, kind.demand, start.item.request.cluster) for kind, start in waiting])
        for demand in lacking:
            if demand == self._told_of:
                continue
            self._told_of = demand
            try:
                hook(demand)
            except Exception:  # noqa: BLE001 a listener's own defect hurts no start, and is logged
                log.exception("on_capacity_shortage raised")

    def _refuse(self, kind: Kind, refused: Iterable[Waiting]) -> None:
        """Say why there is no capacity: in ECS's words where it was asked, else in the inventory's."""
        never = kind.placer.never(kind.demand)
        excluded = kind.placer.excluded_for(kind.demand)
        reason = never or next(iter(excluded), "RESOURCE")
        why = (
            ", ".join(f"{why} on {count}" for why, count in excluded.items())
            or "none is ACTIVE and matches the constraints"
        )
        detail = f"no container instance has room: {why}"
        if never is not None:
            detail = f"the task is larger than any container instance, even an empty one: {never}"
        failure = Failure(reason=reason, detail=detail)
        for start in refused:
            entry: Entry = start.item
            told = self._refusals.get(start.at)
            if told is None:
                told = StartResult(
                    request=entry.request, container_instance="", outcome=Outcome.REFUSED, failure=failure
                )
            self._tell_refused(entry, told)

    # ------------------------------------------------------------------------------------------------------------ ends

    def _give_back(self, error: ECSError | None) -> None:
        """End what waits: it was never sent, or was refused."""
        others = [*self._for_keys.values(), *(entry for some in self._for_sites.values() for entry in some)]
        self._for_keys.clear()
        self._for_sites.clear()
        for entry in others:
            self._tell(entry, error or self._stopped)
        self._give_some_back(self._waitlist.all(), error)

    def _give_some_back(self, waiting: Iterable[tuple[Kind, Waiting]], error: ECSError | None) -> None:
        for _, start in waiting:
            refusal = self._refusals.get(start.at)
            if refusal is None:
                self._tell(start.item, error or self._stopped)
            else:
                self._tell_refused(start.item, refusal)

    def _tell(self, entry: Entry, error: ECSError | None) -> None:
        self._forget(entry.at)
        super()._tell(entry, error)

    def _tell_refused(self, entry: Entry, start: StartResult) -> None:
        self._forget(entry.at)
        self._engine.count(start)
        self._give(entry.at, start)

    def _leave(self) -> None:
        super()._leave()
        self._cut()
        self._give_back(None)

    def _cut(self) -> None:
        """Do no more of what only finds out where to send something."""
        for work in self._works:
            work.cancel()
        if self._timer is not None:
            self._timer.cancel()

    async def _settle(self) -> None:
        await super()._settle()
        if self._wanted is not None and self._kept is not None:
            for request in repeat(self._wanted.request, self._wanted.count - self._drawn):
                self._add(request)

    def _known_of(self, entry: Entry) -> StartResult:
        confirming = entry.stage is Stage.DONE
        return self._refusals[entry.at] if confirming else super()._known_of(entry)

    def _abandon(self) -> None:
        self._cut()
        self._give_back(None)
        super()._abandon()


def _reason(start: StartResult) -> str | None:
    return start.failure.reason if start.failure is not None else None


def _request_of(entry: Entry) -> StartTaskRequest:
    """Return the request of a start that is placed: only StartTask is."""
    return cast("StartTaskRequest", entry.request)
