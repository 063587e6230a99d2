"""The engine of a batch: starts wait in a queue, are packed, take their turn, and fly in calls of the client's.

One dispatcher per engine, alive while anything waits, makes up a call at the last moment: when there is a place for
one and the pacer lets it go. So the starts that can share a call have had all the time to meet, and who withdrew
before is not in it. A call that has landed tells each of its starts what it came to; where equal starts of several
owners flew together, tasks go to those who still want them first and refusals to those who don't.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import attrs

from aioecs._calls.call import Call
from aioecs._calls.caller_wait import SharedCall
from aioecs._logic.sending.packing import BEHIND, DONE, FLYING, QUEUED, Entry, Group, Packing, request_of
from aioecs._model.arn import short
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import emit_rate_limited
from aioecs.errors import ECSError, IdempotencyMismatch

KEYED_AT_ONCE = 2_000  # calls with a key that are looked up beside those that send: one listing serves them all
Prepare = Callable[[StartTaskRequest | RunTaskRequest, Group], Call]

STARTED = Outcome.STARTED  # by name, as the stages are
NOT_SENT = Outcome.NOT_SENT


@attrs.define(eq=False)
class TakenBack:
    """The task of a withdrawn start that is about to be stopped."""

    start: StartResult
    settles_by: datetime
    """When it is known at the latest whether the stop was accepted."""
    can_be_cut = False

    def start_of(self, _: Entry) -> StartResult:
        """Say what is known by now: that it was started, and not whether it runs on."""
        return attrs.evolve(self.start, outcome=Outcome.UNKNOWN, settles_by=self.settles_by)


@attrs.define(eq=False)
class BatchCall:
    """A call and the starts that it carries; the n-th of them is the n-th instance of its request."""

    call: Call
    entries: list[Entry]
    shared_call: SharedCall
    """Those who wait for the call: this flight, and whoever joins it for its key."""
    aboard: int
    """How many of them are still wanted."""
    stops: bool = False
    """The call itself stops what it started: nobody aboard wants any of it."""
    landed: Sequence[StartResult] | None = None
    """What each of them came to, once the call has ended."""
    _known: set[str | None] | None = None

    @property
    def shared(self) -> bool:
        """Whether others wait for the call too, so that none of it is taken out or stopped for us."""
        return self.shared_call.waiting > (self.aboard > 0)

    @property
    def known(self) -> set[str | None]:
        """The ARNs of tasks that bear the call's token and are somebody's, once it has ended; more may be added."""
        if self._known is None:
            self._known = {start.task.task_arn for start in self.landed or () if start.task is not None}
        return self._known

    @property
    def can_be_cut(self) -> bool:
        """Whether a withdrawal ends the call at once."""
        return self.call.can_be_cut

    def start_of(self, entry: Entry) -> StartResult:
        """Say what is known of one of them by now."""
        known = self.landed if self.landed is not None else self.call.record.starts()
        return _own(known[self.entries.index(entry)], entry)


class Engine:
    """Carries out starts for any number of owners."""

    def __init__(self, core: Core, prepare: Prepare, window: float) -> None:
        self.core = core
        self.packing = Packing(window)
        self.calls = 0
        self.outstanding = 0
        """Starts that have no outcome yet."""
        self.counts = dict.fromkeys(Outcome, 0)
        self._prepare = prepare
        self._flights: set[BatchCall] = set()
        self._keyed = 0
        self._behind: dict[Entry, Group] = {}
        self._dispatcher: asyncio.Task[None] | None = None
        self._come = asyncio.Event()
        self._landed = asyncio.Event()
        self._idle: list[asyncio.Future[None]] = []

    @property
    def _places_taken(self) -> int:
        """How many calls may be sending; those with a key look first, all together, and wait for a slot after that."""
        return len(self._flights) - min(self._keyed, KEYED_AT_ONCE)

    @property
    def in_flight(self) -> int:
        """Calls on their way."""
        return len(self._flights)

    def add(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        """Queue a start."""
        self.outstanding += 1
        if self.core.emit is not None and entry.caller is None:
            entry.caller = copy_context()
        if group.living and not again:
            self.packing.join(entry, group)
        else:
            self.packing.add(entry, group, self.core.now, again=again)
        if self._dispatcher is None:
            self._dispatcher = self.core.background_tasks.own(self._dispatch(), "aioecs dispatches a batch")
        self._come.set()

    def withdraw(self, entry: Entry, on_cancel: OnCancel, why: str) -> None:
        """Take one back: out of the queue at once, out of a call if it is not on the wire, else as `on_cancel` says."""
        if entry.stage is QUEUED:
            self.packing.withdraw(entry)
            self._settle(entry, never_sent(entry), None)
        elif entry.stage is BEHIND:
            del self._behind[entry]
            self._settle(entry, never_sent(entry), None)
        elif entry.stage is FLYING and entry.gone is None:
            entry.gone = on_cancel
            batch_call: BatchCall = entry.where
            batch_call.aboard -= 1
            if batch_call.aboard == 0:
                batch_call.stops = all(each.gone == "stop" for each in batch_call.entries)
                batch_call.shared_call.leave("stop" if batch_call.stops else "keep", why)
            elif not batch_call.shared:
                batch_call.call.leave(batch_call.entries.index(entry))

    def withdraw_all(self, on_cancel: OnCancel, why: str) -> None:
        """Take everything back."""
        flying = [entry for batch_call in self._flights for entry in batch_call.entries]
        self.withdraw_some([*self.packing.waiting(), *self._behind, *flying], on_cancel, why)

    def withdraw_some(self, entries: Iterable[Entry], on_cancel: OnCancel, why: str) -> None:
        """Take these back; what is queued goes in one sweep, for there may be tens of thousands of it."""
        others: list[Entry] = []
        queued: list[Entry] = []
        for entry in entries:
            (queued if entry.stage is QUEUED else others).append(entry)
        self.packing.withdraw_some(queued)
        self.counts[NOT_SENT] += len(queued)
        self.outstanding -= len(queued)
        told: dict[tuple[int, str], StartResult] = {}  # equal starts come to equal values: one is made for all of them
        for entry in queued:
            what = id(entry.request), entry.instance
            start = told.get(what)
            if start is None:
                start = told[what] = never_sent(entry)
            entry.owner.settled(entry, start, None, None)
        if not self.outstanding:
            self._tell_idle()
        for entry in others:
            self.withdraw(entry, on_cancel, why)

    def take_back(self, entry: Entry, start: StartResult, on_cancel: OnCancel) -> bool:
        """Stop the task of a start that has settled, and that its caller was not given before it was cancelled.

        Its owner hears once more what the start came to; False where nothing is to be stopped.
        """
        if on_cancel != "stop" or start.outcome is not STARTED or start.found or entry.kept:
            return False
        self.counts[STARTED] -= 1
        self.outstanding += 1
        self._begin_stop(entry, start)
        return True

    async def idle(self) -> None:
        """Wait until every start has its outcome."""
        if self.outstanding:
            waiter: asyncio.Future[None] = self.core.loop.create_future()
            self._idle.append(waiter)
            await waiter

    # ------------------------------------------------------------------------------------------------- dispatching

    async def _dispatch(self) -> None:
        try:
            while await self._ready():
                asked = self.core.now
                ticket = await self.core.start_limiter.turn(Priority.START, self.packing.calls_left, of=self)
                emit_rate_limited(self.core.emit, None, self.core.now - asked)
                taken = self.packing.take(self.core.now)
                if taken is None:
                    self.core.start_limiter.unsent(ticket)
                else:
                    self._fly(*taken, ticket)
        except asyncio.CancelledError:
            for entry in [*self.packing.waiting(), *self._behind]:
                self.withdraw(entry, "keep", "the client was left, or the event loop ended")
            raise
        finally:
            self._dispatcher = None

    async def _ready(self) -> bool:
        """Wait until a call can be made up and there is a place for it; False if nobody waits any more."""
        while True:
            if self._places_taken >= self.core.concurrency.size:
                self._landed.clear()
                await self._landed.wait()
                continue
            now = self.core.now
            ready = self.packing.ready_at(now)
            if ready is None or ready <= now:
                return ready is not None
            self._come.clear()
            try:
                async with asyncio.timeout(ready - now):
                    await self._come.wait()
            except TimeoutError:
                continue

    def _fly(self, group: Group, entries: list[Entry], ticket: float) -> None:
        """Begin a call with these starts, or let them join the one that is under way for their key."""
        request = request_of(group, [entry.instance for entry in entries])
        try:
            call = self._prepare(request, group)
            known = self._known(group.key, call)
        except ECSError as error:
            self.core.start_limiter.unsent(ticket)
            for entry in entries:
                self._settle(entry, never_sent(entry, error), error)
            return
        if known is None:
            self._begin(call, group.key, entries, ticket)
            return
        self.core.start_limiter.unsent(ticket)
        if known.call.withdrawn is None:
            known.extend_clock(call.record)
            known.join()
            self._board(known, entries)
        else:
            self._wait_behind(known, group, entries)

    def _known(self, key: str | None, call: Call) -> SharedCall | None:
        """Return the call of this key that is under way, if there is one.

        Raises:
            IdempotencyMismatch: it is for another request.
        """
        known: SharedCall | None = self.core.keys.get(key) if key is not None else None
        if known is None or known.ended:
            return None
        if known.call.record.request != call.record.request:
            raise IdempotencyMismatch(
                "the key is in use for another request in this client; nothing was sent", token=call.record.token
            )
        return known

    def _begin(self, call: Call, key: str | None, entries: list[Entry], ticket: float) -> None:
        shared_call = SharedCall(call, waiting=1)
        self.calls += 1
        told = self.core.emit is not None
        callers = tuple(entry.caller for entry in entries if entry.caller is not None) if told else ()
        if callers:
            callers[0].run(call.begin, ticket, callers[1:])
        else:
            call.begin(ticket)
        if key is not None:
            self.core.keys.put(key, shared_call)
        self._board(shared_call, entries)

    def _board(self, shared_call: SharedCall, entries: list[Entry]) -> None:
        batch_call = BatchCall(shared_call.call, entries, shared_call, len(entries))
        for entry in entries:
            entry.where = batch_call
        self._flights.add(batch_call)
        self._keyed += batch_call.call.record.keyed
        self._land_once_ended(batch_call)

    def _wait_behind(self, known: SharedCall, group: Group, entries: list[Entry]) -> None:
        """Put starts behind a withdrawn call with the same key: its tasks may be about to be stopped."""
        for entry in entries:
            entry.stage = BEHIND
            self._behind[entry] = group

        def go_on() -> None:
            for entry in reversed(entries):
                if entry.stage is BEHIND:
                    self.outstanding -= 1
                    self.add(entry, self._behind.pop(entry), again=True)

        known.end_or().add_done_callback(lambda _: self.core.loop.call_soon(go_on))

    # ------------------------------------------------------------------------------------------------------ landing

    def _land_once_ended(self, batch_call: BatchCall) -> None:
        batch_call.call.end_or().add_done_callback(lambda _: self._land(batch_call))

    def _land(self, batch_call: BatchCall) -> None:
        """Tell each start what it came to."""
        if not batch_call.call.ended:  # withdrawn just as it ended: it goes on, to stop what it started
            self._land_once_ended(batch_call)
            return
        self._flights.discard(batch_call)
        self._keyed -= batch_call.call.record.keyed
        self._landed.set()
        record = batch_call.call.record
        entries = batch_call.entries
        owned = record.starts([entry.request for entry in entries])
        whole = batch_call.aboard == len(entries)  # nobody has withdrawn
        batch_call.landed = landed = owned if whole else _fairly(entries, owned)
        error: ECSError | None = None
        if record.surplus or {start.outcome for start in landed} != {STARTED}:
            verdict = batch_call.call.verdict()
            error = verdict if isinstance(verdict, ECSError) else None
        if whole:
            self._settle_all(batch_call, landed, error)
            return
        stays = batch_call.stops or batch_call.shared
        for entry, start in zip(entries, landed, strict=True):
            own = start if start.request is entry.request else _own(start, entry)
            if entry.gone == "stop" and own.outcome is STARTED and not stays:
                self._begin_stop(entry, own)
            else:
                self._settle(entry, own, error)

    def _begin_stop(self, entry: Entry, start: StartResult) -> None:
        clocks = self.core.timeouts
        by = datetime.now(UTC) + timedelta(seconds=clocks.call + clocks.attempt)
        entry.stage, entry.gone, entry.where = FLYING, "stop", TakenBack(start, by)
        self.core.background_tasks.own(self._stop(entry, start), "aioecs stops a withdrawn start")

    async def _stop(self, entry: Entry, start: StartResult) -> None:
        """Stop the task of a start that was withdrawn by itself: its call goes on for others, or has ended."""
        stopped = False
        try:
            stopped = start.task is not None and await self.core.stop(start.request.cluster, start.task, start.token)
        finally:
            self._settle(entry, attrs.evolve(start, outcome=Outcome.STOPPED) if stopped else start, None)

    def _settle_all(self, batch_call: BatchCall, starts: Sequence[StartResult], error: ECSError | None) -> None:
        """Settle all of a flight: as `_settle` does of each."""
        counts, kept = self.counts, batch_call.shared
        for entry, start in zip(batch_call.entries, starts, strict=True):
            entry.stage, entry.where, entry.kept = DONE, None, kept
            counts[start.outcome] += 1
            self.outstanding -= 1
            entry.owner.settled(entry, start, error, batch_call)
        if not self.outstanding:
            self._tell_idle()

    def _settle(self, entry: Entry, start: StartResult, error: ECSError | None) -> None:
        entry.stage = DONE
        self.counts[start.outcome] += 1
        self.outstanding -= 1
        batch_call, entry.where = entry.where if isinstance(entry.where, BatchCall) else None, None
        entry.kept = batch_call is not None and batch_call.shared
        entry.owner.settled(entry, start, error, batch_call)
        if not self.outstanding:
            self._tell_idle()

    def uncount(self, start: StartResult) -> None:
        """Take back a count: what it came to was not its end."""
        self.counts[start.outcome] -= 1

    def count(self, start: StartResult) -> None:
        """Count what a start came to."""
        self.counts[start.outcome] += 1

    def _tell_idle(self) -> None:
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            resolve(waiter)


def never_sent(entry: Entry, error: ECSError | None = None) -> StartResult:
    """Say of a start that it never left the queue."""
    return StartResult(request=entry.request, container_instance=entry.instance, outcome=NOT_SENT, error=error)


def _own(start: StartResult, entry: Entry) -> StartResult:
    """Return what a call says of a start as that of its own request."""
    return attrs.evolve(start, request=entry.request)


_WORTH = {STARTED: 0, NOT_SENT: 2}
"""What is given first to those who stay; whoever left before the wire left a NOT_SENT behind."""


def _fairly(entries: list[Entry], starts: Sequence[StartResult]) -> Sequence[StartResult]:
    """Give equal starts their outcomes: what runs to those who want it, what was refused to those who don't."""
    if not any(entry.gone for entry in entries) or all(entry.gone for entry in entries):
        return starts
    given = list(starts)
    for instance in {short(entry.instance) for entry in entries}:
        places = [at for at, entry in enumerate(entries) if short(entry.instance) == instance]
        best = sorted((starts[at] for at in places), key=lambda start: _WORTH.get(start.outcome, 1))
        for at, start in zip(sorted(places, key=lambda at: entries[at].gone is not None), best, strict=True):
            given[at] = start
    return given
