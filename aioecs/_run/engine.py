"""The engine of a batch: starts wait in a queue, are packed, take their turn, and fly in calls of the client's.

One dispatcher per engine, alive while anything waits, makes up a call at the last moment: when there is a place for
one and the pacer lets it go. So the starts that can share a call have had all the time to meet, and who withdrew
before is not in it. A call that has landed tells each of its starts what it came to; where equal starts of several
owners flew together, tasks go to those who still want them first and refusals to those who don't.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from aioecs._model.arn import short
from aioecs._model.outcome import Outcome, Start
from aioecs._model.settings import OnCancel
from aioecs._model.start_task import StartTaskRequest
from aioecs._plan.packing import Entry, Group, Packing, Stage
from aioecs._run.call import Call
from aioecs._run.core import Core
from aioecs._run.slots import Turn
from aioecs._run.waiting import Party
from aioecs.errors import ECSError

Prepare = Callable[[StartTaskRequest, Group], Call]
Moved = Callable[[Entry, Start], bool]


@attrs.define(eq=False)
class Flight:
    """A call and the starts that it carries; the n-th of them is the n-th instance of its request."""

    call: Call
    entries: list[Entry]
    party: Party
    """Those who wait for the call: this flight, and whoever joins it for its key."""
    aboard: int
    """How many of them are still wanted."""
    stops: bool = False
    """The call itself stops what it started: nobody aboard wants any of it."""


class Engine:
    """Carries out starts for any number of owners."""

    def __init__(self, core: Core, prepare: Prepare, window: float) -> None:
        self.core = core
        self.packing = Packing(window)
        self.calls = 0
        self.counts = dict.fromkeys(Outcome, 0)
        self._prepare = prepare
        self._flights: set[Flight] = set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._come = asyncio.Event()
        self._landed = asyncio.Event()
        self._idle: list[asyncio.Future[None]] = []

    @property
    def in_flight(self) -> int:
        """Calls on their way."""
        return len(self._flights)

    @property
    def outstanding(self) -> int:
        """Starts that have no outcome yet, as far as they wait or fly."""
        return self.packing.queued + sum(len(flight.entries) for flight in self._flights)

    def add(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        """Queue a start."""
        self.packing.add(entry, group, self.core.now, again=again)
        if self._dispatcher is None:
            self._dispatcher = self.core.custody.own(self._dispatch(), "aioecs dispatches a batch")
        self._come.set()

    def withdraw(self, entry: Entry, on_cancel: OnCancel, why: str) -> None:
        """Take one back: out of the queue at once, out of a call if it is not on the wire, else as `on_cancel` says."""
        if entry.stage is Stage.QUEUED:
            self.packing.withdraw(entry)
            self._settle(entry, never_sent(entry), None)
            self._if_idle()
        elif entry.stage is Stage.BEHIND:
            self._settle(entry, never_sent(entry), None)
        elif entry.stage is Stage.FLYING and entry.gone is None:
            entry.gone = on_cancel
            flight: Flight = entry.where
            flight.aboard -= 1
            if flight.aboard == 0:
                flight.stops = all(each.gone == "stop" for each in flight.entries)
                flight.party.leave("stop" if flight.stops else "settle", why)
            else:
                flight.call.leave(flight.entries.index(entry))

    def withdraw_all(self, on_cancel: OnCancel, why: str) -> None:
        """Take everything back."""
        flying = [entry for flight in self._flights for entry in flight.entries]
        for entry in [*self.packing.waiting(), *flying]:
            self.withdraw(entry, on_cancel, why)

    async def idle(self) -> None:
        """Wait until nothing waits and nothing flies."""
        if self.packing.queued or self._flights:
            waiter: asyncio.Future[None] = self.core.loop.create_future()
            self._idle.append(waiter)
            await waiter

    # ------------------------------------------------------------------------------------------------- dispatching

    async def _dispatch(self) -> None:
        try:
            while await self._ready():
                ticket = await self.core.starts.turn(Turn.START, self.packing.calls_left, of=self)
                taken = self.packing.take(self.core.now)
                if taken is None:
                    self.core.starts.unsent(ticket)
                else:
                    self._fly(*taken, ticket)
        finally:
            self._dispatcher = None
            self._if_idle()

    async def _ready(self) -> bool:
        """Wait until a call can be made up and there is a place for it; False if nobody waits any more."""
        while True:
            if len(self._flights) >= self.core.slots.size:
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
        if group.key is not None and self._is_behind(group, entries, group.key):
            self.core.starts.unsent(ticket)
            return
        request = group.request.replace(container_instances=[entry.instance for entry in entries])
        try:
            call = self._prepare(request, group)
        except ECSError as error:
            self.core.starts.unsent(ticket)
            for entry in entries:
                self._settle(entry, never_sent(entry, error), error)
            return
        flight = Flight(call, entries, Party(call, waiting=1), len(entries))
        for entry in entries:
            entry.where = flight
        self._flights.add(flight)
        self.calls += 1
        call.begin(ticket)
        if group.key is not None:
            self.core.keys.put(group.key, flight.party)
        self._land_once_ended(flight)

    def _is_behind(self, group: Group, entries: list[Entry], key: str) -> bool:
        """Put starts behind a call with the same key, which is to be over before they look what it started."""
        known = self.core.keys.get(key)
        if known is None or known.ended:
            return False
        for entry in entries:
            entry.stage = Stage.BEHIND

        def go_on() -> None:
            for entry in entries:
                if entry.stage is Stage.BEHIND:
                    self.add(entry, group, again=True)

        known.end_or().add_done_callback(lambda _: self.core.loop.call_soon(go_on))
        return True

    # ------------------------------------------------------------------------------------------------------ landing

    def _land_once_ended(self, flight: Flight) -> None:
        flight.call.end_or().add_done_callback(lambda _: self._land(flight))

    def _land(self, flight: Flight) -> None:
        """Tell each start what it came to."""
        if not flight.call.ended:  # withdrawn just as it ended: it goes on, to stop what it started
            self._land_once_ended(flight)
            return
        self._flights.discard(flight)
        self._landed.set()
        verdict = flight.call.verdict()
        error = verdict if isinstance(verdict, ECSError) else None
        starts = list(flight.call.record.starts())
        for entry, start in zip(flight.entries, _fairly(flight.entries, starts), strict=True):
            own = attrs.evolve(start, request=entry.request)
            if entry.gone == "stop" and own.outcome is Outcome.STARTED and not flight.stops:
                self.core.custody.own(self._stop(flight, entry, own), "aioecs stops a withdrawn start")
            else:
                self._settle(entry, own, error)
        self._if_idle()

    async def _stop(self, flight: Flight, entry: Entry, start: Start) -> None:
        """Stop the task of a start that was withdrawn while others of its call were not."""
        stopped = start.task is not None and await flight.call.stop_task(start.task)
        self._settle(entry, attrs.evolve(start, outcome=Outcome.STOPPED) if stopped else start, None)
        self._if_idle()

    def _settle(self, entry: Entry, start: Start, error: ECSError | None) -> None:
        entry.stage = Stage.DONE
        entry.where = None
        self.count(start)
        entry.owner.settled(entry, start, error)

    def uncount(self, start: Start) -> None:
        """Take back a count: what it came to was not its end."""
        self.counts[start.outcome] -= 1

    def count(self, start: Start) -> None:
        """Count what a start came to."""
        self.counts[start.outcome] += 1

    def _if_idle(self) -> None:
        if not self.packing.queued and not self._flights:
            waiters, self._idle = self._idle, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def never_sent(entry: Entry, error: ECSError | None = None) -> Start:
    """Say of a start that it never left the queue."""
    return Start(request=entry.request, container_instance=entry.instance, outcome=Outcome.NOT_SENT, error=error)


def _fairly(entries: list[Entry], starts: list[Start]) -> list[Start]:
    """Give equal starts their outcomes: what runs to those who want it, what was refused to those who don't."""
    if not any(entry.gone for entry in entries) or all(entry.gone for entry in entries):
        return starts
    given = list(starts)
    for instance in {short(entry.instance) for entry in entries}:
        places = [at for at, entry in enumerate(entries) if short(entry.instance) == instance]
        best = sorted((starts[at] for at in places), key=lambda start: start.outcome is not Outcome.STARTED)
        for at, start in zip(sorted(places, key=lambda at: entries[at].gone is not None), best, strict=True):
            given[at] = start
    return given
